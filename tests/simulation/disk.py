"""Where the ledger's file is: calls in its threads take virtual time, and may hang or fail.

Each thread does one thing at a time. A process that is killed while a call waits for the disk has not made it; one that is
killed before it has heard of the answer has.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from random import Random
from typing import Any

from agentd.ledger.sqlite.connection import Database
from tests.simulation.loop import Owner, SimLoop

Done = Callable[[Owner, object], None]

_LATENCY_S = (0.0005, 0.006)


class DiskFaultKind(StrEnum):
    """What happens to a call."""

    SLOW = "slow"
    """It takes longer."""
    FAILED = "failed"
    """The disk refuses, and nothing is written."""


@dataclass(frozen=True, slots=True)
class DiskFault:
    """One trouble. `replica` None: of every one. `share` of the calls are met."""

    kind: DiskFaultKind
    start_s: float
    end_s: float
    share: float
    delay_s: float = 0.0
    replica: int | None = None

    def __str__(self) -> str:
        who = "" if self.replica is None else f" of replica {self.replica}"
        late = f" by up to {self.delay_s:.1f} s" if self.delay_s else ""
        return f"{self.start_s:.1f}-{self.end_s:.1f} s: {self.share:.0%} of the ledger's calls{who} {self.kind}{late}"


class Disk:
    """Runs what the loop is asked to run in threads. `done` is told of every result, at the moment of the effect."""

    def __init__(self, loop: SimLoop, random: Random, faults: Sequence[DiskFault], done: Done) -> None:
        self._loop = loop
        self._random = random
        self._faults = faults
        self._done = done
        self._replicas: dict[Owner, int] = {}
        self._free_at: dict[object, float] = {}

    def belongs(self, owner: Owner, replica: int) -> None:
        """A process is one of a replica's."""
        self._replicas[owner] = replica

    def run(
        self,
        owner: Owner,
        executor: object,
        func: Callable[..., object],
        args: Sequence[object],
        answer: "asyncio.Future[Any]",
    ) -> None:
        """Run the call when its thread comes to it."""
        met = self._met(owner)
        took_s = self._random.uniform(*_LATENCY_S)
        if met is not None and met.kind is DiskFaultKind.SLOW:
            took_s += self._random.uniform(0.0, met.delay_s)
        at = max(self._free_at.get(executor, 0.0), self._loop.time()) + took_s
        self._free_at[executor] = at
        fails = met is not None and met.kind is DiskFaultKind.FAILED
        self._loop.call_at(at, partial(self._make, owner, func, args, answer, fails=fails))

    def _make(
        self,
        owner: Owner,
        func: Callable[..., object],
        args: Sequence[object],
        answer: "asyncio.Future[Any]",
        *,
        fails: bool,
    ) -> None:
        try:
            result = _failing(func, args) if fails else func(*args)
        except Exception as error:
            if not answer.done():
                answer.set_exception(error)
            return
        self._done(owner, result)
        if not answer.done():
            answer.set_result(result)

    def _met(self, owner: Owner) -> DiskFault | None:
        now, replica = self._loop.time(), self._replicas.get(owner)
        for fault in self._faults:
            if (
                fault.start_s <= now < fault.end_s
                and fault.replica in (None, replica)
                and self._random.random() < fault.share
            ):
                return fault
        return None


def _failing(func: Callable[..., object], args: Sequence[object]) -> object:
    """The call, while SQLite refuses every statement."""
    connections = [argument._connection for argument in args if isinstance(argument, Database)]
    for connection in connections:
        connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
    try:
        return func(*args)
    finally:
        for connection in connections:
            connection.set_authorizer(None)
