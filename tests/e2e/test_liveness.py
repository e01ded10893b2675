"""What hangs or blocks the daemon is named by `/livez` within 15 s, and what only looks like it is not."""

import asyncio
import json
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agentd import __version__
from agentd.cli.control_plane import control_plane, event
from agentd.cli.stack import DaemonProcess, start_stack
from agentd.core import system_runtime
from agentd.dispatch.places import Places
from agentd.events import ProjectCreate
from agentd.telemetry import Health, Metrics, TelemetryConfig
from agentd.telemetry.http import TelemetryServer
from tests.e2e.harness import eventually, replicas, running, uuid_of

pytestmark = pytest.mark.slow

WITHIN_S = 15.0
BLOCKED_S = 18

# Somebody's own build of the agent: its handlers, of which one does what no handler may.
PLUGIN = f'''
"""Handlers of a third party."""

import time
from agentd.core import Context, handler
from agentd.events import ProjectCreate
from handlers import HANDLERS as BUILTIN

def look_something_up() -> None:
    time.sleep({BLOCKED_S})

@handler(ProjectCreate, steps=("look something up",), timeout_s=60)
async def create(ctx: Context, data: ProjectCreate) -> None:
    async def work() -> None:
        look_something_up()
    await ctx.step("look something up", work)

HANDLERS = [create, *(builtin for builtin in BUILTIN if builtin.event is not ProjectCreate)]
'''


def plugin(folder: Path) -> Mapping[str, str]:
    """Install it beside the agent; what leads a daemon to it."""
    info = folder / "plugins" / f"agentd-{__version__}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: agentd\nVersion: {__version__}\n")
    (info / "entry_points.txt").write_text("[agentd.handlers]\nthird_party = third_party:HANDLERS\n")
    (info.parent / "third_party.py").write_text(PLUGIN)
    return {"PYTHONPATH": str(info.parent)}


async def live(daemon: DaemonProcess) -> bool:
    status, _ = await daemon.get("/livez")
    return status == 200


async def ailing(daemon: DaemonProcess, *, within_s: float) -> str:
    """What `/livez` says once it fails."""
    said = ""

    async def fails() -> bool:
        nonlocal said
        status, said = await daemon.get("/livez")
        return status == 503

    await eventually(fails, within_s=within_s)
    return said


async def stays_live(daemon: DaemonProcess, *, for_s: float) -> None:
    """Returns when liveness has not failed for so long."""
    began_at = time.monotonic()

    async def long_enough() -> bool:
        status, said = await daemon.get("/livez")
        assert status == 200, said
        return time.monotonic() - began_at > for_s

    await eventually(long_enough, within_s=2 * for_s)


async def test_a_handler_that_blocks_the_loop_is_named_while_it_does(tmp_path: Path) -> None:
    async with (
        start_stack(tmp_path) as stack,
        control_plane(stack, system_runtime()) as plane,
        running(stack, **plugin(tmp_path)) as daemon,
    ):
        body = event(ProjectCreate(project_id=uuid_of("blocking"), project_name="blocking"), 1)
        await plane.send(body)
        said = await ailing(daemon, within_s=WITHIN_S)
        pages = {path: await daemon.get(path) for path in ("/metrics", "/status", "/readyz")}

        async def recovered() -> bool:
            return await live(daemon)

        await eventually(recovered, within_s=BLOCKED_S)
        report = await plane.report(json.loads(body)["id"])
    (line,) = said.splitlines()
    assert line.startswith("the event loop has not answered for ")
    assert "third_party.py:10 look_something_up" in line
    assert ": task " in line
    assert pages["/metrics"][0] == 200
    assert [pages[path][0] for path in ("/status", "/readyz")] == [503, 503]
    assert "the event loop does not answer" in pages["/status"][1]
    assert report["data"]["outcome"] == "succeeded", "the lease was longer than that"
    logged = (tmp_path / "agentd.log").read_text()
    assert logged.count("loop.blocked") == 1


async def test_a_receive_that_hangs_is_named_and_a_lost_cloud_is_not(tmp_path: Path) -> None:
    async with start_stack(tmp_path) as stack, replicas(stack, 1) as (replica,):
        replica.tap.swallowed.add("ReceiveMessage")
        said = await ailing(replica.daemon, within_s=WITHIN_S)
        assert said.startswith("receivers: a receive from commands had no answer in ")
        assert said.endswith("although the queue answers other calls\n")

        replica.tap.swallowed |= {call.operation for call in replica.tap.calls}

        async def forgiven() -> bool:
            return await live(replica.daemon)

        await eventually(forgiven, within_s=30)
        await stays_live(replica.daemon, for_s=30)

        replica.tap.swallowed.clear()

        async def ready() -> bool:
            return (await replica.daemon.get("/readyz"))[0] == 200

        await eventually(ready, within_s=30)


async def test_a_daemon_that_was_stopped_as_a_whole_is_well(tmp_path: Path) -> None:
    async with start_stack(tmp_path) as stack, running(stack) as daemon:
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGSTOP)
        stopped_at = time.monotonic()

        async def long_enough() -> bool:
            return time.monotonic() - stopped_at > 25

        await eventually(long_enough, within_s=30)
        daemon.process.send_signal(signal.SIGCONT)
        await stays_live(daemon, for_s=5)


async def test_a_leaked_place_is_named_over_http_and_forgotten_when_it_is_given_back() -> None:
    runtime = system_runtime()
    health, places = Health(runtime), Places(4, share=0.5, runtime=runtime)
    health.invariant("places", places.check)
    given = AsyncExitStack()

    async def leak() -> None:
        assert await given.enter_async_context(places.place("environment/dev", wait_s=1))

    async def status() -> Mapping[str, object]:
        return {}

    server = TelemetryServer(TelemetryConfig(http_port=0), Metrics(), health, status)
    await server.start()
    try:
        daemon = DaemonProcess({})
        daemon.http_url = f"http://127.0.0.1:{server.port}"
        assert await live(daemon)
        await asyncio.create_task(leak(), name="handle-m-1")
        said = await ailing(daemon, within_s=WITHIN_S)
        assert said == "places: a place of environment/dev is held by task handle-m-1, which has ended\n"
        await given.aclose()

        async def recovered() -> bool:
            return await live(daemon)

        await eventually(recovered, within_s=WITHIN_S)
    finally:
        await server.stop()
