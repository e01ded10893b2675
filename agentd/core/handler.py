"""How a handler is declared, and what it is given. This is the API for third parties.

@handler(ProjectCreate, steps=("create repository",), timeout_s=120, permissions=(...))
async def create(ctx: Context, data: ProjectCreate) -> None:
    registry = ctx.port(ImageRegistry)
    await ctx.step("create repository", lambda: registry.create(..., fence=ctx.fence))
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from agentd.core.fence import Fence
from agentd.core.subject import Subject

P = TypeVar("P")
D = TypeVar("D")
# What a step returns is kept in the ledger as JSON; its shape is the handler's own.
Json = Any


class Context(Protocol):
    """What a handler may use."""

    @property
    def subject(self) -> Subject:
        """The event's subject."""
        ...

    @property
    def generation(self) -> int:
        """The newest generation claimed of the subject: the event's own, unless it came late for some of its facets."""
        ...

    def desired(self, facet: str) -> Json:
        """What is desired of a facet of the subject, by the newest event that claimed it; None when nothing is.

        A handler that reconciles from here, rather than from its own event, is right in whatever order events come.
        """
        ...

    @property
    def fence(self) -> Fence:
        """Pass it to every mutating call of a port."""
        ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def random_bytes(self, size: int) -> bytes:
        """So many random bytes, good enough for a key."""
        ...

    def port(self, kind: type[P]) -> P:
        """The adapter behind a port, for example `ctx.port(ImageRegistry)`."""
        ...

    def has_port(self, kind: type) -> bool:
        """Whether this installation has an adapter for a port."""
        ...

    async def step(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """Do one declared step, or return its recorded result when an earlier attempt has finished it.

        A transient error is retried in place for a short while. Raises Preempted at the boundary when a newer delete waits.
        The result must be JSON; keep it small.
        """
        ...

    def progress(self, message: str) -> None:
        """Say how far the current step is; the control plane may see it."""
        ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts over all deliveries of an epoch, and the ceiling of the delay between them (full jitter)."""

    max_attempts: int = 8
    base_s: float = 2.0
    cap_s: float = 300.0

    def ceiling_s(self, attempt: int) -> float:
        """The longest delay after the given attempt, counted from 1."""
        return min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 30))


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One right that a handler needs: `service` aws, kubernetes or azure; `action` as the provider spells it.

    `namespace`: the only one that a right in the cluster is needed in; it is needed in all of them when empty. Settings may
    stand in braces in `resource` and `namespace`.
    """

    service: str
    action: str
    resource: str
    namespace: str = ""


Run = Callable[[Context, D], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered handler. `event` is the class of its data; facets, names and locks are declared there."""

    event: type[Any]  # an event class; the catalogue is a room above this one
    run: Run[Any]
    steps: tuple[str, ...]
    timeout_s: float
    retry: RetryPolicy
    permissions: tuple[Permission, ...]

    def __post_init__(self) -> None:
        if len(set(self.steps)) != len(self.steps):
            raise ValueError(f"{self.event.__name__}: two steps have the same name")
        if self.timeout_s <= 0:
            raise ValueError(f"{self.event.__name__}: timeout_s must be positive")


def handler(
    event: type[D],
    *,
    steps: tuple[str, ...],
    timeout_s: float,
    retry: RetryPolicy = RetryPolicy(),
    permissions: tuple[Permission, ...] = (),
) -> Callable[[Run[D]], Handler]:
    """Declare the handler of an event. Its work is idempotent: any step may run again after a crash."""

    def declare(run: Run[D]) -> Handler:
        return Handler(event=event, run=run, steps=steps, timeout_s=timeout_s, retry=retry, permissions=permissions)

    return declare
