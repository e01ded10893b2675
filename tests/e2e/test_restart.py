"""A restart with many live subjects changes nothing, and neither does hearing of them again."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agentd.cli.control_plane import ControlPlane, control_plane, event
from agentd.cli.stack import start_stack
from agentd.core import system_runtime
from agentd.events import EnvironmentCreate, EventData, ProjectCreate
from tests.e2e.harness import running, settled, uuid_of

PROJECTS = 500
ENVIRONMENTS = 200
SETTINGS = {"AGENTD_BUS__SLOTS": "200", "AGENTD_REGISTRY__CALL_TIMEOUT_S": "60", "AGENTD_DISPATCH__LANE_WAIT_S": "60"}

Make = Callable[[int], EventData]


def project(number: int) -> EventData:
    """A project of its own for each number."""
    return ProjectCreate(project_id=uuid_of(f"project {number}"), project_name=f"project-{number}")


def environment(number: int) -> EventData:
    """An environment of its own for each number."""
    return EnvironmentCreate(environment_id=uuid_of(f"environment {number}"), environment_name=f"env{number}")


def creations(make: Make, number: int, generation: int) -> list[tuple[str, str]]:
    """Event ids and bodies that create or renew every subject."""
    return [
        (event_id, event(make(index), generation, event_id=event_id))
        for index in range(number)
        for event_id in [uuid_of(f"create {index} {generation}")]
    ]


async def ask_for(plane: ControlPlane, wanted: Sequence[tuple[str, str]]) -> None:
    """Send them all."""
    for _, body in wanted:
        await plane.send(body)


async def changed(plane: ControlPlane, wanted: Sequence[tuple[str, str]], *, count: int = 1) -> set[tuple[str, bool]]:
    """The outcomes of all of them, once each has been reported so often."""
    reports = [await plane.report(event_id, count=count, timeout_s=240) for event_id, _ in wanted]
    return {(report["data"]["outcome"], report["data"]["changed"]) for report in reports}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "number", "stamps"),
    [
        pytest.param(project, PROJECTS, {("ecr", "TagResource"), ("patch", "configmaps")}, id="500 projects"),
        pytest.param(
            environment,
            ENVIRONMENTS,
            {
                ("patch", resource)
                for resource in (
                    "configmaps",
                    "deployments",
                    "jobs",
                    "leases",
                    "limitranges",
                    "namespaces",
                    "networkpolicies",
                    "persistentvolumeclaims",
                    "resourcequotas",
                    "rolebindings",
                    "roles",
                    "secrets",
                    "serviceaccounts",
                    "services",
                    "statefulsets",
                )
            },
            id="200 environments",
        ),
    ],
)
async def test_a_restart_with_live_subjects_and_their_events_once_more_write_nothing(
    tmp_path: Path, make: Make, number: int, stamps: set[tuple[str, str]]
) -> None:
    async with start_stack(tmp_path) as stack, control_plane(stack, system_runtime()) as plane:
        first = creations(make, number, 1)
        await ask_for(plane, first)
        async with running(stack, **SETTINGS):
            assert await changed(plane, first) == {("succeeded", True)}
            await settled(stack)

        await stack.reset_calls()
        async with running(stack, **SETTINGS) as daemon:
            status, text = await daemon.get("/status")
            assert status == 200
            assert f'"finished_events": {number}' in text or f'"finished_events":{number}' in text
            assert await stack.writes() == {}, "a restart is read-only"

            await ask_for(plane, first)
            assert await changed(plane, first, count=2) == {("succeeded", True)}
            assert await stack.writes() == {}, "the same events again write nothing"

            second = creations(make, number, 2)
            await ask_for(plane, second)
            assert await changed(plane, second) == {("succeeded", False)}
            assert (await stack.writes()).keys() == stamps, "the stamp of the newer generation alone"
