"""An event's record: what was admitted, the epoch that is open, and those that have ended."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from agentd.core import Outcome, OutcomeKind, PermanentError, Reason
from agentd.ledger.documents.places import Places
from agentd.ledger.documents.shapes import Admitted, EndedEpoch, OpenEpoch, PastEpochs, Pointer
from agentd.ledger.documents.store import Conflicted, Place
from agentd.ledger.documents.transaction import Transaction
from agentd.ledger.protocol import Admission, Record, RecordState, Waiting

_REASONS = {reason.value: reason for reason in Reason}


@dataclass(frozen=True, slots=True)
class Known:
    """The documents of a key. At most one epoch is open; `ended` is the newest that has ended."""

    admitted: Admitted
    open: OpenEpoch | None
    ended: EndedEpoch | None

    @property
    def epoch(self) -> OpenEpoch | EndedEpoch:
        """The current one."""
        found = self.open or self.ended
        if found is None:
            raise ValueError(f"{self.admitted.key} has no epoch")
        return found

    @property
    def current(self) -> Record:
        """The record in its current epoch."""
        return record_of(self.admitted, self.epoch)


def places_of(places: Places, key: str) -> tuple[Place, Place]:
    """What is read first of a key: it says what else there is."""
    return places.admitted(key), places.open(key)


async def known(txn: Transaction, key: str) -> Known | None:
    """What the documents of a key say. Conflicted when they were read in the middle of somebody's change."""
    return (await known_of(txn, [key])).get(key)


async def known_of(txn: Transaction, keys: Iterable[str]) -> dict[str, Known]:
    """The same of several keys; those that are known."""
    distinct = list(dict.fromkeys(keys))
    await txn.read(place for key in distinct for place in places_of(txn.places, key))
    await txn.read(txn.places.ended(key) for key in distinct if _may_have_ended(txn, key))
    return {key: found for key in distinct if (found := _known(txn, key)) is not None}


def _may_have_ended(txn: Transaction, key: str) -> bool:
    """Whether there is an epoch that has ended: before the open one, or as none is open."""
    opened = txn.find(OpenEpoch, txn.places.open(key))
    return txn.find(Admitted, txn.places.admitted(key)) is not None and (opened is None or opened.epoch > 1)


def _known(txn: Transaction, key: str) -> Known | None:
    admitted, opened = txn.find(Admitted, txn.places.admitted(key)), txn.find(OpenEpoch, txn.places.open(key))
    ended = txn.find(EndedEpoch, txn.places.ended(key)) if _may_have_ended(txn, key) else None
    if (admitted is None) != (opened is None and ended is None):
        raise Conflicted
    return None if admitted is None else Known(admitted, opened, ended)


async def record_of_epoch(txn: Transaction, found: Known, epoch: int) -> Record | None:
    """The record as it is, or ended, in one epoch."""
    for candidate in (found.open, found.ended):
        if candidate is not None and candidate.epoch == epoch:
            return record_of(found.admitted, candidate)
    if epoch >= found.epoch.epoch:
        return None
    past = next((each for each in (await past_epochs(txn, found)).epochs if each.epoch == epoch), None)
    return None if past is None else record_of(found.admitted, past)


async def past_epochs(txn: Transaction, found: Known) -> PastEpochs:
    """The epochs that ended before the newest that has."""
    if found.ended is None or found.ended.epoch == 1:
        return PastEpochs()
    place = txn.places.past(found.admitted.key)
    await txn.read([place])
    return txn.find(PastEpochs, place) or PastEpochs()


def record_of(admitted: Admitted, epoch: OpenEpoch | EndedEpoch) -> Record:
    """The record in one of its epochs."""
    opened = isinstance(epoch, OpenEpoch)
    record = Record(
        key=admitted.key,
        event_id=admitted.event_id,
        digest=admitted.digest,
        type=admitted.type,
        subject=admitted.subject,
        generation=admitted.generation,
        event=admitted.event,
        state=RecordState.OPEN if opened else RecordState.FINISHED,
        epoch=epoch.epoch,
        attempts=epoch.attempts,
        changed=epoch.changed,
        admitted_at=admitted.admitted_at,
        expires_at=admitted.expires_at,
        started_at=epoch.started_at,
        last_error=epoch.last_error,
        objects=epoch.objects,
    )
    if isinstance(epoch, OpenEpoch):
        return replace(record, waiting=epoch.waiting)
    return replace(record, finished_at=epoch.finished_at, outcome=_outcome(epoch), sequence=epoch.sequence)


async def admit(txn: Transaction, admission: Admission) -> Record:
    """Write the event down, unless its key is known."""
    found = await known(txn, admission.key)
    return admit_new(txn, admission).current if found is None else found.current


def admit_new(txn: Transaction, admission: Admission) -> Known:
    """Write an event down whose key is not known."""
    admitted = Admitted(
        key=admission.key,
        event_id=admission.event_id,
        digest=admission.digest,
        type=admission.type,
        subject=str(admission.subject),
        generation=admission.generation,
        event=admission.event,
        admitted_at=admission.now,
        expires_at=admission.expires_at,
    )
    opened = OpenEpoch(admission.key, 1, admission.now).noted("admitted", admission.type, at=admission.now)
    write_down(txn, admitted)
    txn.put(txn.places.open(admission.key), opened)
    return Known(admitted, opened, None)


def write_down(txn: Transaction, admitted: Admitted) -> None:
    """Keep what is new, and put it into the lists that records are found by."""
    txn.put(txn.places.admitted(admitted.key), admitted)
    for place in lists_of(txn.places, admitted):
        txn.put_unread(place, Pointer(admitted.key))


def lists_of(places: Places, admitted: Admitted) -> list[Place]:
    """The record's places in the lists that records are found by."""
    return places.lists_of(admitted.key, admitted.event_id, admitted.subject, admitted.admitted_at)


async def wait(txn: Transaction, key: str, waiting: Waiting, *, now: float) -> None:
    """Note why an open event is put off; the same reason again is no new transition."""
    found = await known(txn, key)
    if found is not None and found.open is not None:
        txn.put(txn.places.open(key), put_off(found.open, waiting, now=now))


def put_off(opened: OpenEpoch, waiting: Waiting, *, now: float) -> OpenEpoch:
    """The epoch with why it waits."""
    before = opened.waiting
    news = before is None or (before.why, before.message) != (waiting.why, waiting.message)
    after = replace(opened, waiting=waiting)
    return after.noted("waiting", f"{waiting.why}: {waiting.message}", at=now) if news else after


def never_admitted(key: str) -> PermanentError:
    """The error of who asks for a record that is not there."""
    return PermanentError(Reason.INTERNAL_ERROR, f"ledger: {key} has never been admitted")


def _outcome(epoch: EndedEpoch) -> Outcome:
    return Outcome(
        kind=OutcomeKind(epoch.outcome),
        changed=epoch.changed,
        reason=None if epoch.reason is None else _REASONS[epoch.reason],
        message=epoch.message,
        step=epoch.step,
        result=epoch.result,
    )
