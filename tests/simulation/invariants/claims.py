"""I3, I5 and I7 at the moment of a claim: who may have a subject, and what he is told of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentd.core import Hold
from agentd.ledger import Claimed, Record, Renewal
from tests.simulation.book import End, Grant
from tests.simulation.plan import Intent
from tests.simulation.process import Process
from tests.simulation.queues import Message, QueueServer
from tests.simulation.scene import COMMANDS, Checker, Scene
from tests.simulation.world import FaultKind, Seen

DEPLOYED = "deployed-to."

_ROUNDING_S = 1e-3
_ANSWERED_S = 1.0
_OF_HANDLERS = frozenset({Hold.WAITING, Hold.PREEMPTED})


class Bookkeeper(Checker):
    """Keeps the book that the others read, and compares every claim with it. Comes first."""

    name = "I3"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._names: dict[tuple[str, str], str] = {}

    def on_commit(self, process: Process, result: object) -> None:
        if isinstance(result, Claimed):
            self._granted(process, result)
        elif isinstance(result, Record):
            self._recorded(process, result)

    # -- claims --------------------------------------------------------------------------------------------------------

    def _granted(self, process: Process, claimed: Claimed) -> None:
        scene, book = self.scene, self.scene.book
        grant = book.granted(scene.now, process, claimed)
        if grant is None:
            self.violated(f"{process.name} was granted a claim for {claimed.claim.key}, which nobody has sent")
            return
        scene.tell(
            process.name,
            f"claims {grant.intent} with token {grant.token}, attempt {grant.attempt}, generation {grant.generation}",
        )
        self._follows(grant)
        self._is_durable(grant)
        self._nobody_else_has_it(grant)
        self._has_its_names(grant)
        book.apply(grant)
        self._is_told_the_newest(grant, claimed.desired)

    def _follows(self, grant: Grant) -> None:
        """After what was claimed before, and before the end."""
        book = self.scene.book
        before = book.latest.get(grant.subject)
        if before is not None and grant.token <= before.token:
            self.violated(f"{grant.subject}: token {grant.token} comes after {before.token}")
        if (grant.key, grant.epoch) in book.ends:
            self.scene.violated("I7", f"{grant.intent} is carried out again, after the end of epoch {grant.epoch}")
        if refusal := book.model(grant.subject).refusal(grant.intent):
            name = "I5" if "deleted" in refusal else "I3"
            self.scene.violated(name, f"{grant.intent} was claimed although {refusal}")

    def _is_durable(self, grant: Grant) -> None:
        state = self.scene.subject(grant.subject)
        if state is None or state.token != grant.token:
            self.violated(f"{grant.intent} was told that it has token {grant.token}, and the ledger does not know it")

    def _nobody_else_has_it(self, grant: Grant) -> None:
        """Nobody believes that he may write, to the subject or to what either has locked."""
        for other in self.scene.living():
            if other.parts is None:
                continue
            for lease in other.parts.dispatcher._leases._held:
                intent = self.scene.book.intent(lease.claim.key)
                left_s = lease.remaining_s() - self.scene.skew_s
                if left_s <= _ROUNDING_S or intent is None:
                    continue
                if str(lease.claim.subject) == grant.subject:
                    self.violated(
                        f"{grant.process.name} was granted {grant.subject} while {other.name} holds it for "
                        f"{left_s:.3f} s more ({intent})"
                    )
                elif self._exclude_each_other(grant, str(lease.claim.subject), intent.number, intent.text):
                    self.violated(
                        f"{grant.intent} was claimed while {intent} is at work, and one of them locks the other"
                    )

    def _exclude_each_other(self, grant: Grant, subject: str, _number: int, text: str) -> bool:
        mine, theirs = self.scene.book.event(grant.intent.text), self.scene.book.event(text)
        wanted = {str(lock.subject) for lock in mine.data.locks()} if mine and mine.data else set()
        taken = {str(lock.subject) for lock in theirs.data.locks()} if theirs and theirs.data else set()
        return subject in wanted or grant.subject in taken

    def _has_its_names(self, grant: Grant) -> None:
        event = self.scene.book.event(grant.intent.text)
        for name in event.data.names() if event and event.data else ():
            owner = self._names.setdefault(name, grant.subject)
            if owner != grant.subject:
                self.violated(f"{grant.intent} was claimed, and its name belongs to {owner}")

    def _is_told_the_newest(self, grant: Grant, desired: Mapping[str, Any]) -> None:
        model = self.scene.book.model(grant.subject)
        wanted = model.desired()
        for facet in sorted(desired.keys() | wanted.keys()):
            if desired.get(facet) != wanted.get(facet):
                newest = model.newest(facet)
                self.violated(
                    f"{grant.intent} is told that {facet} of {grant.subject} should be {desired.get(facet)}; the newest who "
                    f"has claimed it is {newest}, and wants {wanted.get(facet)}"
                )
        if grant.intent.data_class.facets and grant.generation != model.generation():
            self.violated(f"{grant.intent} writes as generation {grant.generation} of {model.generation()}")

    # -- ends ----------------------------------------------------------------------------------------------------------

    def _recorded(self, process: Process, record: Record) -> None:
        scene, book = self.scene, self.scene.book
        if record.outcome is None:
            return
        first = book.ends.get((record.key, record.epoch))
        if first is not None:
            self._is_the_same(first, record)
            return
        end = book.ended(scene.now, process, record)
        outcome = record.outcome
        why = f" {outcome.reason}: {outcome.message}" if outcome.reason else ""
        scene.tell(process.name, f"ends {record.key} e{record.epoch}: {outcome.kind}{why}")
        kept = scene.record_of_epoch(record.key, record.epoch)
        if kept is None or kept.outcome is None:
            scene.violated(
                "I1", f"{process.name} was told that {record.key} has ended, and the ledger does not know it"
            )
        if end is not None and outcome.kind == "succeeded":
            self._had_the_lease(end)
            self._was_not_protected(end)
            self._deleted(end)
        elif end is not None:
            self._nobody_was_at_work(end)

    def _is_the_same(self, first: End, record: Record) -> None:
        known = first.record
        if (known.outcome, known.changed, known.sequence) != (record.outcome, record.changed, record.sequence):
            self.scene.violated(
                "I1", f"{record.key} e{record.epoch} ended as {known.outcome}, and then as {record.outcome}"
            )

    def _had_the_lease(self, end: End) -> None:
        record = end.record
        latest = self.scene.book.latest.get(record.subject)
        if latest is None or latest.process is not end.process or latest.key != record.key:
            holder = "nobody" if latest is None else f"{latest.process.name} for {latest.intent}"
            self.violated(f"{end.process.name} ended {record.key} as succeeded, and {record.subject} is {holder}'s")

    def _nobody_was_at_work(self, end: End) -> None:
        """Whoever ends an event without having carried it out does not take it out of another's hands."""
        for other in self.scene.living():
            for lease in other.parts.dispatcher._leases._held if other.parts else ():
                left_s = lease.remaining_s() - self.scene.skew_s
                if other is not end.process and lease.claim.key == end.record.key and left_s > _ROUNDING_S:
                    self.violated(f"{end.process.name} ends {end.record.key}, which {other.name} is working on")

    def _was_not_protected(self, end: End) -> None:
        intent = self.scene.book.intent(end.record.key)
        spec = self.scene.book.model(end.record.subject).desired().get("spec")
        if (
            intent is not None
            and intent.data_class.deletes
            and isinstance(spec, dict)
            and spec.get("deletion_protection")
        ):
            self.scene.violated("outcomes", f"{intent} has succeeded, and {end.record.subject} was protected")

    def _deleted(self, end: End) -> None:
        intent = self.scene.book.intent(end.record.key)
        if intent is None or not intent.data_class.deletes:
            return
        model = self.scene.book.model(end.record.subject)
        model.end_delete(intent)
        state = self.scene.subject(end.record.subject)
        if state is not None and state.held_by is None and dict(state.desired) != dict(model.desired()):
            self.violated(f"after {intent} {dict(state.desired)} is desired, and should be {dict(model.desired())}")
        self._names = {name: owner for name, owner in self._names.items() if owner != end.record.subject}
        for obj, seen in self.scene.world.objects().items():
            mine = seen.marks.subject == end.record.subject
            if seen.kind == "Namespace" and mine:
                self.scene.violated("I5", f"{intent} has succeeded, and {obj} is still there")
            if seen.kind == "Image" and mine and not self._may_be_overlooked():
                self._is_not_deployed(intent, obj, seen)

    def _is_not_deployed(self, intent: Intent, obj: str, seen: Seen) -> None:
        tags: Sequence[str] = seen.content["tags"]  # type: ignore[assignment]
        if marks := [tag for tag in tags if tag.startswith(DEPLOYED)]:
            self.scene.violated("world", f"{intent} has succeeded, and {obj} is {', '.join(marks)}")

    def _may_be_overlooked(self) -> bool:
        """Whether a mark may have come late, or was not shown."""
        late = any(write.late for write in self.scene.world.writes)
        return late or any(fault.kind is FaultKind.STALE for fault in self.scene.plan.of_world())


class KeptAlive(Checker):
    """I3: a lease is renewed while its event is worked on, and never once it has ended."""

    name = "I3"

    def on_commit(self, process: Process, result: object) -> None:
        """Somebody else may have been let into what it locks by then."""
        if result is None and any(other.was_paused for other in self.scene.living()):
            self._is_held_in_the_ledger()
        renewed = isinstance(result, list) and result and all(isinstance(one, Renewal) and one.valid for one in result)
        if not renewed or process.parts is None or self.scene.has_disk_trouble:
            return
        kept_s = float(self.scene.plan.setup.dispatch["clock_skew_s"])
        for lease in process.parts.dispatcher._leases._held:
            over_s = process.clock.now() - lease.until_wall - kept_s
            if not lease.lost and over_s > _ANSWERED_S and self._is_valid_again(process, str(lease.claim.subject)):
                self.violated(
                    f"{process.name} renews its lease on {lease.claim.subject}, which ended {over_s:.1f} s ago"
                )

    def _is_valid_again(self, process: Process, subject: str) -> bool:
        """What was asked for before a pause, and comes only now, gives nothing that lasts."""
        state = self.scene.subject(subject)
        return state is not None and state.held_by is not None and state.held_by.until > process.clock.now()

    def _is_held_in_the_ledger(self) -> None:
        """Nobody else has given back what a process relies on."""
        for process in self.scene.living():
            for lease in process.parts.dispatcher._leases._held if process.parts is not None else ():
                state, subject = self.scene.subject(str(lease.claim.subject)), lease.claim.subject
                left_s = lease.remaining_s() - self.scene.skew_s
                if left_s > _ANSWERED_S and (state is None or state.held_by is None):
                    self.violated(f"{process.name} relies on {subject} for {left_s:.1f} s more, and nobody holds it")

    def on_look(self, process: Process) -> None:
        scene, parts = self.scene, process.parts
        if parts is None or process.owner.held or scene.has_disk_trouble or process.was_paused_within(30.0):
            return
        least_s = scene.plan.setup.dispatch["lease_s"] / 2 - 1.0 - 2 * scene.most_skew_s
        for lease in parts.dispatcher._leases._held:
            if not lease.lost and lease.remaining_s() < least_s:
                self.violated(
                    f"{process.name} works on {lease.claim.subject}, whose lease ends in {lease.remaining_s():.1f} s"
                )


class Attempts(Checker):
    """Attempts are counted, and there are no more of them than the handler may make; what one has finished is not done again."""

    name = "attempts"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._crashed: dict[tuple[str, int], int] = {}
        self._contexts: dict[tuple[str, int], Any] = {}
        self._unknown: list[Grant] = []
        self._failed: set[tuple[int, tuple[str, int]]] = set()
        self._put_off: set[tuple[int, tuple[str, int]]] = set()

    def on_visibility(self, queue: QueueServer, message: Message, seconds: float, by: str) -> None:
        """What is shown again because an attempt has failed, or waits without anybody's blame."""
        event = self.scene.book.event(message.body) if queue.name == COMMANDS else None
        record = None if event is None else self.scene.record(event.key)
        latest = None if record is None else self.scene.book.latest.get(record.subject)
        if record is None or latest is None or latest.key != record.key or latest.process.name != by:
            return
        if record.waiting is None or latest.epoch != record.epoch:
            return
        if record.waiting.why == "retry":
            self._failed.add((latest.token, (record.key, record.epoch)))
        elif record.waiting.why in _OF_HANDLERS:
            self._put_off.add((latest.token, (record.key, record.epoch)))

    def on_killed(self, process: Process) -> None:
        for subject in sorted({grant.subject for grant in self.scene.book.grants if grant.process is process}):
            state, latest = self.scene.subject(subject), self.scene.book.latest[subject]
            if latest.process is process and state is not None and state.held_by is not None:
                end = (latest.key, latest.epoch)
                self._crashed[end] = self._crashed.get(end, 0) + 1

    def on_commit(self, process: Process, result: object) -> None:
        book = self.scene.book
        if not isinstance(result, Claimed) or not book.grants or book.grants[-1].token != result.claim.token:
            return
        grant = book.grants[-1]
        end = (grant.key, grant.epoch)
        most = grant.most_attempts
        claims = sum(1 for other in book.grants if (other.key, other.epoch) == end)
        crashed = self._crashed.get(end, 0)
        if grant.attempt > most:
            self.violated(f"{grant.intent} makes attempt {grant.attempt} of {most}")
        failed = sum(1 for _, ended in self._failed if ended == end)
        put_off = sum(1 for _, ended in self._put_off - self._failed if ended == end)
        if not crashed + failed < grant.attempt <= claims - put_off:
            self.violated(
                f"{grant.intent}: attempt {grant.attempt} is claim {claims}; {crashed} crashed, {failed} failed, "
                f"{put_off} were put off"
            )
        self._goes_on(end, grant, result)
        self._unknown.append(grant)

    def on_step(self, process: Process) -> None:
        """Find the attempts that have begun, to know how far they come."""
        for grant in self._unknown:
            if grant.process is process and process.parts is not None:
                for work in process.parts.dispatcher._works:
                    if work.context is not None and work.event.key == grant.key:
                        self._contexts[grant.key, grant.epoch] = work.context
                        self._unknown.remove(grant)
                        return

    def _goes_on(self, end: tuple[str, int], grant: Grant, claimed: Claimed) -> None:
        """All but the last step that an earlier attempt has finished were written down, unless others have been at it since."""
        own = [other for other in self.scene.book.grants if (other.key, other.epoch) == end]
        if len(own) > 1 and own[-1].token > own[-2].token + 1:
            if claimed.journal:
                steps = ", ".join(claimed.journal)
                self.scene.violated(
                    "I7", f"{grant.intent} goes on after {steps}, and others have had its subject since"
                )
            return
        before = self._contexts.get(end)
        done = list(before._journal)[:-1] if before is not None else []
        lost = [step for step in done if step not in claimed.journal]
        if lost:
            self.scene.violated("I7", f"{grant.intent}, attempt {grant.attempt}, is to do {', '.join(lost)} again")
        known = {grant.epoch for grant in self.scene.book.grants[:-1] if grant.key == end[0]}
        if claimed.journal and grant.epoch not in known:
            self.scene.violated("I7", f"{grant.intent} begins epoch {grant.epoch} with steps of an earlier one")
