"""What is asked of an environment's Airflow."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter

from agentd.core import PermanentError, Reason, TransientError
from agentd.platform.airflow import (
    AirflowAddress,
    AirflowReader,
    Dag,
    DagRun,
    Health,
    ImportFailure,
    LogPage,
    Page,
    TaskInstance,
)
from agentd.platform.airflow_rest import shapes
from agentd.platform.airflow_rest.answers import Take, log_from, shaped
from agentd.platform.airflow_rest.calls import Calls, Request
from agentd.platform.config import AirflowApiConfig

T = TypeVar("T")

_MOST_ITEMS = 10_000
_MOST_TRACE = 8_000
# How often a list is begun anew that has changed while it was read.
_LISTINGS = 4
_EVERY = "~"
_NO_NAMES = ("", ".", "..", _EVERY)


class RestReader(AirflowReader):
    """See AirflowReader. It keeps nothing."""

    def __init__(self, calls: Calls, address: AirflowAddress, config: AirflowApiConfig) -> None:
        self._calls = calls
        self._address = address
        self._config = config

    async def health(self) -> Health:
        request = Request("health", "GET", "/monitor/health")
        return (await self._calls.read(request, self._take(shapes.MONITOR))).health

    async def version(self) -> str:
        return (await self._calls.read(Request("version", "GET", "/version"), self._take(shapes.VERSION))).version

    async def dags(self, *, bundle: str | None = None, stale: bool = False) -> Sequence[Dag]:
        query = (("exclude_stale", "false" if stale else "true"), ("order_by", "dag_id"), *_of_bundle(bundle))

        async def page(offset: int) -> Page[Dag]:
            request = Request("list dags", "GET", "/dags", (*query, *_slice(offset, self._config.page_size)))
            return (await self._calls.read(request, self._take(shapes.DAGS))).page

        return await self._everything("dags", page)

    async def dag(self, dag_id: str) -> Dag | None:
        return await self._calls.read_if_found(Request("get dag", "GET", dag_path(dag_id)), self._take(shapes.DAG))

    async def import_failures(self, *, bundle: str | None = None) -> Sequence[ImportFailure]:
        query = (("order_by", "import_error_id"), *_of_bundle(bundle))

        async def page(offset: int) -> Page[ImportFailure]:
            request = Request(
                "list import errors", "GET", "/importErrors", (*query, *_slice(offset, self._config.page_size))
            )
            return (await self._calls.read(request, self._take(shapes.IMPORT_ERRORS))).page

        found = await self._everything("import errors", page)
        return [replace(failure, stack_trace=failure.stack_trace[-_MOST_TRACE:]) for failure in found]

    async def dag_runs(
        self, *, dag_id: str | None = None, states: Sequence[str] = (), offset: int = 0, limit: int = 100
    ) -> Page[DagRun]:
        query = (("order_by", "-run_after"), *(("state", state) for state in states), *_slice(offset, limit))
        request = Request("list dag runs", "GET", f"{dag_path(dag_id)}/dagRuns", query)
        found = await self._calls.read_if_found(request, self._take(shapes.DAG_RUNS))
        return Page((), 0) if found is None else found.page

    async def dag_run(self, dag_id: str, run_id: str) -> DagRun | None:
        request = Request("get dag run", "GET", run_path(dag_id, run_id))
        return await self._calls.read_if_found(request, self._take(shapes.DAG_RUN))

    async def task_instances(
        self,
        *,
        dag_id: str | None = None,
        run_id: str | None = None,
        states: Sequence[str] = (),
        offset: int = 0,
        limit: int = 100,
    ) -> Page[TaskInstance]:
        order = "-id" if run_id is None else "id"
        query = (("order_by", order), *(("state", state) for state in states), *_slice(offset, limit))
        request = Request("list task instances", "GET", f"{run_path(dag_id, run_id)}/taskInstances", query)
        found = await self._calls.read_if_found(request, self._take(shapes.TASK_INSTANCES))
        return Page((), 0) if found is None else found.page

    async def task_instance(
        self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1
    ) -> TaskInstance | None:
        path = f"{run_path(dag_id, run_id)}/taskInstances/{segment(task_id)}/{map_index}"
        return await self._calls.read_if_found(
            Request("get task instance", "GET", path), self._take(shapes.TASK_INSTANCE)
        )

    async def log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int, map_index: int = -1, position: int = 0
    ) -> LogPage | None:
        request = Request(
            "get log",
            "GET",
            f"{run_path(dag_id, run_id)}/taskInstances/{segment(task_id)}/logs/{try_number}",
            (("map_index", str(map_index)),),
            accept="application/x-ndjson",
        )
        return await self._calls.read_if_found(request, log_from(position, self._config.max_answer_bytes))

    def _take(self, shape: TypeAdapter[T]) -> Take[T]:
        return shaped(shape, self._config.max_answer_bytes)

    async def _everything(self, what: str, page: Callable[[int], Awaitable[Page[T]]]) -> list[T]:
        """All items of a list that stayed as it was while its pages were read."""
        for _ in range(_LISTINGS):
            found = await self._once_through(what, page)
            if found is not None:
                return found
        raise TransientError(Reason.UNAVAILABLE, f"list {what} on {self._address}: it changes all the time")

    async def _once_through(self, what: str, page: Callable[[int], Awaitable[Page[T]]]) -> list[T] | None:
        found: list[T] = []
        total: int | None = None
        while total is None or len(found) < total:
            read = await page(len(found))
            if total not in (None, read.total) or (not read.items and len(found) < read.total):
                return None
            total = read.total
            if total > _MOST_ITEMS:
                message = f"list {what} on {self._address}: {total}, and at most {_MOST_ITEMS} are read"
                raise PermanentError(Reason.INVALID_REQUEST, message)
            found += read.items
        return found


def dag_path(dag_id: str | None) -> str:
    """Of one DAG, or of all. Raises PermanentError."""
    return f"/dags/{_EVERY if dag_id is None else segment(dag_id)}"


def run_path(dag_id: str | None, run_id: str | None) -> str:
    """Of one run, or of all. Raises PermanentError."""
    return f"{dag_path(dag_id)}/dagRuns/{_EVERY if run_id is None else segment(run_id)}"


def segment(name: str) -> str:
    """A name as one part of a path. PermanentError for one that would lead elsewhere, or mean everything."""
    if name in _NO_NAMES:
        raise PermanentError(Reason.INVALID_REQUEST, f"{name!r} is no id of a DAG, a run or a task")
    return quote(name, safe="")


def _of_bundle(bundle: str | None) -> tuple[tuple[str, str], ...]:
    return () if bundle is None else (("bundle_name", bundle),)


def _slice(offset: int, limit: int) -> tuple[tuple[str, str], ...]:
    return (("offset", str(offset)), ("limit", str(limit)))
