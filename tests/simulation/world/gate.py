"""What stands between a replica's clients and the simulated servers: the way there and back, and all that goes wrong on it.

A call that has been sent arrives whatever becomes of its caller: it runs in the servers' own context, so that it outlives
a process that is killed.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from botocore.exceptions import ClientError

from agentd.embedded.kube.status import ApiError
from tests.simulation.world.faults import Fault, FaultKind, Faults
from tests.simulation.world.truth import Asked, Caller

T = TypeVar("T")
Effect = Callable[[Asked], T]
"""What a server does when a call arrives, in one piece; raises one of REFUSALS."""
Watcher = Callable[[Asked, bool], None]
"""Told when somebody makes a mutating call (True), and when he has its answer or waits for it no more (False)."""
Says = Callable[[FaultKind, str], Exception]
"""How a service spells THROTTLED, UNAVAILABLE or DENIED of an operation; else how its client tells a broken connection."""
REFUSALS = (ClientError, ApiError)


@dataclass(slots=True)
class Sent(Generic[T]):
    """A call on its way."""

    effect: Effect[T]
    asked: Asked
    answer: "asyncio.Future[T | ClientError | ApiError]"
    arrival: asyncio.TimerHandle | None = None
    """None once it has arrived."""

    def carry_out(self) -> None:
        """It has arrived. Whoever made it may have gone."""
        self.arrival = None
        self.asked.late = self.asked.late or self.answer.done()
        outcome: T | ClientError | ApiError
        try:
            outcome = self.effect(self.asked)
        except REFUSALS as refusal:
            outcome = refusal
        except Exception as defect:
            if self.answer.done():
                raise
            self.answer.set_exception(defect)
            return
        if not self.answer.done():
            self.answer.set_result(outcome)


class Weather:
    """The plan of faults as time goes by, and what is on its way."""

    def __init__(self, seed: int, faults: Faults, latency_s: tuple[float, float]) -> None:
        self._seed = seed
        self._items = faults.items
        self._left = [fault.times for fault in faults.items]
        self._healthy_from_s = faults.healthy_from_s
        self._began_at = asyncio.get_running_loop().time()
        self._context = copy_context()
        self.latency_s = latency_s
        self.calls: Counter[tuple[str, str]] = Counter()
        self.met: Counter[Fault] = Counter()
        self.pending = 0
        """Calls that have been sent and have not arrived."""
        self.watchers: list[Watcher] = []

    def dice(self, name: str) -> random.Random:
        """Dice of one's own: what one replica does changes nothing for another."""
        return random.Random(f"{self._seed}/{name}")

    def fault(self, replica: str, service: str, operation: str, *, is_write: bool) -> Fault | None:
        """What meets this call: the first element of the plan that is about it."""
        now_s = asyncio.get_running_loop().time() - self._began_at
        if now_s >= self._healthy_from_s:
            return None
        for number, fault in enumerate(self._items):
            left = self._left[number]
            if (
                left != 0
                and fault.start_s <= now_s < fault.end_s
                and fault.meets(replica=replica, service=service, operation=operation, is_write=is_write)
            ):
                self._left[number] = None if left is None else left - 1
                self.met[fault] += 1
                return fault
        return None

    def tell(self, asked: Asked, *, waits: bool) -> None:
        """Tell the watchers of a mutating call."""
        for watcher in self.watchers:
            watcher(asked, waits)

    def send(self, delay_s: float, effect: Effect[T], asked: Asked) -> Sent[T]:
        """Let a call arrive after a while; what is sent while the world is ill has arrived when it is healthy."""
        loop = asyncio.get_running_loop()
        left_s = self._began_at + self._healthy_from_s - loop.time()
        sent = Sent(effect, asked, loop.create_future())
        self.pending += 1
        arrives_s = min(delay_s, left_s) if left_s > 0 else delay_s
        sent.arrival = loop.call_later(arrives_s, self._arrive, sent, context=self._context)
        return sent

    def recall(self, sent: Sent[T]) -> None:
        """It never arrives, unless it has."""
        if sent.arrival is not None:
            self.pending -= 1
            sent.arrival.cancel()

    def _arrive(self, sent: Sent[object]) -> None:
        self.pending -= 1
        sent.carry_out()


class Gate:
    """The way of one replica's calls to one service."""

    def __init__(self, weather: Weather, replica: str, service: str, says: Says) -> None:
        self._weather = weather
        self._replica = replica
        self._service = service
        self._says = says
        self.random = weather.dice(f"{replica}/{service}")

    async def call(self, operation: str, effect: Effect[T], *, is_write: bool) -> T:
        """One call. Raises what the effect raises, or what a client would when it gets no answer."""
        weather = self._weather
        weather.calls[self._service, operation] += 1
        fault = weather.fault(self._replica, self._service, operation, is_write=is_write)
        caller = Caller.now(self._replica) if is_write else Caller(self._replica)
        asked = Asked(caller, self._service, operation, asyncio.get_running_loop().time())
        if not is_write:
            return await self._answer(fault, effect, asked)
        weather.tell(asked, waits=True)
        try:
            return await self._answer(fault, effect, asked)
        finally:
            weather.tell(asked, waits=False)

    async def _answer(self, fault: Fault | None, effect: Effect[T], asked: Asked) -> T:
        weather = self._weather
        latency_s = self.random.uniform(*weather.latency_s)
        if fault is None:
            return await self._carried_out(latency_s, effect, asked)
        match fault.kind:
            case FaultKind.SLOW:
                return await self._carried_out(latency_s + fault.delay_s, effect, asked)
            case FaultKind.STALE:
                asked.lag_s = fault.delay_s
                return await self._carried_out(latency_s, effect, asked)
            case FaultKind.RESET_AFTER | FaultKind.TIMEOUT_AFTER:
                await self._arrived(latency_s, effect, asked)
            case FaultKind.LATE:
                weather.send(latency_s + fault.delay_s, effect, asked).answer.cancel()
                await asyncio.sleep(latency_s)
            case _:
                await asyncio.sleep(latency_s)
        return await self._no_answer(fault.kind, asked.operation)

    async def _carried_out(self, latency_s: float, effect: Effect[T], asked: Asked) -> T:
        """The way there or the way back takes all of the time: who gives up meanwhile does so before or after the effect."""
        if self.random.random() < 1 / 2:
            outcome = await self._arrived(latency_s, effect, asked)
        else:
            outcome = await self._arrived(0.0, effect, asked)
            await asyncio.sleep(latency_s)
        if isinstance(outcome, REFUSALS):
            raise outcome
        return outcome

    async def _arrived(self, delay_s: float, effect: Effect[T], asked: Asked) -> T | ClientError | ApiError:
        """The server's answer, on its arrival. Who gives up has sent the call all the same, or has not: nobody knows."""
        sent = self._weather.send(delay_s, effect, asked)
        try:
            return await sent.answer
        except asyncio.CancelledError:
            if self.random.random() < 1 / 2:
                self._weather.recall(sent)
            raise

    async def _no_answer(self, kind: FaultKind, operation: str) -> NoReturn:
        if kind in (FaultKind.TIMEOUT_BEFORE, FaultKind.TIMEOUT_AFTER):
            await asyncio.get_running_loop().create_future()
        raise self._says(kind, operation)
