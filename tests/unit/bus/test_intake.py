"""The valve before every receive."""

import asyncio

from agentd.bus import Intake
from agentd.telemetry import Metrics


async def test_it_opens_when_the_last_reason_is_gone() -> None:
    metrics = Metrics()
    intake = Intake(metrics)
    await intake.open()
    intake.pause("operator")
    intake.pause("operator")
    intake.pause("outbox_full")
    waiting = asyncio.create_task(intake.open())
    intake.resume("operator")
    await asyncio.sleep(0)
    assert not waiting.done()
    assert intake.reasons == {"outbox_full"}
    intake.resume("outbox_full")
    intake.resume("draining")
    async with asyncio.timeout(5):
        await waiting
    assert intake.reasons == frozenset()


def test_reasons_are_shown_from_the_start() -> None:
    metrics = Metrics()
    Intake(metrics).pause("draining")
    shown = {
        why: metrics.registry.get_sample_value("agentd_intake_paused", {"why": why})
        for why in ("outbox_full", "draining", "operator")
    }
    assert shown == {"outbox_full": 0, "draining": 1, "operator": 0}
