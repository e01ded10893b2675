"""What a handler is given while it runs."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from agentd.core import Handler, NotReady, Preempted, Subject, TransientError
from agentd.dispatch.deps import Deps
from agentd.dispatch.fence import LedgerFence
from agentd.dispatch.leases import Lease
from agentd.dispatch.retries import retry_in_place
from agentd.events import Event
from agentd.ledger import Claimed

P = TypeVar("P")
Json = Any  # a step's result, in the handler's own shape


class RunContext:
    """Implements `agentd.core.Context` for one attempt."""

    def __init__(
        self,
        deps: Deps,
        *,
        handler: Handler,
        event: Event,
        claimed: Claimed,
        lease: Lease,
        newer_delete: Callable[[], bool],
    ) -> None:
        self._deps = deps
        self._handler = handler
        self._event = event
        self._claimed = claimed
        self._lease = lease
        self._fence: LedgerFence | None = None
        self._newer_delete = newer_delete
        self._journal = dict(claimed.journal)
        self._told = 0
        self.current_step: str | None = None

    @property
    def subject(self) -> Subject:
        """The event's subject."""
        return self._claimed.claim.subject

    @property
    def generation(self) -> int:
        """The newest generation claimed of the subject."""
        return self._claimed.generation

    def desired(self, facet: str) -> Json:
        """What is desired of a facet of the subject."""
        return self._claimed.desired.get(facet)

    @property
    def fence(self) -> LedgerFence:
        """The right to write."""
        if self._fence is None:
            self._fence = LedgerFence(
                self._lease,
                self._deps.ledger,
                self._deps.runtime,
                self._deps.audit,
                event_id=self._event.envelope.id,
                generation=self._claimed.generation,
                owner_id=self._deps.owner_id,
                margin_s=self._deps.config.fence_margin_s,
                spend=self._deps.spend,
            )
        return self._fence

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._deps.runtime.now()

    def random_bytes(self, size: int) -> bytes:
        """Random bytes."""
        return self._deps.runtime.random_bytes(size)

    def port(self, kind: type[P]) -> P:
        """The adapter behind a port."""
        return self._deps.ports.get(kind)

    def has_port(self, kind: type) -> bool:
        """Whether this installation has an adapter for a port."""
        return kind in self._deps.ports

    async def step(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """Do a declared step, or return what an earlier attempt recorded for it."""
        if name not in self._handler.steps:
            raise ValueError(f"{self._handler.event.__name__} declares no step {name!r}")
        if name in self._journal:
            return self._journal[name]
        self._boundary()
        self.current_step = name
        self.progress("")
        duration = self._deps.metrics.handler_step_duration.labels(self._handler.event.type, name)
        with duration.time(), self._deps.tracing.span("step", step=name, attempt=self._claimed.attempt):
            result = await self._persistently(work)
        self._journal[name] = result
        self._lease.accept(
            await self._deps.ledger.record_step(self._claimed.claim, name, result, now=self._deps.runtime.now()),
        )
        self.current_step = None
        return result

    def progress(self, message: str) -> None:
        """Say how far the current step is."""
        if self.current_step is not None:
            steps = self._handler.steps
            self._told += 1
            self._deps.outlet.progress(
                self._event,
                self._claimed,
                order=self._told,
                step=self.current_step,
                number=steps.index(self.current_step) + 1,
                of=len(steps),
                message=message,
            )

    def _boundary(self) -> None:
        self._lease.check()
        if self._lease.preempted or self._newer_delete():
            raise Preempted(f"a newer delete of {self.subject} goes first")

    async def _persistently(self, work: Callable[[], Awaitable[Json]]) -> Json:
        try:
            return await work()
        except NotReady as error:
            self.progress(f"waits: {error.message}")
            raise
        except TransientError as error:
            self._count(error)
            return await retry_in_place(
                work,
                error,
                self._deps.runtime,
                budget_s=self._deps.config.step_retry_s,
                cap_s=self._deps.config.step_retry_cap_s,
                on_failure=self._count,
            )

    def _count(self, error: TransientError) -> None:
        self._deps.metrics.handler_retries.labels(self._handler.event.type, error.reason.value).inc()
        self.progress(f"{error.reason.value}, trying again: {error.message}")
