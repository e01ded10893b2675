"""One agent on the simulated ports, as little of it as handlers need: for the world's own tests."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from agentd.core import AgentError, Context, Handler, NotReady, PermanentError, Subject
from agentd.events import (
    BuildCleanup,
    EnvironmentCreate,
    EnvironmentDelete,
    EnvironmentDeploy,
    EnvironmentHibernate,
    EnvironmentReconcile,
    EnvironmentSpec,
    EnvironmentUnlock,
    EnvironmentUpdate,
    EnvironmentWake,
    EventData,
    PackageCreate,
    PackageDelete,
    PackageReconcile,
    ProjectConfigure,
    ProjectCreate,
    ProjectDelete,
    ProjectDeployment,
    ProjectReconcile,
)
from agentd.telemetry import Metrics, bind_event
from handlers import HANDLERS
from tests.conformance.registry.support import RecordingFence
from tests.simulation.world.world import World
from tests.unit.handlers.context import HandlerContext
from tests.virtual_time import VirtualTimeLoop, WallClock, virtual_runtime

T = TypeVar("T")
BY_EVENT: Mapping[type[Any], Handler] = {handler.event: handler for handler in HANDLERS}
_ATTEMPTS = 200
_PAUSE_S = 2.0


def play(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story())


def uid(number: int) -> str:
    """A UUID that is the same in every run."""
    return str(UUID(int=number, version=4))


PROJECT: Mapping[str, Any] = {"project_id": uid(1), "project_name": "shop"}
ENVIRONMENT: Mapping[str, Any] = {"environment_id": uid(2), "environment_name": "dev"}
PACKAGE: Mapping[str, Any] = {"package_id": uid(3), "package_name": "tools"}
BUILDS = (uid(11), uid(12))


def deploy(build: str) -> EnvironmentDeploy:
    """A build of the project, and nothing else, in the environment."""
    project = ProjectDeployment.model_validate({**PROJECT, "build_id": build}, strict=False)
    return EnvironmentDeploy(**ENVIRONMENT, spec=EnvironmentSpec(), projects=(project,))


@dataclass
class Agent:
    """A replica that is given one event after the other, each by an attempt after the other until it is done."""

    world: World
    name: str = "a"
    ports: Mapping[type, object] = field(init=False)
    _claims: dict[Subject, dict[str, Any]] = field(default_factory=dict)
    _events: int = 0

    def __post_init__(self) -> None:
        self.ports = self.world.ports(self.name, metrics=Metrics(), runtime=virtual_runtime())

    async def run(self, data: EventData, generation: int) -> RecordingFence:
        """One event. Raises PermanentError, or the last of too many passing errors."""
        handler = BY_EVENT[type(data)]
        subject = Subject(data.kind(), data.own_id()[1])
        claims = self._claims.setdefault(subject, {})
        if not data.deletes:
            claims |= data.desired()
        self._events += 1
        fence = RecordingFence(subject, self.world.settings.owner_id, generation, uid(1000 + self._events))
        context = HandlerContext(self.ports, handler.steps, fence, dict(claims), WallClock().now)
        with bind_event(event_id=fence.event_id, subject=str(subject), attempt=1):
            await _until_done(lambda: handler.run(_checked(context), data))
        return fence


def _checked(context: HandlerContext) -> Context:
    return context


async def _until_done(attempt: Callable[[], Awaitable[None]]) -> None:
    for _ in range(_ATTEMPTS):
        try:
            await attempt()
        except PermanentError:
            raise
        except (AgentError, NotReady) as error:
            last = error
            await asyncio.sleep(_PAUSE_S)
        else:
            return
    raise last


Step = tuple[EventData, int] | Callable[[World], object]


def life() -> list[Step]:
    """Everything that can be asked for, from beginning to end; and what others do in between."""
    return [*growing(), *(_doing()), *ending()]


def growing() -> list[Step]:
    """Until a project is deployed to an environment."""
    return [
        (ProjectCreate(**PROJECT, default_identity="shop-{{ .Env }}"), 1),
        (ProjectCreate(**PROJECT, default_identity="shop-{{ .Env }}"), 2),
        (PackageCreate(**PACKAGE), 1),
        (ProjectConfigure(**PROJECT, settings={"size": "small"}), 3),
        lambda world: [world.people.push("shop", build) for build in BUILDS],
        (EnvironmentCreate(**ENVIRONMENT, spec=EnvironmentSpec()), 1),
        lambda world: world.people.plant_inside("dev", uid(2)),
        lambda world: world.people.workload("dev", uid(2), "web", 3),
        (EnvironmentUpdate(**ENVIRONMENT, spec=EnvironmentSpec(description="changed")), 2),
        (deploy(BUILDS[0]), 3),
        (deploy(BUILDS[1]), 4),
    ]


def _doing() -> list[Step]:
    return [
        (EnvironmentHibernate(**ENVIRONMENT), 5),
        (EnvironmentWake(**ENVIRONMENT), 6),
        lambda world: world.people.lock("dev", "somebody", lasts_s=30, ago_s=60),
        (EnvironmentUnlock(**ENVIRONMENT), 7),
        (BuildCleanup(**PROJECT, build_id=BUILDS[0]), 4),
        (ProjectReconcile(**PROJECT), 4),
        (PackageReconcile(**PACKAGE), 1),
        (EnvironmentReconcile(**ENVIRONMENT), 7),
    ]


def ending() -> list[Step]:
    """Until nothing is left."""
    return [
        (EnvironmentDelete(**ENVIRONMENT), 8),
        (PackageDelete(**PACKAGE), 2),
        (ProjectDelete(**PROJECT, force=True), 5),
    ]


async def live(agent: Agent, steps: list[Step]) -> None:
    """One step after the other."""
    for step in steps:
        if callable(step):
            step(agent.world)
        else:
            await agent.run(*step)
