"""The context that handlers get in these tests: the real registry, a fence that remembers, a journal as the ledger keeps it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from agentd.core import Context, Handler, Subject
from agentd.events import EventData
from agentd.platform import ImageRegistry, RepositoryDefaults
from tests.conformance.registry.support import Bench, RecordingFence

P = TypeVar("P")


@dataclass
class HandlerContext:
    """One event's work. Steps are journaled, so that a second run with the same context resumes after the last one done."""

    at: Bench
    steps: tuple[str, ...]
    fence: RecordingFence
    journal: dict[str, Any] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    @property
    def subject(self) -> Subject:
        return self.fence.subject

    @property
    def generation(self) -> int:
        return self.fence.generation

    def port(self, kind: type[P]) -> P:
        found: object = {ImageRegistry: self.at.registry, RepositoryDefaults: self.at.config.defaults()}[kind]
        return cast("P", found)

    async def step(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        assert name in self.steps, f"{name} is not declared"
        if name not in self.journal:
            self.journal[name] = await work()
        return self.journal[name]

    def progress(self, message: str) -> None:
        self.messages.append(message)


@dataclass
class Control:
    """Runs handlers as the dispatcher would."""

    at: Bench

    async def run(
        self, handler: Handler, data: EventData, *, generation: int = 1, event_id: str | None = None
    ) -> RecordingFence:
        """One event, with a lease of its own and an empty journal; the fence tells what it wrote."""
        context = self.context(handler, data, generation=generation, event_id=event_id)
        await self.resume(handler, data, context)
        return context.fence

    def context(
        self, handler: Handler, data: EventData, *, generation: int = 1, event_id: str | None = None
    ) -> HandlerContext:
        """What an event is given at its first attempt."""
        assert handler.event is type(data)
        fence = self.at.fence(Subject(data.kind(), data.own_id()[1]), generation)
        fence.event_id = event_id or fence.event_id
        return HandlerContext(self.at, handler.steps, fence)

    async def resume(self, handler: Handler, data: EventData, context: HandlerContext) -> None:
        """One attempt."""
        checked: Context = context
        await handler.run(checked, data)
