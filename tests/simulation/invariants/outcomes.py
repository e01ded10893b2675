"""I1 and whether an outcome is the right one."""

from collections.abc import Sequence

from agentd.ledger import NameTaken, Record
from tests.simulation.plan import Intent, Sort
from tests.simulation.process import Process
from tests.simulation.queues import Message, QueueServer
from tests.simulation.scene import COMMANDS, DEAD_LETTERS, Checker, Scene

_SOON_S = 25.0


class NothingLost(Checker):
    """I1: every message ends in exactly one outcome."""

    name = "I1"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._received: dict[str, Message] = {}

    def on_received(self, queue: QueueServer, messages: Sequence[Message], by: str) -> None:
        if queue.name == COMMANDS:
            self._received.update({message.id: message for message in messages})

    def on_delete(self, queue: QueueServer, message: Message, by: str) -> None:
        """What the queue gave up, and the operator sends back before it has an end: the copy has one of its own."""
        if queue.name == DEAD_LETTERS and self.scene.process(by) is None:
            self._received.pop(message.id, None)

    def on_rest(self) -> None:
        for message in self._received.values():
            self._has_an_end(message)

    def _has_an_end(self, message: Message) -> None:
        scene = self.scene
        event = scene.book.event(message.body)
        record = None if event is None else scene.record(event.key)
        if record is None or event is None or record.digest != event.digest:
            record = scene.record(f"message/{message.id}")
        if record is None or record.outcome is None:
            self.violated(f"{message.id} has come to no end: {message.body[:200]}")
            return
        self._is_right(message, record)

    def _is_right(self, message: Message, record: Record) -> None:
        """What must be rejected was, and nothing else."""
        outcome = record.outcome
        assert outcome is not None
        intent = self.scene.meant_by(message)
        expected = {
            Sort.MALFORMED: "malformed",
            Sort.UNKNOWN: "unknown_type",
            Sort.OTHER_AUDIENCE: "wrong_audience",
            Sort.EXPIRED: "expired",
        }
        reasons = {expected.get(intent.sort)} if intent is not None else set()
        if intent is not None and intent.like is not None and intent.sort is Sort.ALTERED:
            reasons.add(expected.get(self.scene.plan.intents[intent.like].sort))
        if record.key.startswith("message/") and self.scene.book.event(message.body) is not None:
            reasons = {"conflict"}
        if record.epoch > 1:
            reasons.add("receive_limit")
        if expected_reasons := reasons - {None}:
            if outcome.reason not in expected_reasons and not (None in reasons and outcome.reason != "receive_limit"):
                self.violated(
                    f"{message.id} ({intent}) ended as {outcome.kind} {outcome.reason}, not {expected_reasons}"
                )
        elif outcome.reason in expected.values():
            self.violated(f"{message.id} ({intent}) is a good event, and ended as {outcome.kind} {outcome.reason}")


class Justified(Checker):
    """An outcome is what the rules say: nobody fails who could have gone on, nobody is left out who has come first."""

    name = "outcomes"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._refused: dict[tuple[str, str], tuple[float, str]] = {}

    def on_commit(self, process: Process, result: object) -> None:
        book = self.scene.book
        if isinstance(result, NameTaken):
            self._is_held(result)
        if not isinstance(result, Record) or result.outcome is None or not result.key.startswith("event/"):
            return
        end, intent = book.ends.get((result.key, result.epoch)), book.intent(result.key)
        if end is None or end.record is not result or intent is None:
            return
        checks = {
            "deferred_too_long": self._waited,
            "newer_generation": self._is_superseded,
            "deleted": self._is_deleted,
            "conflict": self._is_rivalled,
            "name_taken": self._is_taken,
            "attempts_exhausted": self._has_tried,
            "crash_loop": self._has_tried,
            "unavailable": self._may_pass,
            "throttled": self._may_pass,
            "timed_out": self._may_pass,
        }
        check = checks.get(str(result.outcome.reason))
        if check is not None and (wrong := check(intent, result)):
            self.violated(f"{intent} ended as {result.outcome.kind} {result.outcome.reason}, and {wrong}")

    def _is_held(self, taken: NameTaken) -> None:
        """Whether a name belongs to whom the ledger says, at the moment when it says so."""
        name, subject = (taken.kind, taken.name), taken.by_subject
        claimed = any(
            grant.subject == subject and name in self._names(grant.intent) for grant in self.scene.book.grants
        )
        if not claimed or self.scene.book.model(subject).tombstone is not None:
            self.violated(f"the {taken.kind} name {taken.name} is refused, and {subject} does not have it")
        if taken.deleting and not self._is_being_deleted(subject):
            self.violated(f"the name {taken.name} is to come free, and no delete of {subject} is on its way")
        if not taken.deleting:
            self._refused[name] = self.scene.now, subject

    def _is_being_deleted(self, subject: str) -> bool:
        """Whether a delete of a subject has been claimed, and has not ended."""
        book = self.scene.book
        deletes = [grant for grant in book.grants if grant.subject == subject and grant.intent.data_class.deletes]
        return any((grant.key, grant.epoch) not in book.ends for grant in deletes)

    def _may_pass(self, _intent: Intent, record: Record) -> str | None:
        return f"that may pass: {record.outcome and record.outcome.message}"

    def _waited(self, intent: Intent, record: Record) -> str | None:
        """Until its expiry; on a FIFO queue what its group holds up may end at once."""
        setup = self.scene.plan.setup
        since = self.scene.first_received(record.key, record.epoch)
        waited_s = self.scene.now - since if since is not None else 0.0
        wanted_s = float(setup.dispatch["default_expiry_s"]) - _SOON_S - self.scene.skew_s
        if setup.commands.fifo or waited_s >= wanted_s:
            return None
        return f"it has waited for {waited_s:.0f} s alone"

    def _is_superseded(self, intent: Intent, _record: Record) -> str | None:
        model = self.scene.book.model(str(intent.subject))
        standing = [model.newest(facet) for facet in sorted(intent.data_class.facets)]
        if standing and all(one is not None and one.generation > intent.generation for one in standing):
            return None
        return "nobody has claimed all that it asks for anew"

    def _is_deleted(self, intent: Intent, record: Record) -> str | None:
        if record.attempts:
            return None  # what it deploys was deleted
        deletes = [
            grant
            for grant in self.scene.book.grants
            if grant.subject == str(intent.subject) and grant.intent.data_class.deletes
        ]
        deleted = any(self.scene.succeeded(grant.intent) for grant in deletes)
        return None if deleted else "its subject has not been deleted"

    def _is_rivalled(self, intent: Intent, _record: Record) -> str | None:
        others = [
            grant
            for grant in self.scene.book.grants
            if grant.subject == str(intent.subject)
            and grant.intent.generation == intent.generation
            and grant.intent.event_id != intent.event_id
        ]
        return None if others else "nobody else has claimed its generation"

    def _is_taken(self, intent: Intent, record: Record) -> str | None:
        """The name may have come free since it was refused: the disk takes its time for what follows from that."""
        since = self.scene.first_received(record.key, record.epoch) or 0.0
        told = [self._refused[name] for name in self._names(intent) if name in self._refused]
        if any(at >= since and holder != str(intent.subject) for at, holder in told):
            return None
        return "nobody has its name"

    def _names(self, intent: Intent) -> set[tuple[str, str]]:
        event = self.scene.book.event(intent.text)
        return set(event.data.names()) if event is not None and event.data is not None else set()

    def _has_tried(self, intent: Intent, record: Record) -> str | None:
        grants = [grant for grant in self.scene.book.grants if (grant.key, grant.epoch) == (record.key, record.epoch)]
        if not grants:
            return f"it has not been tried at all in epoch {record.epoch}"
        most = grants[-1].most_attempts
        if self.scene.is_undisturbed and not self.scene.plan.of_world():
            return f"nothing has gone wrong in this run: {record.outcome and record.outcome.message}"
        return None if record.attempts >= most else f"it has made {record.attempts} attempts of {most}"


class Epochs(Checker):
    """One redrive opens one epoch, after an end that has left a dead letter."""

    name = "epochs"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._asked: set[tuple[str, int]] = set()
        self._newest: dict[str, int] = {}

    def on_received(self, queue: QueueServer, messages: Sequence[Message], by: str) -> None:
        for message in messages:
            event, epoch = self.scene.book.event(message.body), message.attributes.get("agentd-epoch")
            if event is not None and epoch is not None:
                self._asked.add((event.key, int(epoch)))

    def on_commit(self, process: Process, result: object) -> None:
        if not isinstance(result, Record) or not result.key.startswith("event/"):
            return
        newest = self._newest.setdefault(result.key, 1)
        if result.epoch <= newest:
            return
        self._newest[result.key] = result.epoch
        before = self.scene.book.ends.get((result.key, result.epoch - 1))
        if result.epoch != newest + 1 or before is None or before.record.outcome is None:
            self.violated(f"{result.key} goes from epoch {newest} to {result.epoch} without an end in between")
        elif not before.record.outcome.dead_letters or (result.key, result.epoch - 1) not in self._asked:
            self.violated(f"{result.key} has opened epoch {result.epoch}, and nobody has asked for it")
