"""How Airflow refuses. Source: the answers of an API server of version 3.3."""

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """The answer to a request that is not done. `detail` is its body's, in whatever shape Airflow gives it."""

    def __init__(self, status: int, detail: Any) -> None:  # noqa: ANN401 - JSON
        super().__init__(status, detail)
        self.status = status
        self.body: Mapping[str, Any] = {"detail": detail}


class Crashed(Exception):
    """What Airflow does not expect itself: a plain answer of 500."""


def no_dag(dag_id: str) -> Refused:
    """There is no such DAG."""
    return Refused(404, f"The Dag with ID: `{dag_id}` was not found")


def no_run(dag_id: str, run_id: str) -> Refused:
    """There is no such run."""
    return Refused(404, f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found")


def taken() -> Refused:
    """A run has this id."""
    detail = {
        "reason": "Unique constraint violation",
        "statement": "hidden",
        "orig_error": "hidden",
        "message": "Serious error when handling your request. Check logs for more details",
    }
    return Refused(409, detail)


def invalid(place: tuple[str, ...], message: str, kind: str = "value_error") -> Refused:
    """A field is not as it should be."""
    return Refused(422, [{"type": kind, "loc": list(place), "msg": message}])
