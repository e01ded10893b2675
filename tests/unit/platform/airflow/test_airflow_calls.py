"""Time-outs, repetition, bounds, fences: on faults of a server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import ClientResponse

from agentd.core import LeaseLost, NotReady, PermanentError, TransientError
from agentd.embedded.airflow import DagFile, DagSpec, Setup, Task
from agentd.embedded.faults import Fault, FaultKind
from agentd.platform.airflow import Airflow, AirflowAddress, Dag, LogLine, dag_ids_by_bundle, duplicate_dag_ids
from agentd.platform.airflow_rest import DirectRoute
from agentd.platform.routes import ServiceRequest
from tests.unit.platform.airflow.rig import ADDRESS, SECRET, adapter, rig
from tests.virtual_time import about

LISTED = {"dag_id": "x", "is_paused": True, "is_stale": False, "bundle_name": "one", "relative_fileloc": "f.py",
          "last_parsed_time": None, "has_import_errors": False}  # fmt: skip


def elapsed() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind=FaultKind.ERROR, status=500, times=3),
        Fault(kind=FaultKind.ERROR, status=429, times=3),
        Fault(kind=FaultKind.DROP_BEFORE, times=3),
        Fault(kind=FaultKind.ANSWER, body="<html>", times=3),
        Fault(kind=FaultKind.ANSWER, body='{"dags": "none"}', times=3),
    ],
    ids=["500", "429", "dropped", "no JSON", "another shape"],
)
async def test_a_read_is_repeated_while_the_fault_is_passing(fault: Fault) -> None:
    async with rig() as at:
        await at.server.inject(fault)
        assert len(await at.airflow.dags()) == 2
        met = at.counted("list dags", "throttled" if fault.status == 429 else "unavailable")
        # The client library itself asks once more when a connection breaks that has been used before.
        assert met == (1 if fault.kind is FaultKind.DROP_BEFORE else 3)
        assert at.counted("list dags", "ok") == 1


async def test_a_fault_that_lasts_is_told_after_some_tries() -> None:
    async with rig() as at:
        fault = await at.server.inject(Fault(kind=FaultKind.ERROR, status=503, message="on fire", times=None))
        with pytest.raises(TransientError, match="health on airflow:test: 503: on fire"):
            await at.airflow.health()
        assert await at.server.hits(fault) == 4
        assert elapsed() < 10


async def test_a_wait_that_the_server_asks_for_counts() -> None:
    async with rig() as at:
        await at.server.inject(Fault(kind=FaultKind.ERROR, status=429, retry_after_s=3))
        await at.airflow.version()
        assert elapsed() == about(3.0)
        await at.server.inject(Fault(kind=FaultKind.ERROR, status=429, retry_after_s=60))
        with pytest.raises(TransientError) as raised:
            await at.airflow.version()
        assert raised.value.retry_after == 60


async def test_what_will_not_mend_is_not_repeated() -> None:
    async with rig() as at:
        fault = await at.server.inject(Fault(kind=FaultKind.ERROR, status=403, message="Forbidden", times=None))
        with pytest.raises(PermanentError):
            await at.airflow.dags()
        assert await at.server.hits(fault) == 1


async def test_a_call_takes_no_longer_than_it_may() -> None:
    async with rig(call_timeout_s=2.0) as at:
        await at.server.inject(Fault(kind=FaultKind.DELAY, delay_s=500, times=None))
        with pytest.raises(TransientError, match="no answer in time"):
            await at.airflow.version()
        assert 8 <= elapsed() < 12


async def test_what_remains_of_the_lease_shortens_a_write_which_is_not_repeated() -> None:
    async with rig() as at:
        at.fence.lease_s = 0.5
        fault = await at.server.inject(Fault(kind=FaultKind.DELAY, operation="PATCH", delay_s=500, times=None))
        began = elapsed()
        with pytest.raises(TransientError, match=r"unpause on airflow:test: .*no answer in time"):
            await at.airflow.set_paused(["a"], False, fence=at.fence)
        assert elapsed() - began == about(0.5)
        assert await at.server.hits(fault) == 1


async def test_without_a_lease_nothing_is_written() -> None:
    async with rig() as at:
        at.fence.lost = True
        await at.server.reset_calls()
        with pytest.raises(LeaseLost):
            await at.airflow.trigger("a", "x", fence=at.fence)
        assert at.server.writes(await at.server.calls()) == {}


async def test_nobody_listening_is_waited_for() -> None:
    async with DirectRoute("http://127.0.0.1:1") as route:
        with pytest.raises(NotReady, match="version on airflow:test: Airflow is not there: ClientConnectorError"):
            await adapter(route).of(ADDRESS).version()


@pytest.mark.parametrize("kind", [FaultKind.DROP_AFTER, FaultKind.DROP_BEFORE])
async def test_a_trigger_whose_answer_is_lost_is_looked_up(kind: FaultKind) -> None:
    async with rig() as at:
        fault = await at.server.inject(Fault(kind=kind, operation="POST"))
        if kind is FaultKind.DROP_AFTER:
            assert (await at.airflow.trigger("a", "x", fence=at.fence)).dag_run_id == "x"
        else:
            with pytest.raises(TransientError, match="trigger on airflow:test"):
                await at.airflow.trigger("a", "x", fence=at.fence)
        assert await at.server.hits(fault) == 1
        assert (await at.airflow.dag_runs()).total == (1 if kind is FaultKind.DROP_AFTER else 0)


async def test_somebody_who_triggers_the_same_run_first_is_no_error() -> None:
    async with rig() as at:
        # The first look-up does not see it yet.
        first = await at.airflow.trigger("a", "x", fence=at.fence)
        await at.server.inject(Fault(kind=FaultKind.ERROR, operation="GET", contains="dagRuns/x", status=404))
        assert await at.airflow.trigger("a", "x", fence=at.fence) == first


async def test_health_is_read_from_the_body() -> None:
    setup = Setup(jwt_secret=SECRET, unhealthy=("triggerer", "metadatabase"))
    async with rig(setup=setup) as at:
        health = await at.airflow.health()
        assert health.unhealthy == ("metadatabase", "triggerer")
        assert health.components["triggerer"].status == "unhealthy"


async def test_a_component_that_was_never_there_is_not_healthy() -> None:
    async with rig() as at:
        part = {"status": "healthy"}
        body = {"metadatabase": part, "scheduler": part, "triggerer": {"status": None}, "dag_processor": None}
        await at.server.inject(Fault(kind=FaultKind.ANSWER, body=json.dumps(body)))
        assert (await at.airflow.health()).unhealthy == ("dag_processor", "triggerer")


async def test_an_answer_that_is_too_large_is_not_read() -> None:
    async with rig(max_answer_bytes=65_536) as at:
        body = json.dumps({"dags": [{**LISTED, "description": "x" * 70_000}], "total_entries": 1})
        await at.server.inject(Fault(kind=FaultKind.ANSWER, body=body))
        with pytest.raises(PermanentError, match=r"list dags on airflow:test: TooLarge: .* 65536 bytes"):
            await at.airflow.dags()
        assert at.counted("list dags", "too_large") == 1


async def test_a_refusal_that_is_too_large_is_cut() -> None:
    async with rig() as at:
        await at.server.inject(Fault(kind=FaultKind.ERROR, status=400, message="x" * 1_000_000))
        with pytest.raises(PermanentError) as raised:
            await at.airflow.dags()
        assert len(raised.value.message) < 1000


async def test_a_list_that_is_too_long_is_not_read() -> None:
    async with rig() as at:
        body = json.dumps({"dags": [LISTED], "total_entries": 10_001})
        fault = await at.server.inject(Fault(kind=FaultKind.ANSWER, body=body, times=None))
        with pytest.raises(PermanentError, match="list dags on airflow:test: 10001, and at most 10000 are read"):
            await at.airflow.dags()
        assert await at.server.hits(fault) == 1


async def test_a_list_that_changes_while_it_is_read_is_begun_anew() -> None:
    async with rig(page_size=1) as at:
        first = json.dumps({"dags": [LISTED], "total_entries": 3})
        await at.server.inject(Fault(kind=FaultKind.ANSWER, body=first))
        assert [dag.dag_id for dag in await at.airflow.dags()] == ["a", "b"]
        empty = json.dumps({"dags": [], "total_entries": 3})
        fault = await at.server.inject(Fault(kind=FaultKind.ANSWER, body=empty, times=None))
        with pytest.raises(TransientError, match="list dags on airflow:test: it changes all the time"):
            await at.airflow.dags()
        assert await at.server.hits(fault) == 4


async def test_a_long_log_comes_in_pages_without_gap_or_double_line() -> None:
    lines = tuple(f"line {number} {'x' * 500}" for number in range(1000))
    file = DagFile(filename="f.py", dags=(DagSpec(dag_id="a", tasks=(Task(task_id="task", lines=lines),)),))
    async with rig(setup=Setup(jwt_secret=SECRET, bundles={"one": (file,)}), max_answer_bytes=65_536) as at:
        await at.airflow.set_paused(["a"], False, fence=at.fence)
        await at.airflow.trigger("a", "x", fence=at.fence)
        seen: list[str] = []
        pages = position = 0
        while (page := await at.airflow.log("a", "x", "task", try_number=1, position=position)) is not None:
            seen += [line.event for line in page.lines]
            pages, position = pages + 1, page.position
            if not page.cut:
                break
        assert tuple(seen) == lines
        assert pages > 5


async def test_whatever_a_task_logs_is_a_line() -> None:
    raised = {
        "exc_type": "KeyError",
        "exc_value": "'x'",
        "frames": [{"filename": "f.py", "lineno": 3, "name": "go"}, 7],
    }
    cause = {"exc_type": "OSError", "exc_value": "gone"}
    logged: list[object] = [
        "a text",
        ["a", "list"],
        {"event": 5, "level": 20, "logger": {"a": "b"}, "timestamp": "soon"},
        {"no": "event"},
        {"event": "e", "timestamp": "2026-11-24T14:05:12.660234Z", "error_detail": [raised, cause, "x"]},
        {"event": "f", "error_detail": "none"},
    ]
    async with rig() as at:
        body = "\n".join(json.dumps(line) for line in logged)
        await at.server.inject(Fault(kind=FaultKind.ANSWER, service="logs", body=body))
        page = await at.airflow.log("a", "x", "task", try_number=1)
        assert page is not None
        assert page.lines == (
            LogLine("a text"),
            LogLine("['a', 'list']"),
            LogLine("5"),
            LogLine(""),
            LogLine(
                "e",
                datetime(2026, 11, 24, 14, 5, 12, 660234, UTC),
                error="OSError: gone\n  File \"f.py\", line 3, in go\n  7\nKeyError: 'x'",
            ),
            LogLine("f"),
        )


async def test_a_page_in_place_of_a_log_is_an_answer_that_makes_no_sense() -> None:
    async with rig() as at:
        await at.server.inject(Fault(kind=FaultKind.ANSWER, service="logs", body="<!doctype html>", times=None))
        with pytest.raises(TransientError, match="get log on airflow:test: JSONDecodeError"):
            await at.airflow.log("a", "x", "task", try_number=1)


async def test_a_line_that_is_too_long_is_not_read() -> None:
    file = DagFile(filename="f.py", dags=(DagSpec(dag_id="a", tasks=(Task(task_id="task", lines=("x" * 999_999,)),)),))
    async with rig(setup=Setup(jwt_secret=SECRET, bundles={"one": (file,)}), max_answer_bytes=65_536) as at:
        await at.airflow.set_paused(["a"], False, fence=at.fence)
        await at.airflow.trigger("a", "x", fence=at.fence)
        with pytest.raises(PermanentError, match="a line of the log has more than 65536 bytes"):
            await at.airflow.log("a", "x", "task", try_number=1)


async def test_the_end_of_a_long_traceback_is_kept() -> None:
    file = DagFile(filename="f.py", error="frame\n" * 10_000 + "ValueError: the cause\n")
    async with rig(setup=Setup(jwt_secret=SECRET, bundles={"one": (file,)})) as at:
        [failure] = await at.airflow.import_failures()
        assert failure.stack_trace.endswith("ValueError: the cause\n")
        assert len(failure.stack_trace) == 8_000


async def test_bundles_are_there_once_they_have_been_parsed() -> None:
    async with rig(setup=Setup(jwt_secret=SECRET)) as at:
        file = DagFile(filename="f.py", dags=(DagSpec(dag_id="late"),))
        await at.server.be("test", Setup(jwt_secret=SECRET, bundles={"one": (file,)}, parse_s=30))
        assert await at.airflow.dags() == []
        await asyncio.sleep(30)
        [dag] = await at.airflow.dags()
        assert dag.last_parsed_time is not None


class Gate:
    """A route that nobody gets through; counts who waits, by namespace."""

    forwards_authorization = True

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}

    @asynccontextmanager
    async def send(self, request: ServiceRequest) -> AsyncIterator[ClientResponse]:
        self.waiting[request.namespace] = self.waiting.get(request.namespace, 0) + 1
        yield await asyncio.get_running_loop().create_future()


async def test_one_environment_takes_no_more_calls_at_once_than_it_may_and_none_of_anothers() -> None:
    gate = Gate()
    airflows = adapter(gate, parallel_calls=3)
    one, other = (AirflowAddress(name, "", SECRET) for name in ("one", "other"))

    async def ask(airflow: Airflow) -> None:
        with pytest.raises(TransientError):
            await airflow.version()

    async with asyncio.timeout(600), asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(ask(airflows.of(one)))
        group.create_task(ask(airflows.of(other)))
        await asyncio.sleep(1)
        assert gate.waiting == {"one": 3, "other": 1}


def test_a_dag_in_two_bundles_is_found_before_airflow_flips_it() -> None:
    def dag(dag_id: str, bundle: str | None, *, stale: bool = False) -> Dag:
        return Dag(dag_id, True, stale, bundle, "f.py", None, False)

    live = dag_ids_by_bundle(
        [dag("a", "one"), dag("b", "one"), dag("c", "two"), dag("d", "two", stale=True), dag("e", None)]
    )
    assert live == {"one": {"a", "b"}, "two": {"c"}}
    assert duplicate_dag_ids({**live, "three": ["b", "c", "d", "e"]}) == {"b": ("one", "three"), "c": ("three", "two")}
    assert duplicate_dag_ids(live) == {}
