"""An event loop on a virtual clock that several processes share, with a seeded scheduler.

Whose a callback is says its context: `OWNER` names the process that runs there, and asyncio hands the context on to every
callback, timer and task. So the loop can choose, by the seed, which process runs its next callback, and it can hold a
process back or drop it as a whole. Within one process callbacks keep their order, as asyncio promises. A context without an
owner is that of the servers: what is scheduled there happens whatever becomes of the process that asked for it.

Only what is deterministic is there: no sockets, no threads, no signals; all that raises NotImplementedError.
"""

import asyncio
import contextvars
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, ContextVar
from random import Random
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

START = 1_700_000_000.0
"""What a right wall clock shows when a run begins, in seconds since the epoch."""

STEP_S = 20e-6
"""Virtual seconds that one callback takes: time moves on while there is work, so that timers come in between."""


class Owner:
    """A process: its callbacks, in order, and its tasks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.held = False
        self.dead = False
        self.steps = 0
        self.tasks: list[SimTask[Any]] = []

    def __repr__(self) -> str:
        return self.name


OWNER: ContextVar[Owner] = ContextVar("owner")


class SimTask(asyncio.Task[T]):
    """A task whose place in a set does not depend on its address."""

    def __init__(
        self, number: int, coro: Coroutine[Any, Any, T], *, loop: "SimLoop", name: str, context: Context | None
    ) -> None:
        self.number = number
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.number


class SimFuture(asyncio.Future[T]):
    """The same for a future."""

    def __init__(self, number: int, *, loop: "SimLoop") -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class Stalled(Exception):
    """Nothing is ready and no timer is set: nothing can ever happen any more."""


RunJob = Callable[[Owner, object, Callable[..., object], Sequence[object], "asyncio.Future[Any]"], None]
"""Runs a function in an executor: whose, which executor, the function, its arguments, and where its answer goes."""


class SimLoop(asyncio.AbstractEventLoop):
    """See the module. `stickiness` is how likely the process that has just run goes on."""

    def __init__(self, random: Random, *, stickiness: float = 0.0) -> None:
        self._random = random
        self._stickiness = stickiness
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle, Owner]] = []
        self._numbers = 0
        self._last: Owner | None = None
        self.servers = Owner("-")
        self.owners: list[Owner] = [self.servers]
        self.steps = 0
        self.exceptions: list[dict[str, Any]] = []
        self.after_step: Callable[[Owner], None] = lambda _owner: None
        self.run_job: RunJob = _at_once
        self.server_context = contextvars.Context()

    # -- processes -----------------------------------------------------------------------------------------------------

    def process(self, name: str) -> Owner:
        """A new process."""
        owner = Owner(name)
        self.owners.append(owner)
        return owner

    def context_of(self, owner: Owner) -> Context:
        """A new context of a process."""
        context = contextvars.Context()
        if owner is not self.servers:
            context.run(OWNER.set, owner)
        return context

    def kill(self, owner: Owner) -> None:
        """The process ends without another step: no callback, timer or task of it ever runs again."""
        owner.dead = True
        owner.ready.clear()
        self.owners.remove(owner)

    def time_left_of(self, owner: Owner) -> list[asyncio.TimerHandle]:
        """The timers of a process that are still to come, for tests."""
        return [handle for _, _, handle, whose in self._timers if whose is owner and not handle.cancelled()]

    # -- running -------------------------------------------------------------------------------------------------------

    def run_while(self, going_on: Callable[[], bool]) -> None:
        """Step until the condition fails. Raises Stalled, and whatever `after_step` raises."""
        events._set_running_loop(self)
        try:
            while going_on():
                self._step()
        finally:
            events._set_running_loop(None)

    def _step(self) -> None:
        owner = self._next()
        handle = owner.ready.popleft()
        if handle.cancelled():
            return
        self._last = owner
        self.steps += 1
        owner.steps += 1
        self._now += STEP_S
        handle._run()
        self.after_step(owner)

    def _next(self) -> Owner:
        """Whose turn it is; the clock jumps when it is nobody's."""
        self._ring()
        able = [owner for owner in self.owners if owner.ready and not owner.held]
        while not able:
            if not self._timers:
                raise Stalled
            self._now = max(self._now, self._timers[0][0])
            self._ring()
            able = [owner for owner in self.owners if owner.ready and not owner.held]
        if len(able) == 1:
            return able[0]
        if self._stickiness and self._last in able and self._random.random() < self._stickiness:
            return self._last
        return able[int(self._random.random() * len(able))]

    def _ring(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self._now:
            _, _, handle, owner = heapq.heappop(timers)
            if not owner.dead and not handle.cancelled():
                owner.ready.append(handle)

    # -- what asyncio asks of a loop -----------------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        owner = _owner_of(handle, self.servers)
        if not owner.dead:
            owner.ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        owner = _owner_of(handle, self.servers)
        if not owner.dead:
            self._numbers += 1
            heapq.heappush(self._timers, (when, self._numbers, handle, owner))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing: it is dropped when its time has come."""

    def create_future(self) -> asyncio.Future[Any]:
        self._numbers += 1
        return SimFuture(self._numbers, loop=self)

    def create_task(  # type: ignore[override]  # generators are no coroutines any more
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        self._numbers += 1
        task = SimTask(self._numbers, coro, loop=self, name=name or "task", context=context)
        owner = OWNER.get(self.servers) if context is None else context.get(OWNER, self.servers)
        # A task that nobody refers to any more would be collected, and its `finally` blocks would run.
        owner.tasks.append(task)
        return task

    def run_in_executor(
        self, executor: object, func: Callable[[*Arguments], T], *args: *Arguments
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        self.run_job(OWNER.get(self.servers), executor, func, args, future)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.exceptions.append(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        return False


def new_loop(random: Random, *, stickiness: float = 0.0) -> SimLoop:
    """A loop. What is missing of the interface is missing on purpose."""
    return SimLoop(random, stickiness=stickiness)  # type: ignore[abstract]


def _owner_of(handle: asyncio.Handle, nobody: Owner) -> Owner:
    context: Context = handle._context  # type: ignore[attr-defined]  # what says whose it is
    return context.get(OWNER, nobody)


def _at_once(
    _owner: Owner,
    _executor: object,
    func: Callable[..., object],
    args: Sequence[object],
    answer: asyncio.Future[Any],
) -> None:
    try:
        answer.set_result(func(*args))
    except Exception as error:
        answer.set_exception(error)
