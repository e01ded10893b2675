"""I4, I5, I7 and I11 at the moment of a write: who may, and who has been too late."""

from collections.abc import Mapping
from itertools import pairwise

from agentd.ledger import Record
from agentd.platform import keys
from tests.simulation.book import Grant
from tests.simulation.process import Process
from tests.simulation.scene import Checker, Scene
from tests.simulation.world import KUBERNETES, Api, FaultKind, Write

_ROUNDING_S = 1e-3
_RIGHT_BEFORE_S = 0.5


class Writes(Checker):
    """What checkers of writes share."""

    def grant_of(self, write: Write) -> Grant | None:
        """The claim under which a call was made."""
        found = self.scene.book.grants_of(slot_of(write), write.caller.event_id, write.asked_at)
        return found[0] if found else None


class Fencing(Writes):
    """I4: nobody writes whose lease has ended, and nothing older is written over what is newer."""

    name = "I4"

    def on_write(self, write: Write) -> None:
        grant = self.grant_of(write)
        if write.caller.event_id is None:
            self.scene.violated("I10", f"{told(write)}, and no event asks for it")
            return
        if grant is None:
            self.violated(f"{told(write)}, without any claim of {write.caller.event_id}")
            return
        self._nobody_has_taken_over(write, grant)
        self._has_the_lease(write, grant)
        if write.changed:
            self._is_not_older(write, grant)
            if write.service == KUBERNETES and write.before is None and not write.operation.startswith("create"):
                self.violated(f"{told(write)}, which was not there: what is created must be created")
            if write.service == KUBERNETES and write.before is not None and not write.bound:
                self.violated(f"{told(write)}, whatever has become of it since it was read")

    def on_rest(self) -> None:
        """Whoever has claimed a newer generation has stamped what he was about."""
        book = self.scene.book
        for subject, model in book.models.items():
            grants = [grant for grant in book.grants if grant.subject == subject and grant.intent.data_class.facets]
            if not grants or not self.scene.succeeded(grants[-1].intent) or model.tombstone is not None:
                continue
            for obj, seen in self.scene.world.objects().items():
                labels: Mapping[str, str] = seen.content.get("labels", {})  # type: ignore[assignment]
                stamped = labels.get(keys.COMPONENT) == "environment" and seen.marks.subject == subject
                if stamped and seen.marks.generation != grants[-1].generation:
                    self.violated(f"{obj} carries generation {seen.marks.generation}, after {grants[-1].intent}")

    def _nobody_has_taken_over(self, write: Write, grant: Grant) -> None:
        """Whoever took the subject over did so after the call, and after its effect if the caller waited for it."""
        moment = write.asked_at if write.late else write.at
        for other in reversed(self.scene.book.grants):
            if other.token <= grant.token or other.subject != grant.subject:
                continue
            overlap_s = moment - other.at
            if overlap_s > self.scene.skew_s + _ROUNDING_S and other.process is not grant.process:
                self.violated(
                    f"{told(write)} under token {grant.token}; token {other.token} was given to {other.process.name} "
                    f"{overlap_s:.3f} s before"
                )
                return

    def _has_the_lease(self, write: Write, grant: Grant) -> None:
        """The caller still waits, so his lease must last still: the call's time-out is below what remains of it."""
        state = self.scene.subject(grant.subject)
        process = grant.process
        if write.late or not process.alive or process.was_paused_within(write.at - write.asked_at + 1.0):
            return
        if process.owner.held or state is None or state.token != grant.token or state.held_by is None:
            return
        over_s = process.clock.now() - state.held_by.until + float(self.scene.plan.setup.dispatch["clock_skew_s"])
        if over_s > _ROUNDING_S + self.scene.skew_s:
            self.violated(f"{told(write)}, and waits for the answer {over_s:.3f} s after its lease has ended")
        self._is_kept_as_long(grant, state.held_by.until)

    def _is_kept_as_long(self, grant: Grant, until: float) -> None:
        """Nobody relies on a lease for longer than the ledger keeps it from others, with what clocks may differ."""
        parts = grant.process.parts
        for lease in parts.dispatcher._leases._held if parts is not None else ():
            if lease.claim.token != grant.token or str(lease.claim.subject) != grant.subject or lease.lost:
                continue
            over_s = lease.until_wall - until + float(self.scene.plan.setup.dispatch["clock_skew_s"])
            if over_s > _ROUNDING_S:
                self.scene.violated("I3", f"{grant.process.name} relies on {grant.subject} for {over_s:.3f} s too long")

    def _is_not_older(self, write: Write, grant: Grant) -> None:
        before, after = write.before, write.after
        held = before.generation if before else None
        left = after.generation if after else None
        if write.api is Api.CONDITIONAL and held is not None and held > grant.generation:
            self.violated(f"{told(write)} as generation {grant.generation}; it carries generation {held}")
        elif held is not None and left is not None and left < held and not write.late:
            self.violated(f"{told(write)}: its generation goes back from {held} to {left}")


class Announced(Writes):
    """I4: right before each call the fence has been asked, and what is about to be written to is in the ledger."""

    name = "I4"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._announced: dict[tuple[int, str, str], list[float]] = {}

    def on_intended(self, process: Process, event_id: str, obj: str) -> None:
        self._announced.setdefault((process.slot, event_id, obj), []).append(self.scene.now)

    def on_write(self, write: Write) -> None:
        grant = self.grant_of(write)
        record = None if grant is None else self.scene.record_of_epoch(grant.key, grant.epoch)
        if grant is None or record is None:
            return
        self._asked_the_fence(write, grant)
        if write.changed and write.obj not in record.objects:
            self.violated(f"{told(write)}, and the ledger does not know that it was about to")
        elif write.changed and not write.stamp and not record.changed:
            self.scene.violated("I7", f"{told(write)}, and the ledger does not know that it changes something")

    def _asked_the_fence(self, write: Write, grant: Grant) -> None:
        asked = self._announced.get((slot_of(write), grant.intent.event_id, write.obj), [])
        before = [at for at in asked if at <= write.asked_at]
        if not before:
            self.violated(f"{told(write)}, and has not asked whether it still may")
            return
        asked.remove(before[-1])
        early_s = write.asked_at - before[-1]
        is_calm = self.scene.is_undisturbed and early_s > _RIGHT_BEFORE_S
        if is_calm:
            self.violated(f"{told(write)}, and has asked {early_s:.1f} s before whether it may")


class Ownership(Checker):
    """I11: what is not the agent's own stays as it is."""

    name = "I11"

    def on_write(self, write: Write) -> None:
        before = write.before
        if write.changed and before is not None and before.owner_id != self.scene.owner_id:
            self.violated(f"{told(write)}, which belongs to {before.owner_id or 'nobody known'}")

    def on_rest(self) -> None:
        for obj in self.scene.world.disturbed():
            self.violated(f"{obj} is not as somebody else had left it")


class Locked(Writes):
    """An environment that somebody has locked is left alone: he may be in the middle of something."""

    name = "locked"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._made_at: dict[str, float] = {}

    def on_write(self, write: Write) -> None:
        if write.obj.startswith("kubernetes:namespace/") and write.changed and write.before is None:
            self._made_at[write.obj.rpartition("/")[2]] = write.at
        grant = self.grant_of(write)
        if grant is None or grant.intent.subject.kind != "environment" or not write.changed or write.late:
            return
        name = grant.intent.data["environment_name"]
        locked_at = self.scene.done.get(("lock", name))
        unlocked_at = self.scene.done.get(("unlock", name), -1.0)
        lasts_s = self.scene.lock_lasts(name)
        if locked_at is None or max(unlocked_at, self._made_at.get(name, -1.0)) > locked_at:
            return
        if lasts_s is None or grant.at < locked_at:
            return
        if self.scene.now < locked_at + int(lasts_s) - 1.0 - self.scene.most_skew_s and f":{name}/" in f"{write.obj}/":
            self.violated(f"{told(write)}, and somebody has locked the environment until {locked_at + lasts_s:.1f} s")


class Idempotence(Writes):
    """I7: what is settled is not written again; equal content is stamped at most; `changed` says what was done."""

    name = "I7"

    def on_write(self, write: Write) -> None:
        if not write.changed or write.caller.event_id is None:
            return
        end = self.scene.book.end_of(f"event/{write.caller.event_id}")
        again = self.scene.book.grants_of(slot_of(write), write.caller.event_id, write.at)
        reopened = end is not None and any(grant.epoch > end.record.epoch for grant in again)
        if end is not None and not reopened and write.asked_at > end.at + _ROUNDING_S:
            self.violated(f"{told(write)} after its event had ended")

    def on_commit(self, process: Process, result: object) -> None:
        """An end says whether any attempt of its epoch had to do something."""
        book = self.scene.book
        if not isinstance(result, Record) or result.outcome is None:
            return
        end = book.ends.get((result.key, result.epoch))
        if end is None or end.record is not result:
            return
        since = [grant.at for grant in book.grants if (grant.key, grant.epoch) == (result.key, result.epoch)]
        mine = [
            write
            for write in self.scene.world.writes
            if since and f"event/{write.caller.event_id}" == result.key and write.at >= since[0] and not write.stamp
        ]
        if any(write.changed and not write.late for write in mine) and not result.changed:
            self.violated(f"{book.intent(result.key)} has changed something, and says that it has not")
        if result.changed and not mine and self.scene.is_undisturbed and not self.scene.plan.of_world():
            self.violated(f"{book.intent(result.key)} says that it has changed something, and has written nothing")

    def on_rest(self) -> None:
        """A newer generation that asks for what the one before it has brought about changes nothing."""
        book = self.scene.book
        for subject in book.models:
            grants = [grant for grant in book.grants if grant.subject == subject]
            for before, grant in pairwise(grants):
                if (
                    grant.intent.equal
                    and grant.attempt == 1
                    and (grant.intent.number < 0 or self._follows(before, grant))
                    and not self._has_been_planted_in(before)
                ):
                    self._changes_nothing(grant)

    def _follows(self, before: Grant, grant: Grant) -> bool:
        """Whether one was brought to its good end by the first attempt, right before the other."""
        first, second = before.intent, grant.intent
        end = self.scene.book.ends.get((before.key, before.epoch))
        return (
            first.event_id != second.event_id
            and before.generation == first.generation
            and (first.data_class, first.data) == (second.data_class, second.data)
            and end is not None
            and end.record.outcome is not None
            and end.record.outcome.kind == "succeeded"
            and end.at < grant.at
            and self._has_it_alone(grant)
            and not any(write.late for write in self.scene.world.writes)
        )

    def _has_been_planted_in(self, before: Grant) -> bool:
        """Whether somebody has started a workload since: who had the environment before may not have seen it."""
        name = before.intent.data.get("environment_name")
        return self.scene.done.get(("workload", str(name)), -1.0) > before.at

    def _has_it_alone(self, grant: Grant) -> bool:
        """Whether nobody else has the subject before the event has come to its end."""
        end = self.scene.book.ends.get((grant.key, grant.epoch))
        return end is not None and not any(
            other.subject == grant.subject and other.key != grant.key and grant.at < other.at < end.at
            for other in self.scene.book.grants
        )

    def _changes_nothing(self, grant: Grant) -> None:
        end = self.scene.book.ends.get((grant.key, grant.epoch))
        saw_all = not any(fault.kind is FaultKind.STALE for fault in self.scene.plan.of_world())
        saw_all = saw_all and not any(write.late for write in self.scene.world.writes)
        if end is not None and end.record.changed and saw_all:
            self.violated(f"{grant.intent} asks for what was there already, and says that it has changed something")
        for write in self.scene.world.writes:
            mine = write.caller.event_id == grant.intent.event_id
            if write.changed and not write.stamp and mine and not any(other.late for other in self.scene.world.writes):
                self.violated(f"{grant.intent} asks for what was there already, and {told(write)}")
                return


class NoResurrection(Checker):
    """I5: what was deleted comes back by a newer create alone."""

    name = "I5"

    def on_write(self, write: Write) -> None:
        after = write.after
        if not write.changed or write.before is not None or after is None or after.subject is None or write.late:
            return
        model = self.scene.book.models.get(after.subject)
        if model is not None and model.tombstone is not None and (after.generation or 0) <= model.tombstone.generation:
            self.violated(f"{told(write)} of generation {after.generation}, deleted at {model.tombstone.generation}")


def slot_of(write: Write) -> int:
    """The number of the replica that has written."""
    return int(write.caller.replica.removeprefix("r"))


def told(write: Write) -> str:
    """For people."""
    return f"{write.caller.replica} has done {write.operation} to {write.obj} for {(write.caller.event_id or '?')[:8]}"
