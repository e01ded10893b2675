"""States that are told of a real world of objects, through gaps and a handing over."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agentd.app.states import diagnose
from agentd.core import Fence, Reason, Subject, system_runtime
from agentd.ledger import Ledger, LedgerConfig
from agentd.ledger.sqlite import SqliteLedger
from agentd.reconcile import StateConfig
from agentd.reconcile.watchers import State, Tools, View, Watcher, environments, pod_failures
from agentd.telemetry import Health, Metrics
from tests.conformance.cluster.relay import Fault, Where
from tests.conformance.cluster.support import DEPLOYMENT, Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CONFIG = StateConfig(interval_s=0.05, save_interval_s=1)
_STATUS = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410}
_MOMENT = "2026-01-01T00:00:00Z"
_EXPIRED: tuple[int, dict[str, str], Any] = (410, {}, _STATUS)


@dataclass
class Plane:
    """The newest state of each subject, and what wakes whoever waits for one."""

    newest: dict[str, State] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def tell(self, states: Sequence[State]) -> Sequence[str | None]:
        for state in states:
            assert state.subject not in self.newest or self.newest[state.subject].sequence < state.sequence
            self.newest[state.subject] = state
        self.news.set()
        return [None] * len(states)

    async def until(self, subject: str, good: Callable[[Any], bool]) -> None:
        """Wait until the newest state of the subject is as it should be; None stands for one that is gone."""
        async with asyncio.timeout(30):
            while subject not in self.newest or not good(self.newest[subject].content):
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def watching(view: View, at: Bench, ledger: Ledger, plane: Plane) -> AsyncIterator[None]:
    """A replica that watches until the block ends."""
    runtime = system_runtime()
    tools = Tools(at.cluster, ledger, plane.tell, runtime, Health(runtime), Metrics(), _CONFIG)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Watcher(view, tools).run())
        yield
        task.cancel()


@pytest.fixture
def fence(at: Bench) -> Fence:
    return at.fence(Subject("environment", str(uuid4())))


async def claim(at: Bench, fence: Fence) -> None:
    """Make the bench's namespace an environment."""
    marks = {
        "app.kubernetes.io/managed-by": "conveyor-agent",
        "conveyor.internal/owner-id": fence.owner_id,
        "conveyor.internal/environment-id": fence.subject.uuid,
        "conveyor.internal/generation": "1",
    }
    await at.hands.patch(f"/api/v1/namespaces/{at.namespace}", {"metadata": {"labels": marks}})


async def test_an_environment_from_its_first_workload_to_its_end(at: Bench, fence: Fence, tmp_path: Path) -> None:
    subject, plane = str(fence.subject), Plane()
    ledger = await SqliteLedger.open(LedgerConfig(path=tmp_path / "ledger.db"), observe=lambda *_: None)
    await claim(at, fence)
    async with watching(environments(fence.owner_id), at, ledger, plane):
        await plane.until(subject, lambda state: state["ready"] and state["workloads"] == [])
        await at.cluster.apply(at.deployment(replicas=0), fence=fence)
        await plane.until(subject, lambda state: [one["wanted"] for one in state["workloads"]] == [0])
        # The history that the watch would go on from is gone: everything is listed again.
        gone = at.relay.show(Fault(Where.BEFORE, "GET", "watch=true", answer=_EXPIRED, times=4))
        at.relay.cut()
        await at.cluster.apply(at.deployment("second", replicas=0), fence=fence)
        await plane.until(subject, lambda state: len(state["workloads"]) == 2)
        assert gone.hits
    last = plane.newest[subject].sequence
    await at.cluster.delete(at.ref("second", DEPLOYMENT), fence=fence, wait_s=5)
    async with watching(environments(fence.owner_id), at, ledger, plane):
        await plane.until(subject, lambda state: len(state["workloads"]) == 1)
        assert plane.newest[subject].sequence > last
        marks = {"conveyor.internal/environment-id": None, "conveyor.internal/owner-id": None}
        await at.hands.patch(f"/api/v1/namespaces/{at.namespace}", {"metadata": {"labels": marks}})
        await plane.until(subject, lambda state: state is None)
    await ledger.close()


async def test_a_pod_that_fails_is_told_until_it_is_gone(at: Bench, fence: Fence, tmp_path: Path) -> None:
    plane = Plane()
    ledger = await SqliteLedger.open(LedgerConfig(path=tmp_path / "ledger.db"), observe=lambda *_: None)
    await claim(at, fence)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "task", "namespace": at.namespace},
        # No kubelet takes it up: what it is said to do stands.
        "spec": {"schedulerName": "nobody", "containers": [{"name": "main", "image": "example/web:1"}]},
    }
    path = f"/api/v1/namespaces/{at.namespace}/pods"
    made = await at.hands.call("POST", path, pod)
    ended = {"exitCode": 3, "reason": "Error", "message": "no such table", "startedAt": _MOMENT, "finishedAt": _MOMENT}
    container = {"name": "main", "image": "example/web:1", "imageID": "", "ready": False, "restartCount": 0}
    failed = {"phase": "Failed", "containerStatuses": [{**container, "state": {"terminated": ended}}]}
    async with watching(pod_failures(fence.owner_id, diagnose), at, ledger, plane):
        await at.hands.patch(f"{path}/task/status", {"status": failed})
        subject = f"pod/{made['metadata']['uid']}"
        await plane.until(subject, lambda state: state["reason"] == Reason.CONTAINER_FAILED)
        state = plane.newest[subject].content
        assert state is not None
        assert (state["name"], state["environment_id"]) == ("task", fence.subject.uuid)
        assert "no such table" in state["message"]
        await at.hands.delete(f"{path}/task", gracePeriodSeconds=0)
        await plane.until(subject, lambda state: state is None)
    await ledger.close()
