"""What an event would change: its handler, run on ports that record instead of writing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from agentd.core import (
    Fence,
    Handler,
    NotReady,
    PermanentError,
    Plan,
    Reason,
    Runtime,
    Subject,
    TransientError,
)
from agentd.dispatch.admission import decide
from agentd.dispatch.obstacles import outcome_of
from agentd.dispatch.ports import Prepare, Tools
from agentd.dispatch.requests import claim_request
from agentd.dispatch.retries import retry_in_place
from agentd.events import Audience, Event, EventData
from agentd.ledger import Foreseen, Ledger, Missing

P = TypeVar("P")
Json = Any  # a step's result, in the handler's own shape

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans. `step_retry_s` and `step_retry_cap_s` as for a step in earnest."""

    prepare: Prepare
    runtime: Runtime
    step_retry_s: float
    step_retry_cap_s: float

    async def plan(self, handler: Handler, event: Event, data: EventData, foreseen: Foreseen) -> Plan:
        """What the event would change now. Raises AgentError: what would end it, or what it would wait for."""
        return await self.plan_for(handler, event.subject, event.envelope.id, data, foreseen)

    async def plan_for(
        self, handler: Handler, subject: Subject, event_id: str, data: EventData, foreseen: Foreseen
    ) -> Plan:
        """The same of an event that nobody has sent."""
        plan = Plan()
        tools = self.prepare(plan, subject, foreseen.generation, event_id)
        context = PlanContext(self, tools, subject, foreseen)
        try:
            async with asyncio.timeout(handler.timeout_s):
                await handler.run(context, data)
        except TimeoutError as error:
            message = f"no plan of {handler.event.type} within {handler.timeout_s:g} s"
            raise TransientError(Reason.TIMED_OUT, message) from error
        return plan

    async def hold_to(self, planhash: str, handler: Handler, event: Event, data: EventData, given: Foreseen) -> None:
        """Return when the event would change what the plan of this hash says, and nothing else.

        Raises PermanentError(plan_outdated), and whatever else keeps a plan from being made.
        """
        now = (await self.plan(handler, event, data, given)).json()
        if now["hash"] != planhash:
            message = f"planhash: found {planhash}, but the plan is {now['hash']} now: {_in_short(now)}"
            raise PermanentError(Reason.PLAN_OUTDATED, message)


async def plan_event(
    event: Event, planner: Planner, *, handlers: Mapping[str, Handler], audience: Audience, ledger: Ledger
) -> Plan:
    """What the event would change if it came now, as it is, with its data. Raises AgentError: why it would not be carried out."""
    now = planner.runtime.now()
    handler = handlers.get(event.envelope.type)
    if handler is None or event.data is None:
        raise PermanentError(
            Reason.UNSUPPORTED, f"no handler for {event.envelope.type} is installed, or data is missing"
        )
    refusal = decide(event, audience, now=now)
    if refusal is not None and refusal.reason is not None:
        raise PermanentError(refusal.reason, refusal.message)
    request = claim_request(event, event.data, handler, replica="plan", now=now, until=now)
    foreseen = await ledger.foresee(request)
    if isinstance(foreseen, Missing):
        raise NotReady(f"{event.subject} has not been created: nothing is known of its {foreseen.facet}")
    if not isinstance(foreseen, Foreseen):
        end = outcome_of(foreseen, event)
        raise PermanentError(end.reason or Reason.INTERNAL_ERROR, end.message)
    return await planner.plan(handler, event, event.data, foreseen)


class PlanContext:
    """Implements `agentd.core.Context` for one plan: every step is done, none is written down."""

    def __init__(self, planner: Planner, tools: Tools, subject: Subject, foreseen: Foreseen) -> None:
        self._planner = planner
        self._tools = tools
        self._subject = subject
        self._foreseen = foreseen

    @property
    def subject(self) -> Subject:
        """The event's subject."""
        return self._subject

    @property
    def generation(self) -> int:
        """The newest generation that will have been claimed of the subject."""
        return self._foreseen.generation

    def desired(self, facet: str) -> Json:
        """What will be desired of a facet of the subject."""
        return self._foreseen.desired.get(facet)

    @property
    def fence(self) -> Fence:
        """The right to write nothing."""
        return self._tools.fence

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._planner.runtime.now()

    def random_bytes(self, size: int) -> bytes:
        """Random bytes; nobody keeps what is made of them."""
        return self._planner.runtime.random_bytes(size)

    def port(self, kind: type[P]) -> P:
        """The port that plans."""
        return self._tools.ports.get(kind)

    def has_port(self, kind: type) -> bool:
        """Whether this installation has an adapter for a port."""
        return kind in self._tools.ports

    async def step(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """Do the step."""
        del name
        try:
            return await work()
        except TransientError as error:
            return await retry_in_place(
                work,
                error,
                self._planner.runtime,
                budget_s=self._planner.step_retry_s,
                cap_s=self._planner.step_retry_cap_s,
                on_failure=lambda _error: None,
            )

    def progress(self, message: str) -> None:
        """Nobody is told: nothing is done."""


def _in_short(plan: Mapping[str, Json]) -> str:
    changes = plan["changes"]
    shown = [f"{change['action']} {change['object']}" for change in changes[:_SHOWN]]
    more = len(changes) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])]) or "nothing is to be done"
