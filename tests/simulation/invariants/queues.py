"""I2 and what goes with it: what is told to the queues, and when."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from agentd.ledger import Record
from tests.simulation.process import Process
from tests.simulation.queues import Message, QueueFault, QueueServer
from tests.simulation.scene import COMMANDS, DEAD_LETTERS, REPORTS, Checker, Scene, document_of, is_outcome

_MOST_DELAY_S = 300.0
_BUSY_S, _MOST_RECEIVES = 10.0, 16
_ALL_AT_THE_CEILING = 3
_SECOND_S = 1.0  # queues count whole ones
_FIRST_CEILING_S = 2.0  # what handlers declare, as they say nothing else


class AckLast(Checker):
    """I2: a message goes after its outcome and report are durable, and the report has been sent."""

    name = "I2"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._told: dict[str, tuple[object, ...]] = {}
        self._ids: dict[tuple[str, int], str] = {}
        self._letters: set[tuple[str, int]] = set()
        self._sequences: dict[str, int] = {}

    def on_commit(self, process: Process, result: object) -> None:
        """Outcome and report become durable together, and reports are numbered in the order of the ends."""
        if not isinstance(result, Record) or result.outcome is None or result.sequence is None:
            return
        end = self.scene.book.ends.get((result.key, result.epoch))
        if end is None or end.record is not result:
            return
        waiting = {(entry.record.key, entry.record.epoch) for entry in self.scene.outbox()}
        if (result.key, result.epoch) not in waiting:
            self.violated(f"{result.key} e{result.epoch} has ended, and no report waits to be sent")
        if result.key.startswith("event/"):
            if result.sequence <= self._sequences.get(result.subject, 0):
                self.violated(
                    f"{result.subject}: report {result.sequence} comes after {self._sequences[result.subject]}"
                )
            self._sequences[result.subject] = result.sequence

    def on_sent(self, queue: QueueServer, message: Message, by: str) -> None:
        if queue.name == DEAD_LETTERS and "agentd-key" in message.attributes:
            self._letters.add((message.attributes["agentd-key"], int(message.attributes["agentd-epoch"])))
        if queue.name == REPORTS and is_outcome(document := document_of(message)):
            self._report(document)

    def on_delete(self, queue: QueueServer, message: Message, by: str) -> None:
        if queue.name == COMMANDS:
            self._may_go(message, by)
        elif queue.name == DEAD_LETTERS and self.scene.process(by) is not None:
            self._is_replaced(message, by)

    def on_rest(self) -> None:
        for end in self.scene.book.ends:
            if end not in self._ids:
                self.violated(f"{end[0]} e{end[1]} has ended, and was never reported")

    def _report(self, document: dict[str, Any]) -> None:
        data = document["data"]
        told = (data["key"], data["epoch"], data["outcome"], data["reason"], data["changed"], data["sequence"])
        first = self._told.setdefault(document["id"], told)
        if told != first:
            self.violated(f"report {document['id']} says {told}; it has said {first}")
        record = self.scene.record_of_epoch(data["key"], data["epoch"])
        if record is None or record.outcome is None:
            self.violated(f"{data['key']} e{data['epoch']} is reported as {data['outcome']}, and has not ended")
        elif (record.outcome.kind, record.outcome.reason, record.changed, record.sequence) != told[2:]:
            self.violated(f"{data['key']} e{data['epoch']} is reported as {told[2:]}, and is {record.outcome}")
        identifier = self._ids.setdefault((data["key"], data["epoch"]), document["id"])
        if identifier != document["id"]:
            self.violated(f"{data['key']} e{data['epoch']} is reported under two ids")

    def _may_go(self, message: Message, by: str) -> None:
        """One of its epochs has ended: one after that which a redriven message asks to follow."""
        key = self._key(message)
        after = int(message.attributes.get("agentd-epoch", "0")) if key.startswith("event/") else 0
        ends = {
            epoch: end.record for (known, epoch), end in self.scene.book.ends.items() if known == key and epoch > after
        }
        if not ends or self.scene.record(key) is None:
            self.violated(f"{by} deletes {message.id}, which has no end after epoch {after}")
            return
        reported = [epoch for epoch in ends if (key, epoch) in self._ids]
        if not reported:
            self.violated(f"{by} deletes {message.id} before {key} e{max(ends)} has been reported")
        elif not any(self._is_kept(ends[epoch]) for epoch in reported):
            self.violated(f"{by} deletes {message.id}, {ends[reported[-1]].outcome}, without a dead letter")

    def _is_replaced(self, message: Message, by: str) -> None:
        """What the queue itself has moved aside is taken away when there is a dead letter of it, if there has to be one."""
        key = self._key(message)
        ends = [end.record for (known, _), end in self.scene.book.ends.items() if known == key]
        if not ends or not any(self._is_kept(record) for record in ends):
            self.violated(f"{by} deletes {message.id} from the dead letters, and leaves none of {key}")

    def _is_kept(self, record: Record) -> bool:
        """Whether there is a dead letter of it, if there has to be one."""
        outcome = record.outcome
        return outcome is not None and (not outcome.dead_letters or (record.key, record.epoch) in self._letters)

    def _key(self, message: Message) -> str:
        """Under which a message's end is kept."""
        event = self.scene.book.event(message.body)
        record = None if event is None else self.scene.record(event.key)
        if event is None or (record is not None and record.digest != event.digest):
            return f"message/{message.id}"
        return event.key


class Delays(Checker):
    """Nothing that is put off comes back at once, or too late; no message goes round and round."""

    name = "delays"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._received: dict[str, deque[float]] = {}

    def on_visibility(self, queue: QueueServer, message: Message, seconds: float, by: str) -> None:
        process = self.scene.process(by)
        if queue.name != COMMANDS or process is None:
            return
        if seconds > max(_MOST_DELAY_S, self.scene.plan.setup.bus["visibility_s"]):
            self.violated(f"{by} hides {message.id} for {seconds:.0f} s, beyond every cap")
        most_s = queue.settings.max_visibility_s
        late_s = max((fault.delay_s for fault in self.scene.plan.of(QueueFault)), default=0.0)
        self._waits_for_its_extension(process, message, seconds)
        if self.scene.now + seconds > message.received_at + most_s + late_s + 2 * _SECOND_S:
            self.violated(f"{by} hides {message.id} for longer than the {most_s:.0f} s that the queue allows")
        disturbed = self.scene.has_queue_trouble or process.was_paused
        if seconds < _SECOND_S and process.told_to_stop_at is None and not disturbed:
            near_the_cap = self.scene.now + 2 * _SECOND_S > message.received_at + most_s - 10.0
            if not near_the_cap:
                self.violated(f"{by} shows {message.id} again at once")

    def on_received(self, queue: QueueServer, messages: Sequence[Message], by: str) -> None:
        if queue.name != COMMANDS:
            return
        now = self.scene.now
        for message in messages:
            times = self._received.setdefault(message.id, deque())
            times.append(now)
            while times[0] < now - _BUSY_S:
                times.popleft()
            if len(times) > _MOST_RECEIVES and not self.scene.has_queue_trouble:
                self.scene.violated(
                    "hot loop", f"{message.id} was handed out {len(times)} times within {_BUSY_S:.0f} s"
                )

    def _waits_for_its_extension(self, process: Process, message: Message, seconds: float) -> None:
        """What gives a message back comes after an extension that was on its way, whose effect it would else undergo."""
        row = process.parts.consumer.table.get(message.id) if process.parts is not None else None
        if row is None or row.extension is None or row.receipt != message.receipt:
            return
        visibility_s = float(self.scene.plan.setup.bus["visibility_s"])
        extends = seconds >= min(visibility_s, row.cap_at - self.scene.now) - _SECOND_S
        if not row.leased and not extends:
            self.violated(f"{process.name} gives {message.id} back while its extension is on the way")


class Retries(Checker):
    """An attempt that has failed is repeated after a delay with full jitter, below its policy's ceiling."""

    name = "retries"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._seen: set[tuple[str, int, int]] = set()
        self._at_ceiling = 0
        self._below = 0

    def on_visibility(self, queue: QueueServer, message: Message, seconds: float, by: str) -> None:
        event, process = self.scene.book.event(message.body), self.scene.process(by)
        ours = event is not None and queue.name == COMMANDS and message.put_off
        record = self.scene.record(event.key) if event is not None and ours else None
        if record is None or record.waiting is None or record.waiting.why != "retry" or process is None:
            return
        attempt = (record.key, record.epoch, record.attempts)
        latest = self.scene.book.latest.get(record.subject)
        if attempt in self._seen or latest is None or latest.process is not process or latest.key != record.key:
            return
        self._seen.add(attempt)
        self._compare(record, record.waiting.until - process.clock.now(), seconds)

    def _has_copies(self, record: Record) -> bool:
        """Whether another message of the event, which waits for reasons of its own, may be the one that is hidden."""
        events = (self.scene.book.event(message.body) for message in self.scene.commands.messages.values())
        return sum(1 for event in events if event is not None and event.key == record.key) > 1

    def _compare(self, record: Record, left_s: float, seconds: float) -> None:
        ceiling_s = min(self.scene.plan.setup.retry_cap_s, _FIRST_CEILING_S * 2.0 ** (record.attempts - 1))
        if left_s > ceiling_s + _SECOND_S and "throttled" not in str(record.last_error):
            self.violated(
                f"{record.key} waits for {left_s:.1f} s after attempt {record.attempts}; {ceiling_s:.0f} s is the most"
            )
        if (
            seconds > ceiling_s + 2 * _SECOND_S
            and "throttled" not in str(record.last_error)
            and not self._has_copies(record)
        ):
            self.violated(f"{record.key} is hidden for {seconds:.0f} s after attempt {record.attempts}")
        if ceiling_s >= 2 * _SECOND_S:
            self._at_ceiling += left_s > 0.9 * ceiling_s
            self._below += left_s <= 0.9 * ceiling_s
        if self._at_ceiling >= _ALL_AT_THE_CEILING and not self._below:
            self.violated(f"{self._at_ceiling} retries, and each of them waits for as long as it may: no jitter")
