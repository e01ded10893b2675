"""The calls of the REST API, version 2, that are answered: from a request's parts to a body."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentd.embedded.airflow.answers import (
    dag_body,
    flag,
    health_body,
    import_error_body,
    instance_body,
    listing,
    run_body,
)
from agentd.embedded.airflow.problems import Refused
from agentd.embedded.airflow.runs import Instance, Run, log_of
from agentd.embedded.airflow.world import Dag, Environment

M = TypeVar("M", bound="_Body")
Json = dict[str, Any]

EVERY = "~"
_RUN_ID = re.compile(r"[A-Za-z0-9_.~:+-]+")
_RUN_STATES = ("queued", "running", "success", "failed")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose caller is known."""

    environment: Environment
    user: str
    parts: Sequence[str]
    """What stands for `*` in the path."""
    request: web.Request
    body: bytes


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _DagPatch(_Body):
    is_paused: bool


class _Trigger(_Body):
    dag_run_id: str | None = None
    logical_date: None
    conf: dict[str, Any] | None = Field(default_factory=dict)
    note: str | None = None


class _RunPatch(_Body):
    state: Literal["queued", "success", "failed"] | None = None
    note: str | None = None


class _Clear(_Body):
    dry_run: bool = True
    only_failed: bool = True
    only_running: bool = False
    reset_dag_runs: bool = True
    task_ids: Annotated[list[str], Field(min_length=1)] | None = None
    dag_run_id: str
    include_upstream: bool = False
    include_downstream: bool = False
    prevent_running_task: bool = False


def health(asked: Asked) -> Json:
    """GET /monitor/health."""
    return health_body(asked.environment, asked.environment.runtime.now())


def version(asked: Asked) -> Json:
    """GET /version."""
    return {"version": asked.environment.setup.version, "git_version": None}


def list_dags(asked: Asked) -> Json:
    """GET /dags."""
    return _dag_listing(_dags(asked), asked)


def pause_many(asked: Asked) -> Json:
    """PATCH /dags: whatever the limit, which is only for the answer. Without a pattern there are none."""
    wanted = _read(_DagPatch, asked)
    pattern = asked.request.query.get("dag_id_pattern")
    found = _dags(asked) if pattern in (EVERY, "%") else []
    for dag in found:
        asked.environment.pause(dag.spec.dag_id, wanted.is_paused)
    return _dag_listing(found, asked)


def get_dag(asked: Asked) -> Json:
    """GET /dags/*."""
    return dag_body(asked.environment.dag(asked.parts[0]))


def patch_dag(asked: Asked) -> Json:
    """PATCH /dags/*."""
    wanted = _read(_DagPatch, asked)
    dag_id = asked.parts[0]
    if dag_id not in asked.environment.dags:
        raise Refused(404, f"Dag with id: {dag_id} was not found")
    asked.environment.pause(dag_id, wanted.is_paused)
    return get_dag(asked)


def list_import_errors(asked: Asked) -> Json:
    """GET /importErrors."""
    bundle = asked.request.query.get("bundle_name")
    found = [error for error in asked.environment.import_errors.values() if bundle in (None, error.bundle)]
    orders = {"import_error_id": lambda error: error.number, "timestamp": lambda error: error.at}
    return listing("import_errors", found, asked.request.query, import_error_body, orders)


def list_runs(asked: Asked) -> Json:
    """GET /dags/*/dagRuns."""
    dag_id = _named(asked.parts[0])
    if dag_id is not None:
        asked.environment.dag(dag_id)
    states = asked.request.query.getall("state", [])
    if any(state not in _RUN_STATES for state in states):
        raise Refused(422, f"Invalid value for state. Valid values are {', '.join(_RUN_STATES)}")
    found = [
        run
        for run in asked.environment.runs.values()
        if dag_id in (None, run.dag_id) and (not states or run.state in states)
    ]
    orders: dict[str, Callable[[Run], Any]] = {"run_after": lambda run: run.queued, "run_id": lambda run: run.run_id}
    return listing("dag_runs", found, asked.request.query, run_body, orders)


def trigger(asked: Asked) -> Json:
    """POST /dags/*/dagRuns."""
    wanted = _read(_Trigger, asked)
    run_id = wanted.dag_run_id or f"manual__{asked.environment.runtime.new_id()}"
    if not _RUN_ID.fullmatch(run_id):
        raise Refused(400, f"The run_id provided '{run_id}' does not match regex pattern '^{_RUN_ID.pattern}$'")
    run = asked.environment.trigger(asked.parts[0], run_id, asked.user, wanted.conf or {}, wanted.note)
    return run_body(run)


def get_run(asked: Asked) -> Json:
    """GET /dags/*/dagRuns/*."""
    return run_body(_run(asked))


def patch_run(asked: Asked) -> Json:
    """PATCH /dags/*/dagRuns/*."""
    wanted = _read(_RunPatch, asked)
    run = _run(asked)
    if wanted.state is not None:
        run.set_state(wanted.state, asked.environment.runtime.now())
    return run_body(run)


def list_instances(asked: Asked) -> Json:
    """GET /dags/*/dagRuns/*/taskInstances."""
    dag_id, run_id = (_named(part) for part in asked.parts)
    if dag_id is None and run_id is not None:
        raise Refused(400, "dag_id is required when dag_run_id is specified")
    if dag_id is not None:
        asked.environment.dag(dag_id)
        if run_id is not None:
            asked.environment.run(dag_id, run_id)
    states = asked.request.query.getall("state", [])
    found = [
        (run, instance)
        for run, instance in asked.environment.instances(dag_id, run_id)
        if not states or str(instance.state) in states
    ]
    return listing("task_instances", found, asked.request.query, _pair_body, {"id": lambda pair: pair[1].number})


def get_instance(asked: Asked) -> Json:
    """GET /dags/*/dagRuns/*/taskInstances/*/*."""
    run, instance = _instance(asked)
    if asked.parts[3] != "-1":
        raise Refused(404, f"The Mapped Task Instance with map_index: `{asked.parts[3]}` was not found")
    return instance_body(run, instance)


def get_log(asked: Asked) -> Json:
    """GET /dags/*/dagRuns/*/taskInstances/*/logs/*."""
    run, instance = _instance(asked, missing="TaskInstance not found")
    number = asked.parts[3]
    if not number.isdecimal() or not 1 <= int(number) <= instance.try_number:
        raise Refused(404, "TaskInstance not found")
    return {"content": log_of(run, instance, int(number)), "continuation_token": None}


def clear(asked: Asked) -> Json:
    """POST /dags/*/clearTaskInstances."""
    wanted = _read(_Clear, asked)
    dag_id = asked.parts[0]
    asked.environment.dag(dag_id)
    run = asked.environment.runs.get((dag_id, wanted.dag_run_id))
    if run is None:
        raise Refused(404, f"Dag Run id {wanted.dag_run_id} not found in dag {dag_id}")
    chosen = run.selected(
        wanted.task_ids, failed=wanted.only_failed, up=wanted.include_upstream, down=wanted.include_downstream
    )
    running = [found for found in chosen if found.state == "running"]
    if not wanted.dry_run:
        if running and wanted.prevent_running_task:
            raise Refused(409, f"Task instance is in running state: {running[0].task.task_id}")
        run.clear(chosen, asked.environment.runtime.now())
    return {"task_instances": [instance_body(run, found) for found in chosen], "total_entries": len(chosen)}


def _dags(asked: Asked) -> list[Dag]:
    query = asked.request.query
    skip_stale, paused = flag(query, "exclude_stale", True), flag(query, "paused", None)
    bundle = query.get("bundle_name")
    return [
        dag
        for dag in asked.environment.dags.values()
        if not (skip_stale and dag.stale) and paused in (None, dag.unpaused_at is None) and bundle in (None, dag.bundle)
    ]


def _dag_listing(found: Sequence[Dag], asked: Asked) -> Json:
    return listing("dags", found, asked.request.query, dag_body, {"dag_id": lambda dag: dag.spec.dag_id})


def _run(asked: Asked) -> Run:
    return asked.environment.run(asked.parts[0], asked.parts[1])


def _instance(asked: Asked, *, missing: str | None = None) -> tuple[Run, Instance]:
    dag_id, run_id, task_id = asked.parts[:3]
    run = asked.environment.runs.get((dag_id, run_id))
    for found in [] if run is None else run.instances:
        if run is not None and found.task.task_id == task_id:
            return run, found
    where = f"dag_id: `{dag_id}`, run_id: `{run_id}` and task_id: `{task_id}`"
    raise Refused(404, missing or f"The Task Instance with {where} was not found")


def _pair_body(pair: tuple[Run, Instance]) -> dict[str, Any]:
    return instance_body(*pair)


def _named(part: str) -> str | None:
    return None if part == EVERY else part


def _read(model: type[M], asked: Asked) -> M:
    """The body. Raises Refused as FastAPI does."""
    try:
        return model.model_validate_json(asked.body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        detail = [{**problem, "loc": ["body", *problem["loc"]]} for problem in problems]
        raise Refused(422, json.loads(json.dumps(detail, default=str))) from error


Answer = Callable[[Asked], Json]
# Path below /api/v2 with `*` for a name, then by method. The last word of a path, or the one before a name, is what faults name.
CALLS: Mapping[str, Mapping[str, Answer]] = {
    "monitor/health": {"GET": health},
    "version": {"GET": version},
    "dags": {"GET": list_dags, "PATCH": pause_many},
    "dags/*": {"GET": get_dag, "PATCH": patch_dag},
    "importErrors": {"GET": list_import_errors},
    "dags/*/dagRuns": {"GET": list_runs, "POST": trigger},
    "dags/*/dagRuns/*": {"GET": get_run, "PATCH": patch_run},
    "dags/*/dagRuns/*/taskInstances": {"GET": list_instances},
    "dags/*/dagRuns/*/taskInstances/*/*": {"GET": get_instance},
    "dags/*/dagRuns/*/taskInstances/*/logs/*": {"GET": get_log},
    "dags/*/clearTaskInstances": {"POST": clear},
}
OPEN = ("monitor/health", "version")
"""What needs no token."""
