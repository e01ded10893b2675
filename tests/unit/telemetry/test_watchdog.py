"""The event loop, watched from another thread."""

import asyncio
import io
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

from agentd.core import system_runtime
from agentd.telemetry import Health, Metrics, TelemetryConfig, configure_logs
from agentd.telemetry.watchdog import Watchdog
from agentd.telemetry.whereabouts import whereabouts

FAST = TelemetryConfig(lag_interval_s=0.01, lag_warn_s=0.05, lag_late_after_s=0.1, log_format="json")


@asynccontextmanager
async def watched(metrics: Metrics) -> AsyncIterator[Watchdog]:
    """A watchdog in a thread, for the loop of the test."""
    watchdog = Watchdog(
        FAST,
        Health(system_runtime()),
        metrics,
        watched=asyncio.get_running_loop(),
        thread_id=threading.get_ident(),
    )
    other = asyncio.SelectorEventLoop()
    watching = other.create_task(watchdog.run())
    thread = asyncio.create_task(asyncio.to_thread(other.run_until_complete, asyncio.wait([watching])))
    try:
        yield watchdog
    finally:
        other.call_soon_threadsafe(watching.cancel)
        await thread
        other.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_blocked_loop_is_named_while_it_lasts_and_logged_once() -> None:
    lines, metrics = io.StringIO(), Metrics()
    configure_logs(FAST, lines)
    found: list[tuple[str, ...]] = []
    async with watched(metrics) as watchdog:
        await until(lambda: watchdog.checkup_age_s)

        def ask(blocked: threading.Event) -> None:
            while not (ailments := watchdog.ailments()):
                blocked.wait(0.001)
            found.append(ailments)
            found.append(watchdog.ailments())
            blocked.set()

        async def block() -> None:
            blocked = threading.Event()
            asking = threading.Thread(target=ask, args=(blocked,))
            asking.start()
            blocked.wait(10)
            asking.join()

        await asyncio.create_task(block(), name="handle-m-1")
        await until(lambda: not watchdog.ailments())
        await until(lambda: "loop.late" in lines.getvalue())
    for (ailment,) in found:
        assert ailment.startswith("the event loop has not answered for ")
        assert ": task handle-m-1 is in " in ailment
        assert "test_watchdog.py" in ailment
    logged = [json.loads(line) for line in lines.getvalue().splitlines()]
    (blocked,) = [line for line in logged if line["event"] == "loop.blocked"]
    assert (blocked["level"], blocked["silent_s"] >= 0.1) == ("error", True)
    assert "task handle-m-1 is in" in blocked["whereabouts"]
    (late,) = [line for line in logged if line["event"] == "loop.late"]
    assert late["lag_s"] >= 0.1


async def test_a_short_hold_up_is_a_warning_and_no_ailment() -> None:
    lines, metrics = io.StringIO(), Metrics()
    configure_logs(FAST, lines)
    async with watched(metrics) as watchdog:
        await until(metrics.loop_lag._value.get)
        time.sleep(0.08)  # noqa: ASYNC251 - what is measured
        await until(lambda: "loop.late" in lines.getvalue())
        assert watchdog.ailments() == ()
    assert "loop.blocked" not in lines.getvalue()


async def test_whereabouts_name_who_called_the_standard_library() -> None:
    told: list[str] = []
    main, loop = threading.get_ident(), asyncio.get_running_loop()
    entered, asked = threading.Event(), threading.Event()

    def ask() -> None:
        entered.wait(5)
        told.append(whereabouts(main, loop))
        asked.set()

    def handler_of_somebody() -> None:
        entered.set()
        asked.wait(5)

    asking = threading.Thread(target=ask)
    asking.start()
    handler_of_somebody()
    asking.join()
    (text,) = told
    innermost, caller = text.partition(" is in ")[2].split(" < ")[:2]
    assert innermost.split(":")[0].endswith("threading.py")
    assert caller.split(":")[0] == "unit/telemetry/test_watchdog.py"
    assert caller.endswith(" handler_of_somebody")


async def test_a_thread_that_is_gone_is_nowhere() -> None:
    with closing(asyncio.new_event_loop()) as loop:
        assert whereabouts(0, loop) == "no task is in no Python code"
