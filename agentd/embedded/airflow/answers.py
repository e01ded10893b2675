"""Bodies of answers, in Airflow's spelling. Source: its OpenAPI document, version 3.3."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from agentd.embedded.airflow.problems import Refused, invalid
from agentd.embedded.airflow.runs import Instance, Run
from agentd.embedded.airflow.world import BrokenFile, Dag, Environment

T = TypeVar("T")
Query = Mapping[str, str]

_PAGE = 50
_LARGEST_PAGE = 100
_NAMESPACE = "00000000-0000-7000-8000-{:012d}"


def dag_body(dag: Dag) -> dict[str, Any]:
    """DAGResponse."""
    return {
        "dag_id": dag.spec.dag_id,
        "dag_display_name": dag.spec.dag_id,
        "is_paused": dag.unpaused_at is None,
        "is_stale": dag.stale,
        "last_parsed_time": moment(dag.parsed),
        "last_parse_duration": 0.1,
        "bundle_name": dag.bundle,
        "bundle_version": None,
        "relative_fileloc": dag.filename,
        "fileloc": f"/opt/airflow/bundles/{dag.bundle}/dags/{dag.filename}",
        "description": None,
        "timetable_summary": None,
        "tags": [],
        "has_import_errors": dag.broken,
        "next_dagrun_run_after": None,
        "owners": ["airflow"],
    }


def import_error_body(error: BrokenFile) -> dict[str, Any]:
    """ImportErrorResponse."""
    return {
        "import_error_id": error.number,
        "timestamp": moment(error.at),
        "filename": error.filename,
        "bundle_name": error.bundle,
        "stack_trace": error.text,
    }


def run_body(run: Run) -> dict[str, Any]:
    """DAGRunResponse."""
    return {
        "dag_run_id": run.run_id,
        "dag_id": run.dag_id,
        "dag_display_name": run.dag_id,
        "logical_date": None,
        "queued_at": moment(run.queued),
        "start_date": moment(run.started),
        "end_date": moment(run.ended),
        "run_after": moment(run.queued),
        "run_type": "manual",
        "state": run.state,
        "triggered_by": "rest_api",
        "triggering_user_name": run.user,
        "conf": run.conf,
        "note": run.note,
        "dag_versions": [],
        "bundle_version": None,
    }


def instance_body(run: Run, instance: Instance) -> dict[str, Any]:
    """TaskInstanceResponse."""
    return {
        "id": _NAMESPACE.format(instance.number),
        "task_id": instance.task.task_id,
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "map_index": -1,
        "logical_date": None,
        "run_after": moment(run.queued),
        "start_date": moment(instance.started),
        "end_date": moment(instance.ended),
        "state": instance.state,
        "try_number": instance.try_number,
        "max_tries": instance.max_tries,
        "task_display_name": instance.task.task_id,
        "dag_display_name": run.dag_id,
        "operator": "PythonOperator",
    }


def health_body(environment: Environment, now: float) -> dict[str, Any]:
    """HealthInfoResponse: the status is 200 whatever it says."""

    def component(name: str) -> dict[str, Any]:
        return {
            "status": "unhealthy" if name in environment.setup.unhealthy else "healthy",
            f"latest_{name}_heartbeat": moment(now),
        }

    database = {"status": component("metadatabase")["status"]}
    return {"metadatabase": database, **{name: component(name) for name in ("scheduler", "triggerer", "dag_processor")}}


def listing(
    name: str,
    items: Sequence[T],
    query: Query,
    body: Callable[[T], dict[str, Any]],
    orders: Mapping[str, Callable[[T], Any]],
) -> dict[str, Any]:
    """A page of items, in the order that is asked for: the first of `orders` unless another is. Raises Refused."""
    wanted = query.get("order_by") or next(iter(orders))
    field = wanted.removeprefix("-")
    if field not in orders:
        raise Refused(400, f"Ordering with '{field}' is disallowed or the attribute does not exist on the model")
    ordered = sorted(items, key=orders[field], reverse=wanted.startswith("-"))
    offset, limit = _number(query, "offset", 0), min(_number(query, "limit", _PAGE), _LARGEST_PAGE)
    return {name: [body(item) for item in ordered[offset : offset + limit]], "total_entries": len(items)}


def flag(query: Query, name: str, default: bool | None) -> bool | None:
    """A query parameter that is true or false. Raises Refused."""
    said = query.get(name)
    if said is None:
        return default
    if said.lower() not in ("true", "false"):
        raise invalid(("query", name), "Input should be a valid boolean", "bool_parsing")
    return said.lower() == "true"


def moment(seconds: float | None) -> str | None:
    """A time as Airflow writes it."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _number(query: Query, name: str, default: int) -> int:
    said = query.get(name, str(default))
    if not re.fullmatch(r"\d{1,9}", said):
        raise invalid(("query", name), "Input should be greater than or equal to 0", "greater_than_equal")
    return int(said)
