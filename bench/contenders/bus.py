"""`python -m bench.contenders.bus QUEUE_URL DEAD_LETTERS_URL [--dispatch]`: parts of the agent, put together as it does.

The real consumer: receivers, delivery table, lease ticker, batched acknowledgement, metrics and log lines. By itself, with a
handler that says Delete; no event is read then. With `--dispatch` the real dispatcher stands behind it (decoding, admission,
lanes, places, attempts, handlers that do nothing) on a ledger that keeps nothing, and no report is sent.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, cast

import uvloop

from agentd.bus import BusConfig, Consumer, Intake
from agentd.bus.sqs import SqsQueue
from agentd.cli.stack import CLUSTER_ID, TENANT_ID
from agentd.core import AwsConfig, Delete, Delivery, Disposition, Runtime, spare_the_collector, system_runtime
from agentd.dispatch import Deps, Dispatcher, Outlet, Ports
from agentd.dispatch.config import DispatchConfig
from agentd.dispatch.registry import index
from agentd.events import Audience
from agentd.ledger import Ledger
from agentd.telemetry import Health, Metrics, TelemetryConfig, Tracing, configure_logs
from bench.contenders.ending import Tally
from bench.contenders.memory import ForgetfulLedger, SilentOutlet
from bench.contenders.noop import HANDLERS

_GRACE_S = 5.0


async def _main(url: str, dead_letters_url: str, *, dispatch: bool) -> None:
    runtime, tally, metrics = system_runtime(), Tally(), Metrics()
    health = Health(runtime)
    aws = AwsConfig(region=os.environ["AWS_REGION"], endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    queue = SqsQueue(url, name="commands", aws=aws, runtime=runtime)
    dead_letters = SqsQueue(dead_letters_url, name="dead-letters", aws=aws, runtime=runtime)
    await queue.open()
    await dead_letters.open()
    dispatcher = _dispatcher(runtime, metrics, health) if dispatch else None

    async def handle(delivery: Delivery) -> Disposition:
        tally.handled(delivery.message_id)
        return Delete() if dispatcher is None else await dispatcher.handle(delivery)

    consumer = Consumer(
        queue=queue,
        dead_letters=dead_letters,
        handle=handle,
        sweep=handle,
        intake=Intake(metrics),
        runtime=runtime,
        metrics=metrics,
        health=health,
        config=BusConfig(),
    )
    spare_the_collector()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, consumer.drain, _GRACE_S)
    await _until_drained(consumer, *([dispatcher.run()] if dispatcher else []))
    await queue.close()
    await dead_letters.close()
    tally.tell()


async def _until_drained(consumer: Consumer, *others: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(other) for other in others]
        await consumer.run()
        for task in tasks:
            task.cancel()


def _dispatcher(runtime: Runtime, metrics: Metrics, health: Health) -> Dispatcher:
    deps = Deps(
        audience=Audience(TENANT_ID, CLUSTER_ID),
        owner_id=CLUSTER_ID,
        replica="bench",
        config=DispatchConfig(),
        handlers=index([("bench", handler) for handler in HANDLERS]),
        ports=Ports({}),
        ledger=cast("Ledger", ForgetfulLedger()),
        outlet=cast("Outlet", SilentOutlet()),
        artifacts=None,
        runtime=runtime,
        metrics=metrics,
        tracing=Tracing(TelemetryConfig(), version="bench", replica="bench"),
    )
    return Dispatcher(deps, health)


if __name__ == "__main__":
    configure_logs(TelemetryConfig(log_format="json"), sys.stderr)
    uvloop.run(_main(sys.argv[1], sys.argv[2], dispatch="--dispatch" in sys.argv))
