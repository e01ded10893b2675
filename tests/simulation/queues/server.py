"""A queue as SQS keeps one, standard or FIFO. Facts are those of the service's own documentation.

Standard: at least once, in no particular order. A receipt is good for one receive; with an older one a delete succeeds and
deletes nothing. FIFO: in order within a group, and while a message of a group is in flight nothing else of that group is
handed out; a delete after the visibility has ended is refused; what was sent twice with one id within five minutes is
there once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from agentd.bus import Done, EntryResult, Outgoing, QueueDepth, QueueLimits, ReceiptLost, Received
from tests.simulation.loop import START, SimLoop
from tests.simulation.queues.faults import QueueFaultKind, QueueFaults

_DEDUPE_S = 300.0
_RISES_WITHIN_S = 60.0
_SHOWN_AGAIN_S = (0.01, 0.5)

Reply = Callable[[Sequence[Received]], None]


@dataclass(slots=True, eq=False)
class Message:
    """One message. `visible_at` and `sent_at` are on the loop's clock; `receipts` counts how often it was handed out.

    `received_at` is when it was handed out last; `put_off` says that its holder has hidden it since, or shown it again.
    """

    id: str
    number: int
    body: str
    attributes: dict[str, str]
    group: str | None
    sent_at: float
    visible_at: float
    receive_count: int = 0
    receipts: int = 0
    in_flight: bool = False
    deleted: bool = False
    received_at: float = 0.0
    put_off: bool = False

    @property
    def receipt(self) -> str:
        """The newest receipt."""
        return f"{self.id}#{self.receipts}"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How a queue is set up."""

    fifo: bool
    changes_receipts: bool = False
    """A change of visibility brings a new receipt, and the old one is lost: the manner of Azure's queues."""
    retention_s: float = 345_600.0
    max_visibility_s: float = 43_200.0
    max_receive_count: int | None = None
    max_message_bytes: int = 262_144

    def limits(self) -> QueueLimits:
        """As the queue says of itself."""
        return QueueLimits(
            max_message_bytes=self.max_message_bytes,
            max_batch=10,
            max_wait_s=20.0,
            max_visibility_s=self.max_visibility_s,
            max_delay_s=0.0 if self.fifo else 900.0,
            fifo=self.fifo,
            retention_s=self.retention_s,
            visibility_s=30.0,
            max_receive_count=self.max_receive_count,
        )


class Listener:
    """Told of what happens at the queues' servers, at the moment when it happens. `by` is the caller's name."""

    def on_sent(self, queue: "QueueServer", message: Message, by: str) -> None:
        """A message has been taken."""

    def on_received(self, queue: "QueueServer", messages: Sequence[Message], by: str) -> None:
        """Messages have been handed out; their answer may yet be lost."""

    def on_delete(self, queue: "QueueServer", message: Message, by: str) -> None:
        """A message is about to go, on its holder's word."""

    def on_left(self, queue: "QueueServer", message: Message, by: str) -> None:
        """A delete by an older receipt was answered as done, and has deleted nothing."""

    def on_visibility(self, queue: "QueueServer", message: Message, seconds: float, by: str) -> None:
        """A holder has changed how long a message is hidden."""

    def on_lost(self, queue: "QueueServer", message_id: str, by: str) -> None:
        """A holder was told that his receipt is not good any more."""

    def on_moved(self, queue: "QueueServer", message: Message) -> None:
        """The queue has given a message up, and moved it to its dead-letter queue."""

    def on_dropped(self, queue: "QueueServer", message: Message) -> None:
        """The queue's retention is over for a message."""


@dataclass(slots=True, eq=False)
class _Waiter:
    limit: int
    visibility_s: float
    until: float
    reply: Reply
    by: str
    attempt: str | None


@dataclass(eq=False)
class QueueServer:
    """One queue. Every method takes effect at once, and runs in the servers' own context."""

    name: str
    settings: QueueSettings
    loop: SimLoop
    random: Random
    faults: QueueFaults
    listener: Listener
    dead_letters: "QueueServer | None" = None
    messages: dict[str, Message] = field(default_factory=dict)
    dropped: int = 0
    limits: QueueLimits = field(init=False)
    _numbers: int = 0
    _deduped: dict[str, float] = field(default_factory=dict)
    _attempts: dict[str, tuple[float, Sequence[Message], Sequence[str]]] = field(default_factory=dict)
    _waiters: list[_Waiter] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limits = self.settings.limits()

    # -- what holders ask ----------------------------------------------------------------------------------------------

    def send(self, outgoing: Outgoing, *, by: str) -> EntryResult:
        """Take a message, unless a FIFO queue has had it."""
        now = self.loop.time()
        fifo = self.settings.fifo
        if fifo and outgoing.dedupe_id is not None:
            taken_at = self._deduped.get(outgoing.dedupe_id)
            if taken_at is not None and now < taken_at + _DEDUPE_S:
                return Done()
            self._deduped[outgoing.dedupe_id] = now
        self._numbers += 1
        message = Message(
            id=f"{self.name}-{self._numbers}",
            number=self._numbers,
            body=outgoing.body,
            attributes=dict(outgoing.attributes),
            group=outgoing.group,
            sent_at=now,
            visible_at=now + (0.0 if fifo else outgoing.delay_s),
        )
        self._put(message)
        self.listener.on_sent(self, message, by)
        return Done()

    def receive(
        self, limit: int, *, wait_s: float, visibility_s: float, reply: Reply, by: str, attempt: str | None = None
    ) -> None:
        """Answer with messages as soon as there are any, or with none when the wait is over."""
        if again := self._asked_again(attempt, limit, visibility_s):
            reply(again)
            return
        received = self._hand_out(limit, visibility_s, by, attempt)
        if received or wait_s <= 0:
            reply(received)
            return
        waiter = _Waiter(limit, visibility_s, self.loop.time() + wait_s, reply, by, attempt)
        self._waiters.append(waiter)
        self.loop.call_at(waiter.until, self._give_up, waiter, context=self.loop.server_context)

    def delete(self, receipt: str, *, by: str) -> EntryResult:
        """Take a message off."""
        message, newest = self._of(receipt)
        strict = self.settings.fifo or self.settings.changes_receipts
        if message is None:
            return ReceiptLost("the message is gone") if strict else Done()
        if strict and not newest:
            return ReceiptLost("the receipt is not the newest")
        if self.settings.fifo and not self._is_in_flight(message):
            return ReceiptLost("the receipt has expired")
        if newest:
            self.listener.on_delete(self, message, by)
            self._remove(message)
            self._may_rise(message)
        else:
            self.listener.on_left(self, message, by)
        return Done()

    def change_visibility(self, receipt: str, seconds: float, *, by: str) -> EntryResult:
        """Hide a message for so long from now, or show it."""
        message, newest = self._of(receipt)
        if message is None or not newest or not self._is_in_flight(message):
            self.listener.on_lost(self, receipt.rpartition("#")[0], by)
            return ReceiptLost("the message is not in flight")
        now = self.loop.time()
        message.visible_at = now + seconds
        message.in_flight = seconds > 0
        self.listener.on_visibility(self, message, seconds, by)
        self._watch(message)
        if not self.settings.changes_receipts:
            return Done()
        message.receipts += 1
        return Done(message.receipt)

    def depth(self) -> QueueDepth:
        """How much there is."""
        now = self.loop.time()
        hidden = [message for message in self.messages.values() if message.visible_at > now]
        in_flight = sum(1 for message in hidden if message.in_flight)
        return QueueDepth(len(self.messages) - len(hidden), in_flight, len(hidden) - in_flight)

    # -- for whoever looks on ------------------------------------------------------------------------------------------

    def held(self) -> list[Message]:
        """The messages in flight."""
        return [message for message in self.messages.values() if self._is_in_flight(message)]

    # -- inside --------------------------------------------------------------------------------------------------------

    def _put(self, message: Message) -> None:
        self.messages[message.id] = message
        self._watch(message)

    def _remove(self, message: Message) -> None:
        message.deleted = True
        message.in_flight = False
        self.messages.pop(message.id, None)
        if self.settings.fifo:
            self.loop.call_soon(self._serve, context=self.loop.server_context)

    def _watch(self, message: Message) -> None:
        """Serve who waits once the message is visible."""
        self.loop.call_at(max(message.visible_at, self.loop.time()), self._serve, context=self.loop.server_context)

    def _serve(self) -> None:
        now = self.loop.time()
        for waiter in [waiter for waiter in self._waiters if waiter.until > now]:
            received = self._hand_out(waiter.limit, waiter.visibility_s, waiter.by, waiter.attempt)
            if not received:
                return
            self._waiters.remove(waiter)
            waiter.reply(received)

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            waiter.reply([])

    def _hand_out(self, limit: int, visibility_s: float, by: str, attempt: str | None) -> Sequence[Received]:
        now = self.loop.time()
        chosen: list[Message] = []
        for message in self._candidates(now):
            if len(chosen) == limit:
                break
            if self._given_up(message):
                continue
            chosen.append(message)
        if len(chosen) > 1 and self._meets(QueueFaultKind.SHORT):
            chosen = chosen[: self.random.randrange(1, len(chosen))]
        for message in chosen:
            self._hide(message, now, visibility_s)
        if chosen:
            self.listener.on_received(self, chosen, by)
        if attempt is not None and chosen:
            self._attempts[attempt] = (now, chosen, [message.receipt for message in chosen])
        return [self._received(message) for message in chosen]

    def _candidates(self, now: float) -> Sequence[Message]:
        self._drop_old(now)
        visible = [message for message in self.messages.values() if message.visible_at <= now]
        if not self.settings.fifo:
            self.random.shuffle(visible)
            return visible
        return list(self._in_order(now))

    def _in_order(self, now: float) -> Iterator[Message]:
        """Of each group what comes before its first hidden message; none while one is in flight."""
        blocked = {message.group for message in self.messages.values() if self._is_in_flight(message)}
        for message in sorted(self.messages.values(), key=lambda message: message.number):
            if message.group in blocked:
                continue
            if message.visible_at > now:
                blocked.add(message.group)
            else:
                yield message

    def _hide(self, message: Message, now: float, visibility_s: float) -> None:
        message.receive_count += 1
        message.receipts += 1
        message.in_flight = True
        message.put_off = False
        message.received_at = now
        message.visible_at = now + visibility_s
        if not self.settings.fifo and self._meets(QueueFaultKind.DUPLICATED):
            message.visible_at = now + self.random.uniform(*_SHOWN_AGAIN_S)
        self._watch(message)

    def _received(self, message: Message) -> Received:
        return Received(
            message_id=message.id,
            receipt=message.receipt,
            body=message.body,
            receive_count=message.receive_count,
            sent_at=START + message.sent_at,
            group=message.group,
            attributes=dict(message.attributes),
        )

    def _asked_again(self, attempt: str | None, limit: int, visibility_s: float) -> Sequence[Received]:
        """What a FIFO queue has handed out to the same attempt, unless it is not all there as it was."""
        at, messages, receipts = self._attempts.get(attempt or "", (0.0, (), ()))
        now = self.loop.time()
        good = all(
            message.receipt == receipt and self._is_in_flight(message)
            for message, receipt in zip(messages, receipts, strict=True)
        )
        if not messages or len(messages) > limit or now > at + _DEDUPE_S or not good:
            return []
        for message in messages:
            message.visible_at = now + visibility_s
            self._watch(message)
        return [self._received(message) for message in messages]

    def _given_up(self, message: Message) -> bool:
        most = self.settings.max_receive_count
        if most is None or message.receive_count < most or self.dead_letters is None:
            return False
        self._remove(message)
        self.listener.on_moved(self, message)
        letters = self.dead_letters
        letters._put(
            Message(
                id=message.id,
                number=message.number,
                body=message.body,
                attributes=dict(message.attributes),
                group=message.group,
                sent_at=message.sent_at,
                visible_at=self.loop.time(),
            )
        )
        return True

    def _drop_old(self, now: float) -> None:
        old = [message for message in self.messages.values() if now > message.sent_at + self.settings.retention_s]
        for message in old:
            self.dropped += 1
            self._remove(message)
            self.listener.on_dropped(self, message)

    def _may_rise(self, message: Message) -> None:
        if self.settings.fifo or not self._meets(QueueFaultKind.RISEN):
            return
        message.deleted = False
        message.visible_at = self.loop.time() + self.random.uniform(0.0, _RISES_WITHIN_S)
        self._put(message)

    def _is_in_flight(self, message: Message) -> bool:
        return message.in_flight and message.visible_at > self.loop.time()

    def _of(self, receipt: str) -> tuple[Message | None, bool]:
        """The message of a receipt, and whether it is the newest one."""
        message_id, _, number = receipt.rpartition("#")
        message = self.messages.get(message_id)
        return message, message is not None and message.receipts == int(number)

    def _meets(self, kind: QueueFaultKind) -> bool:
        fault = self.faults.met(self.loop.time(), (kind,), queue=self.name, operation="receive", replica=None)
        return fault is not None
