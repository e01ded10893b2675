"""A restart with many live subjects changes nothing, and neither does hearing of them again."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from agentd.cli.control_plane import ControlPlane, control_plane, event
from agentd.cli.stack import Stack, start_stack
from agentd.core import system_runtime
from agentd.events import ProjectCreate
from tests.e2e.harness import running, settled, uuid_of

SUBJECTS = 500
SETTINGS = {"AGENTD_BUS__SLOTS": "200", "AGENTD_REGISTRY__CALL_TIMEOUT_S": "60", "AGENTD_DISPATCH__LANE_WAIT_S": "60"}


def creations(generation: int) -> list[tuple[str, str]]:
    """Event ids and bodies that create or renew every project."""
    return [
        (
            event_id,
            event(
                ProjectCreate(project_id=uuid_of(f"project {number}"), project_name=f"project-{number}"),
                generation,
                event_id=event_id,
            ),
        )
        for number in range(SUBJECTS)
        for event_id in [uuid_of(f"create {number} {generation}")]
    ]


async def ask_for(plane: ControlPlane, wanted: Sequence[tuple[str, str]]) -> None:
    for _, body in wanted:
        await plane.send(body)


async def changed(plane: ControlPlane, wanted: Sequence[tuple[str, str]], *, count: int = 1) -> set[tuple[str, bool]]:
    """The outcomes of all of them, once each has been reported so often."""
    reports = [await plane.report(event_id, count=count, timeout_s=240) for event_id, _ in wanted]
    return {(report["data"]["outcome"], report["data"]["changed"]) for report in reports}


async def writes(stack: Stack) -> dict[tuple[str, str], int]:
    """Writes of any kind but those that belong to receiving and reporting."""
    counted = stack.cloud.writes(await stack.cloud.calls())
    return {call: number for call, number in counted.items() if call[0] != "sqs"}


@pytest.mark.slow
async def test_a_restart_with_500_live_subjects_and_their_events_once_more_write_nothing(tmp_path: Path) -> None:
    async with start_stack(tmp_path) as stack, control_plane(stack, system_runtime()) as plane:
        first = creations(1)
        await ask_for(plane, first)
        async with running(stack, **SETTINGS):
            assert await changed(plane, first) == {("succeeded", True)}
            await settled(stack)

        await stack.cloud.reset_calls()
        async with running(stack, **SETTINGS) as daemon:
            status, text = await daemon.get("/status")
            assert status == 200
            assert '"finished_events": 500' in text or '"finished_events":500' in text
            assert await writes(stack) == {}, "a restart is read-only"

            await ask_for(plane, first)
            assert await changed(plane, first, count=2) == {("succeeded", True)}
            assert await writes(stack) == {}, "the same events again write nothing"

            second = creations(2)
            await ask_for(plane, second)
            assert await changed(plane, second) == {("succeeded", False)}
            assert await writes(stack) == {("ecr", "TagResource"): SUBJECTS}, "the stamp of the newer generation"
