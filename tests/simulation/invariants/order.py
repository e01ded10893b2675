"""I3 and I6 between events: who goes first, who gives way, and how long anybody waits for others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from agentd.dispatch.leases import Lease
from agentd.ledger import Claimed, Held
from tests.simulation.book import Grant
from tests.simulation.plan import Intent, Sort
from tests.simulation.process import Process
from tests.simulation.queues import Message, QueueServer
from tests.simulation.scene import COMMANDS, Checker, Scene

_SETTLED_S = 0.4
_HEARD_S = 1.5
_FAIR_S = 3.0


class GroupOrder(Checker):
    """On a FIFO queue nothing overtakes what was sent before it in its group."""

    name = "I3"

    def on_commit(self, process: Process, result: object) -> None:
        scene = self.scene
        if not scene.plan.setup.commands.fifo or not isinstance(result, Claimed):
            return
        own = [message for message in scene.commands.messages.values() if self._key(message) == result.claim.key]
        if not own:
            return
        mine = max(own, key=lambda message: message.receive_count)
        for message in scene.commands.messages.values():
            earlier = message.group == mine.group and message.number < mine.number and message.receive_count
            if earlier and self._key(message) not in (result.claim.key, None) and self._is_open(message):
                self.violated(f"{result.claim.key} goes before {message.id}, which is before it in {message.group}")

    def _key(self, message: Message) -> str | None:
        event = self.scene.book.event(message.body)
        return None if event is None else event.key

    def _is_open(self, message: Message) -> bool:
        key = self._key(message)
        return key is not None and self.scene.book.end_of(key) is None


class Preemption(Checker):
    """A newer delete goes before an older event of its subject, at the end of the step that is under way."""

    name = "pre-emption"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._waiting: list[_Waiting] = []

    def on_received(self, queue: QueueServer, messages: Sequence[Message], by: str) -> None:
        process = self.scene.process(by)
        if queue.name != COMMANDS or self.scene.plan.setup.commands.fifo or process is None:
            return
        for message in messages:
            intent = self.scene.meant_by(message)
            if intent is not None and intent.sort is Sort.VALID and intent.data_class.deletes:
                self.scene.later(_SETTLED_S, lambda intent=intent: self._looks(process, intent))  # type: ignore[misc]

    def on_step(self, process: Process) -> None:
        for waiting in self._waiting:
            if waiting.process is process:
                self._goes_on(waiting)

    def on_commit(self, process: Process, result: object) -> None:
        """Between replicas the ledger says it: the holder hears of it with his next renewal."""
        if not isinstance(result, Held) or process.parts is None:
            return
        within_s = float(self.scene.plan.setup.dispatch["lease_s"]) / 4 + _HEARD_S
        for work in process.parts.dispatcher._works:
            intent = self.scene.book.intent(work.event.key)
            mine = str(work.event.subject) == result.subject and work.started is None and work.ticket.ready.is_set()
            if mine and intent is not None and intent.data_class.deletes:
                self.scene.later(within_s, partial(self._has_heard, result, self._token(result.subject), intent))

    def _token(self, subject: str) -> int | None:
        """Of its last lease; None of a subject that others have locked before anybody has had it."""
        grant = self.scene.book.latest.get(subject)
        return None if grant is None else grant.token

    def _has_heard(self, held: Held, token: int | None, intent: Intent) -> None:
        holder = self.scene.process(held.by_replica)
        if (
            holder is None
            or not holder.alive
            or holder.parts is None
            or holder.was_paused
            or self.scene.has_disk_trouble
        ):
            return
        in_the_way = self._in_the_way(holder, held, token)
        if in_the_way is None:
            return
        for work in holder.parts.dispatcher._works:
            older = work.event.key == held.by_key and work.event.envelope.generation < intent.generation
            if str(work.event.subject) != str(intent.subject):
                continue  # it has locked what is to be deleted, and is not older than that
            if older and not in_the_way.preempted:
                self.violated(f"{intent} waits in another replica, and {held.by_key} has not heard of it")
            if older and work.context is not None and work.context.current_step is not None:
                self._waiting.append(_Waiting(holder, intent, work, work.context.current_step, is_told=True))

    def _in_the_way(self, holder: Process, held: Held, token: int | None) -> Lease | None:
        """The lease that was in the way, if it still is: a later one of the same event is another."""
        leases: Iterable[Lease] = holder.parts.dispatcher._leases._held if holder.parts is not None else ()
        wanted = (held.by_key, held.subject, token)
        return next(
            (lease for lease in leases if (lease.claim.key, str(lease.claim.subject), lease.claim.token) == wanted),
            None,
        )

    def _looks(self, process: Process, intent: Intent) -> None:
        """Whom it is to pre-empt: what is at work here on its subject."""
        parts = process.parts
        if not process.alive or parts is None or process.was_paused or self.scene.has_disk_trouble:
            return
        works = [work for work in parts.dispatcher._works if str(work.event.subject) == str(intent.subject)]
        if not any(work.event.envelope.id == intent.event_id and work.record is not None for work in works):
            return
        for work in works:
            older = work.event.envelope.generation < intent.generation
            if older and work.context is not None and work.context.current_step is not None:
                self._waiting.append(_Waiting(process, intent, work, work.context.current_step))

    def _goes_on(self, waiting: "_Waiting") -> None:
        work = waiting.work
        context = work.context
        if process_has_left(waiting.process, work) or context is None:
            self._waiting.remove(waiting)
        elif context.current_step not in (None, waiting.step):
            self._waiting.remove(waiting)
            if waiting.is_told or work.ticket.preempted or self._is_here(waiting):
                self.violated(
                    f"{waiting.intent} waits, and {work.event.envelope.id[:8]} begins step {context.current_step!r} "
                    f"after {waiting.step!r}"
                )

    def _is_here(self, waiting: "_Waiting") -> bool:
        """Whether the delete still waits where the older event is at work."""
        parts = waiting.process.parts
        return parts is not None and any(
            work.event.envelope.id == waiting.intent.event_id for work in parts.dispatcher._works
        )


@dataclass(frozen=True, slots=True)
class _Waiting:
    process: Process
    intent: Intent
    work: Any  # the dispatcher's own
    step: str
    is_told: bool = False
    """By the ledger, for good; else for as long as the delete is there."""


def process_has_left(process: Process, work: Any) -> bool:
    """Whether the work is done with."""
    return not process.alive or process.parts is None or work not in process.parts.dispatcher._works


class Isolation(Checker):
    """I6: measured from receive, nobody waits for other subjects beyond his share; a long wait frees its slot."""

    name = "I6"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._received: dict[str, float] = {}
        self._first: dict[str, str] = {}

    def on_received(self, queue: QueueServer, messages: Sequence[Message], by: str) -> None:
        if queue.name != COMMANDS:
            return
        for message in messages:
            event = self.scene.book.event(message.body)
            if event is not None:
                self._received.setdefault(event.key, self.scene.now)
                self._first.setdefault(str(event.subject), event.key)

    def on_commit(self, process: Process, result: object) -> None:
        """The first event of a subject, which has nothing to wait for but a place."""
        scene = self.scene
        if not isinstance(result, Claimed) or not scene.is_undisturbed or scene.is_quiet:
            return
        grant = scene.book.grants[-1]
        if grant.epoch > 1 or not self._has_nothing_to_wait_for(grant):
            return
        waited_s = scene.now - self._received.get(grant.key, scene.now)
        if waited_s > self._most_s():
            self.violated(f"{grant.intent} has waited for {waited_s:.1f} s since it was received, for others alone")

    def on_look(self, process: Process) -> None:
        """A slot is not held for longer than the wait for a turn may take."""
        scene, parts = self.scene, process.parts
        if parts is None or not scene.is_undisturbed or process.told_to_stop_at is not None:
            return
        most_s = float(scene.plan.setup.dispatch["lane_wait_s"]) + _FAIR_S
        for row in parts.consumer.table.rows():
            waited_s = process.clock.now() - row.delivery.received_at
            if row.phase == "buffered" and row.stop is None and waited_s > most_s:
                self.violated(
                    f"{process.name} has held a slot for {row.message_id} for {waited_s:.1f} s, which waits for its turn"
                )

    def _has_nothing_to_wait_for(self, grant: Grant) -> bool:
        """A new subject of a kind that nobody locks, with a name of its own, and with data that are there."""
        intent = grant.intent
        if intent.kept is not None and self.scene.plan.of_world():
            return False  # its data are fetched from a store that does not always answer
        own_name = [
            other for others in self.scene.intents.values() for other in others if _name(other) == _name(intent)
        ]
        return (
            intent.subject.kind == "package"
            and sum(1 for other in self.scene.book.grants if other.key == grant.key) == 1
            and intent.data_class.creates
            and self._first.get(grant.subject) == grant.key
            and all(str(other.subject) == grant.subject for other in own_name)
        )

    def _most_s(self) -> float:
        """A place comes free for each of the others' turns; after a wait in vain the message comes back soon."""
        dispatch = self.scene.plan.setup.dispatch
        return 2 * float(dispatch["lane_wait_s"]) + _FAIR_S


def _name(intent: Intent) -> object:
    return next((value for key, value in intent.data.items() if key.endswith("_name")), None)
