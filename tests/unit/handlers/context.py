"""The context that handlers get in these tests: real ports, a fence that remembers, and what the ledger would keep."""

import time
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from random import Random, SystemRandom
from typing import Any, TypeVar, cast

from agentd.core import Context, Handler, Plan, PlanFence, Subject
from agentd.events import EventData
from agentd.platform import ImageRegistry, RepositoryDefaults
from agentd.platform.planning import planning_ports
from tests.conformance.registry.support import Bench, RecordingFence

P = TypeVar("P")


@dataclass
class HandlerContext:
    """One event's work. Steps are journaled, so that a second run with the same context resumes after the last one done."""

    ports: Mapping[type, object]
    steps: tuple[str, ...]
    fence: RecordingFence
    wanted: Mapping[str, Any]
    clock: Callable[[], float]
    random: Random = field(default_factory=SystemRandom)
    journal: dict[str, Any] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    @property
    def subject(self) -> Subject:
        return self.fence.subject

    @property
    def generation(self) -> int:
        return self.fence.generation

    def desired(self, facet: str) -> Any:
        return self.wanted.get(facet)

    def now(self) -> float:
        return self.clock()

    def random_bytes(self, size: int) -> bytes:
        return self.random.randbytes(size)

    def port(self, kind: type[P]) -> P:
        return cast("P", self.ports[kind])

    def has_port(self, kind: type) -> bool:
        return kind in self.ports

    async def step(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        assert name in self.steps, f"{name} is not declared"
        if name not in self.journal:
            self.journal[name] = await work()
        return self.journal[name]

    def progress(self, message: str) -> None:
        self.messages.append(message)


@dataclass
class Control:
    """Runs handlers as the dispatcher would. `ports` are those beside the registry."""

    at: Bench
    ports: dict[type, object] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    _claims: dict[Subject, dict[str, tuple[int, Any]]] = field(default_factory=dict)

    async def run(
        self, handler: Handler, data: EventData, *, generation: int = 1, event_id: str | None = None
    ) -> RecordingFence:
        """One event, with a lease of its own and an empty journal; the fence tells what it wrote."""
        context = self.context(handler, data, generation=generation, event_id=event_id)
        await self.resume(handler, data, context)
        return context.fence

    async def plan(self, handler: Handler, data: EventData, *, generation: int = 1) -> Plan:
        """What the event would change if it came now; nothing of it is claimed."""
        plan = Plan()
        claims = deepcopy(self._claims)
        context = self.context(handler, data, generation=generation)
        self._claims = claims
        asked = context.fence
        fence = PlanFence(asked.subject, asked.generation, asked.event_id, asked.owner_id)
        ports = planning_ports(context.ports, plan)
        # It is no fence that remembers, and nobody asks it what it remembers.
        planned = replace(context, ports=ports, fence=cast("RecordingFence", fence))
        checked: Context = planned
        await handler.run(checked, data)
        return plan

    def context(
        self, handler: Handler, data: EventData, *, generation: int = 1, event_id: str | None = None
    ) -> HandlerContext:
        """What an event is given at its first attempt: the newest that has been claimed of each facet of its subject."""
        assert handler.event is type(data)
        subject = Subject(data.kind(), data.own_id()[1])
        claims = self._claims.setdefault(subject, {})
        for facet, value in data.desired().items():
            if data.deletes:
                continue
            if facet not in claims or claims[facet][0] <= generation:
                claims[facet] = (generation, value)
        newest = max([generation if data.facets else 0, *(claimed for claimed, _ in claims.values())])
        fence = self.at.fence(subject, newest or generation)
        fence.event_id = event_id or fence.event_id
        ports = {ImageRegistry: self.at.registry, RepositoryDefaults: self.at.config.defaults(), **self.ports}
        wanted = {facet: value for facet, (_, value) in claims.items()}
        return HandlerContext(ports, handler.steps, fence, wanted, self.clock)

    async def resume(self, handler: Handler, data: EventData, context: HandlerContext) -> None:
        """One attempt."""
        checked: Context = context
        await handler.run(checked, data)
        if data.deletes:
            self._claims.pop(context.subject, None)
