"""Starts the components as an environment does, on SQLite, with tasks as processes, and ends them whatever happens."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.servers.processes import ServerError, environment, free_port, tail

_HERE = Path(__file__).parent
_AIRFLOW = _HERE / ".venv" / "bin" / "airflow"
_COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
_START_S = 180.0
_MIGRATE_S = 120.0
_STOP_S = 5.0
_PROBE_S = 0.25


@dataclass
class AirflowServer:
    """A running Airflow."""

    folder: Path
    url: str
    """Without the prefix."""
    prefix: str
    jwt_secret: str
    _settings: dict[str, str]
    _components: dict[str, "_Component"] = field(default_factory=dict)

    def deploy(self, bundles: Mapping[str, Path]) -> None:
        """Have these bundles and no others, as a deploy does: with another list, and a new DAG processor."""
        component = self._components.pop("dag-processor")
        component.ask_to_end()
        component.end(time.monotonic() + _STOP_S)
        self._settings |= bundle_list(bundles)
        self.start("dag-processor")

    def start(self, name: str) -> None:
        """Start a component; not yet at work when this returns."""
        self._components[name] = _Component.start(name, self.folder, self._settings)

    def wait_until_healthy(self) -> None:
        """Until every component is at work by the API server's word. ServerError."""
        deadline = time.monotonic() + _START_S
        while not _all_healthy(f"{self.url}{self.prefix}/api/v2/monitor/health"):
            for component in self._components.values():
                component.check()
            if time.monotonic() > deadline:
                said = "; ".join(component.said() for component in self._components.values())
                raise ServerError(f"Airflow is not up after {_START_S:g} s; {said}")
            time.sleep(_PROBE_S)

    def end(self) -> None:
        """End all components."""
        for component in self._components.values():
            component.ask_to_end()
        deadline = time.monotonic() + _STOP_S
        for component in self._components.values():
            component.end(deadline)


@dataclass
class _Component:
    name: str
    process: subprocess.Popen[bytes]
    output: IO[bytes]

    @classmethod
    def start(cls, name: str, folder: Path, settings: Mapping[str, str]) -> "_Component":
        output = (folder / f"{name}.log").open("a+b")
        process = subprocess.Popen(
            [str(_AIRFLOW), name],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(settings),
            start_new_session=True,  # it has children, which end with its group
        )
        return cls(name, process, output)

    def check(self) -> None:
        if (code := self.process.poll()) is not None:
            raise ServerError(f"Airflow's {self.name} ended with code {code}; {tail(self.output)}")

    def said(self) -> str:
        return f"{self.name}: {tail(self.output)}"

    def ask_to_end(self) -> None:
        self._signal(signal.SIGTERM)

    def end(self, deadline: float) -> None:
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._signal(signal.SIGKILL)  # those of the group that outlive it too
            self.process.wait()
            self.output.close()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return  # the whole group has gone


def is_installed() -> bool:
    """Whether `make servers` has been here."""
    return (_HERE / ".venv" / ".ready").is_file()


def python() -> Path:
    """The interpreter that has Airflow. ServerError when there is none."""
    if not is_installed():
        raise ServerError("Airflow is not installed: run `make servers`")
    return _AIRFLOW.with_name("python")


@contextmanager
def run_airflow(
    folder: Path, bundles: Mapping[str, Path], settings: Mapping[str, str] | None = None
) -> Iterator[AirflowServer]:
    """An Airflow with these bundles, all of it in the folder, until the block ends; every component is at work.

    `settings` are environment variables, and count more than the ones that are set here. ServerError when it is not
    installed, or does not come up.
    """
    if not is_installed():
        raise ServerError("Airflow is not installed: run `make servers`")
    url = f"http://127.0.0.1:{free_port()}"
    chosen = {**_defaults(folder, url), **bundle_list(bundles), **(settings or {})}
    prefix = chosen["AIRFLOW__API__BASE_URL"].partition("://")[2].partition("/")
    server = AirflowServer(
        folder=folder,
        url=url,
        prefix=f"/{prefix[2]}" if prefix[2] else "",
        jwt_secret=chosen["AIRFLOW__API_AUTH__JWT_SECRET"],
        _settings=chosen,
    )
    _migrate(folder, chosen)
    with ExitStack() as stack:
        stack.callback(server.end)
        for name in _COMPONENTS:
            server.start(name)
        server.wait_until_healthy()
        yield server


def bundle_list(bundles: Mapping[str, Path]) -> dict[str, str]:
    """The setting that names the bundles: folders of this machine."""
    classpath = "airflow.dag_processing.bundles.local.LocalDagBundle"
    entries = [
        {"name": name, "classpath": classpath, "kwargs": {"path": str(path), "refresh_interval": 5}}
        for name, path in bundles.items()
    ]
    return {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(entries)}


def _defaults(folder: Path, url: str) -> dict[str, str]:
    base = f"{url}/environments/test/airflow"
    return {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__API__BASE_URL": base,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__SECRET_KEY": "a key of the tests",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, and of them alone: of as many bytes as HS512 asks for",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONUNBUFFERED": "1",
    }


def _migrate(folder: Path, settings: Mapping[str, str]) -> None:
    with (folder / "migrate.log").open("a+b") as output:
        command = [str(_AIRFLOW), "db", "migrate"]
        code = subprocess.run(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(settings),
            timeout=_MIGRATE_S,
            check=False,
        ).returncode
        if code != 0:
            raise ServerError(f"`airflow db migrate` ended with code {code}; {tail(output)}")


def _all_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a fixed loopback URL
            said: dict[str, Any] = json.load(answer)
    except (OSError, ValueError):
        return False  # not up yet, or its page in place of the API
    return all(component["status"] == "healthy" for component in said.values())
