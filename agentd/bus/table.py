"""The delivery table: who holds what. Exactly one row for each message held, exactly one slot for each row (I9)."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial

from agentd.bus.protocol import Received
from agentd.core import Cut, Delivery, Phase
from agentd.telemetry import Metrics


class Stop(Enum):
    """Why the bus ends a delivery before its handler has decided."""

    LOST = auto()
    """The lease is gone: the message belongs to somebody else."""
    PARKED = auto()
    """An earlier message of its group is shown again later, and this one must not overtake it."""
    RELEASED = auto()
    """The agent stops, or the lease was lost and the message has come back meanwhile: show it again."""


@dataclass(slots=True, eq=False)
class Row:
    """One message held. `visible_until` and `cap_at` are on the event loop's clock.

    `delivery_task` ends with the row; `work` is the part of it that the bus may end. While `leased` the ticker extends the
    lease; `extension` is the call that does so now. `stop` says why the bus has ended the delivery, `stopped_in` in which
    phase. `comes_back` when its handler has decided that it is to be shown again.
    """

    delivery: Delivery
    receipt: str
    visible_until: float
    cap_at: float
    receives: int = 1
    phase: Phase = Phase.BUFFERED
    stop: Stop | None = None
    stopped_in: Phase | None = None
    stop_delay_s: float = 0.0
    comes_back: bool = False
    leased: bool = True
    extension: asyncio.Task[None] | None = None
    work: Cut = field(default_factory=Cut)
    delivery_task: asyncio.Task[None] | None = None

    @property
    def message_id(self) -> str:
        """The transport's id, the row's key."""
        return self.delivery.message_id

    @property
    def goes_back(self) -> bool:
        """Whether it is on its way to being shown again."""
        return self.comes_back or self.stop in (Stop.RELEASED, Stop.PARKED)

    def end(self, stop: Stop, *, delay_s: float = 0.0) -> None:
        """End the delivery: its handler is cancelled. Once ended it stays so."""
        if self.stop is None:
            self.stop, self.stopped_in, self.stop_delay_s = stop, self.phase, delay_s
            self.work.end()

    def give_up(self) -> None:
        """Stop waiting for it to be given back: it leaves the table now, and its lease runs out."""
        if self.delivery_task is not None:
            self.delivery_task.cancel()

    def received_again(self, message: Received, *, visible_until: float, cap_at: float) -> None:
        """The newest receipt is the one that counts; what is in progress goes on."""
        self.receipt, self.visible_until, self.cap_at = message.receipt, visible_until, cap_at
        self.receives += 1
        self.delivery.receive_count = message.receive_count
        if self.stop is Stop.LOST:
            self.stop, self.stop_delay_s = Stop.RELEASED, 1.0


@dataclass(slots=True, eq=False)
class Reservation:
    """Slots that an open receive owns."""

    size: int


@dataclass(slots=True)
class DeliveryTable:
    """All rows and slots of one consumer."""

    slots: int
    metrics: Metrics
    _rows: dict[str, Row] = field(default_factory=dict)
    _in_phase: dict[Phase, int] = field(default_factory=lambda: dict.fromkeys(Phase, 0))
    _reservations: list[Reservation] = field(default_factory=list)
    _used: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _slot_freed: asyncio.Event = field(default_factory=asyncio.Event)
    _emptied: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._slot_freed.set()
        self._emptied.set()
        for phase in Phase:
            self.metrics.events_in_flight.labels(state=phase).set_function(partial(self._in_phase.__getitem__, phase))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def free(self) -> int:
        """Slots that nobody owns."""
        return self.slots - self._used

    def rows(self, *phases: Phase) -> tuple[Row, ...]:
        """The rows in these phases, or all; in the order of their receive."""
        return tuple(row for row in self._rows.values() if not phases or row.phase in phases)

    def get(self, message_id: str) -> Row | None:
        """The row of a message, if it is held."""
        return self._rows.get(message_id)

    async def slot_free(self) -> None:
        """Wait until there is a free slot."""
        await self._slot_freed.wait()

    async def empty(self) -> None:
        """Wait until no message is held."""
        await self._emptied.wait()

    @contextmanager
    def reserve(self, most: int) -> Iterator[Reservation]:
        """Take up to `most` free slots for a receive; what it does not turn into rows is freed at the end."""
        reservation = Reservation(min(most, self.free))
        self._use(reservation.size)
        self._reservations.append(reservation)
        try:
            yield reservation
        finally:
            self._reservations.remove(reservation)
            self._use(-reservation.size)

    def admit(self, row: Row, reservation: Reservation) -> None:
        """A new row, on one of the receive's slots."""
        if row.message_id in self._rows or reservation.size < 1:
            raise ValueError(f"message {row.message_id} has a row already, or the receive has no slot left")
        reservation.size -= 1
        self._rows[row.message_id] = row
        self._emptied.clear()
        self._in_phase[row.phase] += 1

    def attach(self, row: Row, task: asyncio.Task[None]) -> None:
        """The task that ends with the row. A task that is cancelled before its first step removes its row all the same."""
        row.delivery_task = task
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, row))

    def move(self, row: Row, phase: Phase) -> None:
        """The row's phase changes."""
        if row.phase is phase or self._rows.get(row.message_id) is not row:
            return
        self._in_phase[row.phase] -= 1
        self._in_phase[phase] += 1
        row.phase = phase

    def remove(self, row: Row) -> None:
        """The row leaves and its slot is free. Nothing happens if it has left already."""
        if self._rows.get(row.message_id) is not row:
            return
        del self._rows[row.message_id]
        row.delivery.on_phase = None  # else row and delivery hold each other until the garbage collector finds them
        self._in_phase[row.phase] -= 1
        self._use(-1)
        if not self._rows:
            self._emptied.set()

    def counts(self) -> dict[Phase, int]:
        """Rows by phase."""
        return dict(self._in_phase)

    def check(self) -> str | None:
        """What is wrong with the books, or None (I9)."""
        reserved = sum(reservation.size for reservation in self._reservations)
        if self._used != len(self._rows) + reserved:
            return f"{self._used} slots in use, but {len(self._rows)} rows and {reserved} reserved by receives"
        if not 0 <= self._used <= self.slots:
            return f"{self._used} slots in use of {self.slots}"
        if self._in_phase != (
            found := {**dict.fromkeys(Phase, 0), **Counter(row.phase for row in self._rows.values())}
        ):
            return f"rows by phase are counted as {self._in_phase}, but they are {found}"
        live = {task for task in self._tasks if not task.done()}
        owned = {row.delivery_task for row in self._rows.values()}
        if orphans := [row.message_id for row in self._rows.values() if row.delivery_task not in live]:
            return f"{len(orphans)} rows without a live task, such as {orphans[0]}"
        if len(live) != len(owned):
            return f"{len(live)} live deliveries, but {len(owned)} rows"
        return None

    def _ended(self, row: Row, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.remove(row)

    def _use(self, change: int) -> None:
        self._used += change
        if self.free > 0:
            self._slot_freed.set()
        else:
            self._slot_freed.clear()
