"""The claim, decided and carried out in one transaction; and its opposite, the release."""

from dataclasses import replace

from agentd.core import PermanentError, Reason, lean
from agentd.ledger.judgement import Claims, judge, newest, taken_over
from agentd.ledger.protocol import (
    Admission,
    Claim,
    Claimed,
    ClaimRequest,
    ClaimResult,
    Exhausted,
    Finished,
    Json,
    NameTaken,
    OtherContent,
    Record,
    RecordState,
    Waiting,
)
from agentd.ledger.sqlite import events, leases
from agentd.ledger.sqlite.connection import Database
from agentd.ledger.sqlite.rows import (
    Facet,
    Holding,
    claims_of,
    current_record,
    facets_of,
    facets_text,
    holding,
    record_of_epoch,
    steps_from,
    without_desires,
)

_COUNT_ATTEMPT = """
    UPDATE events SET attempts = ?, started_at = coalesce(started_at, ?),
        steps = CASE token WHEN ? - 1 THEN steps ELSE '' END, token = ?,
        waiting_why = NULL, waiting_message = NULL, waiting_until = NULL, history = history || ?
    WHERE key = ? AND epoch = ?
    RETURNING steps
"""
_NAME_OWNER = """
    SELECT holdings.subject, deleting FROM reserved_names JOIN holdings USING (subject) WHERE kind = ? AND name = ?
"""


def claim(database: Database, request: ClaimRequest) -> ClaimResult:
    """Decide in the protocol's order, and take the lease if nothing is in the way. An event that is new is written down."""
    record = _known(database, request)
    if record is None:
        return _first_claim(database, request, _admission(request))
    if request.admission is not None and record.digest != request.admission.digest:
        return OtherContent(record)
    if record.state is RecordState.FINISHED:
        return Finished(record)
    return _decide(database, _Asked(request, record.epoch, record.attempts, record))


def release(database: Database, claim: Claim, *, error: str | None, waiting: Waiting | None, now: float) -> None:
    """Give the lease back, unless somebody has taken it over."""
    own = holding(database, str(claim.subject))
    if not own.is_of(claim):
        return
    if error is None:
        database.execute(
            "UPDATE events SET attempts = attempts - 1 WHERE key = ? AND epoch = ?", (claim.key, claim.epoch)
        )
    else:
        events.attempt_failed(database, claim.key, claim.epoch, error, at=now)
    own.let_go(database)
    own.save(database)
    if waiting is not None:
        events.wait(database, claim.key, waiting, now=now)


@lean(frozen=True, slots=True)
class _Asked:
    """A claim of an open event, and what counts for it. `record` is None of one that is new: it is not yet in the file."""

    request: ClaimRequest
    epoch: int
    attempts: int
    record: Record | None


def _known(database: Database, request: ClaimRequest) -> Record | None:
    """The record in the epoch that the request is for."""
    if request.epoch is None:
        return current_record(database, request.key)
    return record_of_epoch(database, request.key, request.epoch)


def _first_claim(database: Database, request: ClaimRequest, admission: Admission) -> ClaimResult:
    """Of an event that is not known: it is written down whatever the answer is."""
    result = _decide(database, _Asked(request, epoch=1, attempts=0, record=None))
    if not isinstance(result, Claimed):
        events.insert(database, events.new_record(admission), history=_admitted(database, admission))
    return result


def _admission(request: ClaimRequest) -> Admission:
    if request.admission is None or request.epoch not in (None, 1):
        message = f"ledger: {request.key} was never admitted in epoch {request.epoch or 1}"
        raise PermanentError(Reason.INTERNAL_ERROR, message)
    return request.admission


def _admitted(database: Database, admission: Admission) -> str:
    """The note that an event was admitted."""
    return events.noted(database, 1, at=admission.now, what="admitted", detail=admission.type)


def _decide(database: Database, asked: _Asked) -> ClaimResult:
    request = asked.request
    own = holding(database, str(request.subject))
    facets = facets_of(own)
    known = claims_of(own, facets)
    refusal = judge(request, known) or leases.obstacle(database, request, own) or name_taken(database, request)
    if refusal is not None:
        return refusal
    if asked.attempts >= request.max_attempts:
        return Exhausted(attempts=asked.attempts, last_error=_last_word(database, request.key, asked.epoch))
    return _take(database, asked, own, facets, known)


def name_taken(database: Database, request: ClaimRequest) -> NameTaken | None:
    """The first of its names that belongs to another subject."""
    for kind, name in sorted(request.names):
        owner = database.one(_NAME_OWNER, (kind, name))
        if owner is not None and owner[0] != str(request.subject):
            return NameTaken(kind, name, by_subject=owner[0], deleting=owner[1] is not None)
    return None


def _last_word(database: Database, key: str, epoch: int) -> str | None:
    """The last attempt's error; None when that attempt never said one."""
    row = database.one(
        "SELECT last_error FROM events WHERE key = ? AND epoch = ? AND last_error_attempt = attempts",
        (key, epoch),
    )
    return None if row is None else row[0]


def _take(database: Database, asked: _Asked, own: Holding, facets: dict[str, Facet], known: Claims) -> Claimed:
    request = asked.request
    if own.lease_key is not None and own.lease_epoch is not None:
        detail = f"replica {own.lease_replica} ended without a word"
        events.note(database, own.lease_key, own.lease_epoch, at=request.now, what="attempt_failed", detail=detail)
        own.let_go(database)
    own.take(request, asked.epoch, locks=leases.take_locks(database, request))
    _set_generations(request, own, facets, known)
    sequence = own.next_sequence()
    own.save(database)
    _reserve_names(database, request)
    record, journal = _count_attempt(database, asked, token=own.token)
    return Claimed(
        claim=Claim(request.key, record.epoch, request.subject, own.token, request.replica),
        record=record,
        attempt=record.attempts,
        changed=record.changed,
        journal=journal,
        sequence=sequence,
        generation=newest(request, known),
        desired={name: facet.desired for name, facet in facets.items() if facet.desired is not None},
    )


def _count_attempt(database: Database, asked: _Asked, *, token: int) -> tuple[Record, dict[str, Json]]:
    """The record with one attempt more, and its journal: empty once another event has had the subject in between."""
    request, record = asked.request, asked.record
    attempt = asked.attempts + 1
    claimed = {"what": "claimed", "detail": f"attempt {attempt} by replica {request.replica}, token {token}"}
    if record is None:
        admission = _admission(request)
        history = _admitted(database, admission) + events.noted(database, 1, at=request.now, **claimed)
        record = events.new_record(admission, attempts=attempt, started_at=request.now)
        events.insert(database, record, history=history, token=token)
        return record, {}
    note = events.noted(database, asked.epoch, at=request.now, **claimed)
    row = database.one(_COUNT_ATTEMPT, (attempt, request.now, token, token, note, record.key, record.epoch))
    events.trim(database, record.key)
    started_at = request.now if record.started_at is None else record.started_at
    journal = {} if row is None else {step.step: step.result for step in steps_from(row[0], record.epoch)}
    return replace(record, attempts=attempt, started_at=started_at, waiting=None), journal


def _set_generations(request: ClaimRequest, own: Holding, facets: dict[str, Facet], known: Claims) -> None:
    if request.creates and own.tombstone is not None:
        facets.update(without_desires(facets, request.generation))
    for name in taken_over(request, known):
        before = facets.get(name)
        kept = before.desired if before is not None and request.deletes else None
        desired = kept if request.deletes else request.desired.get(name)
        facets[name] = Facet(request.generation, request.event_id, desired)
    own.facets = facets_text(facets)
    if request.creates:
        own.tombstone = None
    if request.deletes:
        own.deleting = request.key
        if (own.covering or 0) <= request.generation:
            own.covering, own.covering_event_id = request.generation, request.event_id


def _reserve_names(database: Database, request: ClaimRequest) -> None:
    for kind, name in request.names:
        database.execute(
            "INSERT INTO reserved_names (kind, name, subject) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (kind, name, str(request.subject)),
        )
