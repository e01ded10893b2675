"""The check of bundles before a deploy, as its pod runs it, by a real Airflow."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.airflow.sources import BAD, GOOD
from tests.servers.airflow import python
from tests.servers.airflow.server import bundle_list
from tests.servers.processes import environment
from tests.unit.handlers.airflow import delivered

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

_PATIENCE_S = 120.0

DAG = """
from airflow.sdk import dag, task

@dag(schedule=None)
def {name}():
    @task
    def first():
        pass

    first()

{name}()
"""
ASKS = """
from airflow.sdk import Variable
LEVEL = Variable.get("level")
""" + DAG.format(name="asks")
CALLS = """
import urllib.request
LEVEL = urllib.request.urlopen("http://configuration.invalid/level", timeout=5).read()
""" + DAG.format(name="calls")
HANGS = '"""An airflow DAG that waits for somebody who does not come."""\nwhile True:\n    pass\n'
DIES = '"""An airflow DAG."""\nimport os\nos._exit(7)\n'
NOT_STORED = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
with DAG("unstorable", schedule=None, params={"x": object()}):
    EmptyOperator(task_id="t")
"""


class Checked:
    """How a check ended, and what it left."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.size = len(message.encode())
        self.told: dict[str, Any] = json.loads(message)


async def check(folder: Path, builds: dict[str, dict[str, str]], **settings: str) -> Checked:
    """Check these builds: by project, their files with what is in them."""
    for project, files in builds.items():
        (folder / project / "dags").mkdir(parents=True)
        for name, text in files.items():
            (folder / project / name).write_text(text)
    config, log = folder / "config", folder / "message"
    config.mkdir()
    for name in ("conveyor_check.py", "airflow_local_settings.py"):
        shutil.copy(delivered.FOLDER / name, config)
    variables = {
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__SECRETS__BACKEND": "conveyor_check.NoSecrets",
        "PYTHONPATH": str(config),
        **bundle_list({project: folder / project / "dags" for project in builds}),
        **settings,
    }
    command = f"import airflow, conveyor_check; conveyor_check.main({str(log)!r})"
    process = await asyncio.create_subprocess_exec(
        python(), "-c", command, env=environment(variables), stdout=sys.stderr, stderr=sys.stderr
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Checked(code, log.read_text())


async def test_good_builds_pass_with_their_streaming_applications(tmp_path: Path) -> None:
    streaming = "- name: clicks\n  sparkSpec:\n    application: local:///app.py\n"
    found = await check(
        tmp_path,
        {"alpha": {"dags/good.py": GOOD, "streaming.yaml": streaming}, "beta": {"dags/b.py": DAG.format(name="b")}},
    )
    assert found.code == 0
    assert found.told == {
        "files": 2,
        "dags": {"alpha": 3, "beta": 1},
        "undecided": 0,
        "streaming": {"alpha": [{"name": "clicks", "sparkSpec": {"application": "local:///app.py"}}]},
    }


async def test_whatever_is_wrong_is_told_by_bundle_and_file(tmp_path: Path) -> None:
    files = {"dags/bad.py": BAD, "dags/dies.py": DIES, "dags/hangs.py": HANGS, "streaming.yaml": "- name: ["}
    found = await check(
        tmp_path,
        {"alpha": {"dags/a.py": DAG.format(name="same")}, "beta": {"dags/b.py": DAG.format(name="same"), **files}},
        AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT="0",
        AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT="10",
    )
    assert found.code == 3
    errors = {(error["bundle"], error["file"]): error["text"] for error in found.told["errors"]}
    assert "No module named 'no_such_module'" in errors["beta", "bad.py"]
    assert "exit code 7" in errors["beta", "dies.py"]
    assert "longer than 10 s" in errors["beta", "hangs.py"]
    assert "streaming.yaml" in {file for _, file in errors}
    assert found.told["duplicates"] == [{"dag": "same", "in": ["alpha/a.py", "beta/b.py"]}]


async def test_a_file_that_slept_too_long_is_told_by_airflow_itself(tmp_path: Path) -> None:
    found = await check(tmp_path, {"alpha": {"dags/a.py": HANGS}}, AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT="1")
    (error,) = found.told["errors"]
    assert "timed out" in error["text"].lower() or "timeout" in error["text"].lower()


async def test_a_dag_that_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    found = await check(tmp_path, {"alpha": {"dags/a.py": NOT_STORED}})
    assert (found.code, len(found.told["errors"])) == (3, 1)


async def test_what_asks_for_a_variable_or_an_address_is_left_for_where_there_is_one(tmp_path: Path) -> None:
    found = await check(tmp_path, {"alpha": {"dags/a.py": ASKS, "dags/b.py": CALLS}})
    assert (found.code, found.told["undecided"]) == (0, 2)


async def test_many_errors_are_cut_to_what_a_pod_can_say_and_counted(tmp_path: Path) -> None:
    files = {f"dags/file_{number:02}.py": BAD for number in range(40)}
    found = await check(tmp_path, {"alpha": files})
    assert found.size <= 4096
    assert found.told["all_errors"] == 40
    assert 0 < len(found.told["errors"]) <= 40


async def test_streaming_applications_that_take_too_much_are_refused(tmp_path: Path) -> None:
    found = await check(tmp_path, {"alpha": {"streaming.yaml": f"- name: {'x' * 5000}"}})
    (error,) = found.told["errors"]
    assert (found.code, "3500 are allowed" in error["text"]) == (3, True)
