"""The source of a team's DAGs, as text: nothing in here has Airflow to import it from."""

from pathlib import Path

GOOD = """
import time

from airflow.sdk import dag, get_current_context, task


@dag(schedule=None)
def good():
    @task
    def first():
        print("hello from first")
        return 1

    @task
    def second(number):
        print("hello from second", number)

    second(first())


@dag(schedule=None)
def flaky():
    @task(retries=0)
    def fails():
        print("trying")
        if get_current_context()["ti"].try_number == 1:
            raise RuntimeError("it fails as it was told")

    @task
    def after():
        print("after all")

    fails() >> after()


@dag(schedule=None)
def slow():
    @task
    def waits():
        print("waiting")
        time.sleep(600)

    waits()


good()
flaky()
slow()
"""
"""One DAG that works, one that fails at first, one that takes its time."""

BAD = """
import no_such_module
from airflow.sdk import dag
"""


def write_bundles(folder: Path) -> dict[str, Path]:
    """Two bundles as folders: `alpha` with the good file, `beta` with the bad one."""
    bundles = {name: folder / name for name in ("alpha", "beta")}
    for name, (filename, source) in {"alpha": ("good.py", GOOD), "beta": ("bad.py", BAD)}.items():
        bundles[name].mkdir(parents=True)
        (bundles[name] / filename).write_text(source)
    return bundles
