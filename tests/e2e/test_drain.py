"""How the daemon stops: in order, in time, or by force; and how it lives through the loss of its cloud."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from agentd.bus import QueueDepth
from agentd.cli.control_plane import ControlPlane, control_plane, event
from agentd.cli.stack import DaemonProcess, Stack, free_port, start_stack
from agentd.core import system_runtime
from agentd.embedded import Fault, FaultKind
from agentd.events import ProjectCreate
from tests.e2e.harness import SHORT, Replica, depth, eventually, replicas, settled, uuid_of
from tests.e2e.witness import read_rows

EVENTS = 40
# Four at work, some waiting for their turn, most of them still on the queue.
CROWDED = {"AGENTD_DISPATCH__MAX_RUNNING": "4", "AGENTD_BUS__SLOTS": "12"}


def creation(number: int) -> str:
    """The creation of a project of its own."""
    data = ProjectCreate(project_id=uuid_of(f"drain {number}"), project_name=f"drain-{number}")
    return event(data, 1, event_id=uuid_of(f"create drain {number}"))


async def slow_registry(stack: Stack, delay_s: float) -> None:
    """Every creation of a repository takes its time."""
    await stack.cloud.inject(
        Fault(kind=FaultKind.DELAY, service="ecr", operation="CreateRepository", delay_s=delay_s, times=None)
    )


@asynccontextmanager
async def busy(folder: Path, *, call_s: float, **settings: str) -> AsyncIterator[tuple[Stack, ControlPlane, Replica]]:
    """A daemon in the middle of a burst, four registry calls of it open."""
    async with (
        start_stack(folder, visibility_s=30) as stack,
        control_plane(stack, system_runtime()) as plane,
        replicas(stack, 1, **CROWDED, **settings) as (replica,),
    ):
        await slow_registry(stack, call_s)
        async with asyncio.TaskGroup() as group:
            for number in range(EVENTS):
                group.create_task(plane.send(creation(number)))

        async def in_the_middle() -> bool:
            now = time.time()
            return sum(call.open_at(now) for call in replica.tap.of("CreateRepository")) == 4

        await eventually(in_the_middle)
        yield stack, plane, replica


def send_signal(daemon: DaemonProcess) -> float:
    """SIGTERM; the moment."""
    assert daemon.process is not None
    moment = time.time()
    daemon.process.send_signal(signal.SIGTERM)
    return moment


async def end(daemon: DaemonProcess, *, within_s: float) -> int:
    """The exit code, which must come in time."""
    async with asyncio.timeout(within_s):
        return await daemon.wait()


def finished(stack: Stack) -> set[str]:
    """The ids of the events that have an outcome."""
    sql = "SELECT event_id FROM events WHERE outcome = 'succeeded'"
    return {row["event_id"] for row in read_rows(stack.folder / "ledger.db", sql)}


def under_way(replica: Replica, moment: float) -> set[str]:
    """The ids of the events whose registry call was open then."""
    return {
        uuid_of(f"create drain {number}")
        for number in range(EVENTS)
        for call in replica.tap.of("CreateRepository", containing=f'/project/drain-{number}"')
        if call.open_at(moment)
    }


async def test_sigterm_finishes_what_runs_and_gives_the_rest_back_at_once(tmp_path: Path) -> None:
    async with busy(tmp_path, call_s=1.5) as (stack, plane, replica):
        signalled_at = send_signal(replica.daemon)
        assert await end(replica.daemon, within_s=15) == 0

        late = [call for call in replica.tap.of("ReceiveMessage") if call.began_at > signalled_at + 0.1]
        assert late == []
        ended = finished(stack)
        running = under_way(replica, signalled_at)
        assert len(running) == 4
        assert running <= ended
        assert await depth(stack, stack.commands_url) == QueueDepth(visible=EVENTS - len(ended), in_flight=0, delayed=0)
        for event_id in ended:
            await plane.report(event_id, timeout_s=5)

        await stack.cloud.clear()
        async with replicas(stack, 1):
            for number in range(EVENTS):
                report = await plane.report(uuid_of(f"create drain {number}"), timeout_s=20)
                assert report["data"]["outcome"] == "succeeded"
            await settled(stack)


@pytest.mark.slow
async def test_a_second_sigterm_aborts_and_the_messages_come_back(tmp_path: Path) -> None:
    async with busy(tmp_path, call_s=20, **SHORT) as (stack, _, replica):
        send_signal(replica.daemon)
        await draining(replica.daemon)
        send_signal(replica.daemon)
        assert await end(replica.daemon, within_s=8) == 3

        async def all_back() -> bool:
            return await depth(stack, stack.commands_url) == QueueDepth(visible=EVENTS, in_flight=0, delayed=0)

        await eventually(all_back, within_s=5)


@pytest.mark.slow
async def test_a_drain_that_hangs_is_cut(tmp_path: Path) -> None:
    limits = {"AGENTD_DRAIN__GRACE_S": "1", "AGENTD_DRAIN__FLUSH_S": "0.5", "AGENTD_DRAIN__HARD_EXIT_S": "3"}
    async with busy(tmp_path, call_s=30, **limits) as (stack, _, replica):
        # Nothing can be given back, so the drain waits for that.
        await stack.cloud.inject(
            Fault(kind=FaultKind.DELAY, service="sqs", operation="ChangeMessageVisibilityBatch", delay_s=30, times=None)
        )
        signalled_at = send_signal(replica.daemon)
        assert await end(replica.daemon, within_s=10) == 3
        assert 2.9 < time.time() - signalled_at < 5
        assert "the drain did not come to its end" in (stack.folder / "agentd-0.log").read_text()


async def test_sigterm_at_start_up_ends_it_although_the_queue_cannot_be_reached(tmp_path: Path) -> None:
    nobody = free_port()
    log = tmp_path / "agentd.log"
    settings = {
        "AWS_ACCESS_KEY_ID": "111122223333",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AGENTD_TENANT_ID": uuid_of("tenant"),
        "AGENTD_CLUSTER_ID": uuid_of("cluster"),
        "AGENTD_AWS__REGION": "eu-west-1",
        "AGENTD_AWS__ENDPOINT_URL": f"http://127.0.0.1:{nobody}",
        "AGENTD_COMMANDS__QUEUE_URL": f"http://127.0.0.1:{nobody}/111122223333/commands",
        "AGENTD_REPORTS_QUEUE_URL": f"http://127.0.0.1:{nobody}/111122223333/reports",
        "AGENTD_LEDGER__PATH": str(tmp_path / "ledger.db"),
    }
    daemon = DaemonProcess(settings, log=log)
    await daemon.spawn()

    async def has_tried() -> bool:
        return log.exists() and log.read_text().count('"queue.unreachable"') >= 2

    try:
        await eventually(has_tried)
        assert (await daemon.get("/livez"))[0] == 200
        assert (await daemon.get("/readyz"))[0] == 503
        send_signal(daemon)
        assert await end(daemon, within_s=5) == 0
    finally:
        await daemon.kill()
    assert "Traceback" not in log.read_text()


@pytest.mark.slow
async def test_a_lost_cloud_fails_readiness_but_not_liveness_and_work_goes_on_when_it_is_back(tmp_path: Path) -> None:
    port, runtime = free_port(), system_runtime()
    async with start_stack(tmp_path, port=port) as stack, control_plane(stack, runtime) as plane:
        # The next stack's cluster is another one: this is about the cloud.
        environment = stack.environment(**SHORT, AGENTD_CLUSTER__ACCESS="none")
        daemon = DaemonProcess(environment, log=tmp_path / "agentd.log")
        await daemon.start()
        await plane.send(creation(1))
        await plane.report(uuid_of("create drain 1"))
    try:
        await eventually(lambda: answers(daemon, "/readyz", 503), within_s=30)
        _, why = await daemon.get("/readyz")
        assert "commands: not ready" in why
        assert await answers(daemon, "/livez", 200)
        # A new cloud knows nothing of the old one's messages; the daemon has to find its way back to the queues by itself.
        async with start_stack(tmp_path, port=port) as stack, control_plane(stack, runtime) as plane:
            await plane.send(creation(2))
            report = await plane.report(uuid_of("create drain 2"), timeout_s=40)
            assert report["data"]["outcome"] == "succeeded"
            await eventually(lambda: answers(daemon, "/readyz", 200))
            assert await answers(daemon, "/livez", 200)
            assert await daemon.stop() == 0
    finally:
        await daemon.kill()


async def answers(daemon: DaemonProcess, path: str, status: int) -> bool:
    """Whether a page answers with this status."""
    return (await daemon.get(path))[0] == status


async def draining(daemon: DaemonProcess) -> None:
    """Returns when the daemon has taken note that it shall stop."""

    async def noted() -> bool:
        try:
            _, text = await daemon.get("/status")
        except aiohttp.ClientError:
            return False
        document = json.loads(text)
        return bool(document["draining"])

    await eventually(noted)
