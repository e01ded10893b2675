"""What has been desired of a subject, and when: told again from the events that the ledger keeps, by its own judgement.

Nothing is written down for it. What was desired before the oldest event that is kept, and has changed since, is not known.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentd.core import Handler, OutcomeKind, PermanentError, Subject
from agentd.dispatch.requests import claim_request
from agentd.events import Event, decode
from agentd.ledger import ClaimRequest, Ledger, Record, SubjectState
from agentd.ledger.judgement import Claims, Generation, desired_after, ended, taken_over

Json = Any  # what is desired of a facet, in its events' own shapes

_PAGE = 50
_FORGOTTEN = Generation(0, "")
_NOBODY = "history"

UNKNOWN = "(not known any more)"
"""In place of what an event desired whose data is gone."""


@dataclass(frozen=True, slots=True)
class Version:
    """What was desired from `at` on, by facet, and the event that has made it so. Nothing when it was deleted.

    `problem` says why what the event desired is not known any more.
    """

    at: float
    generation: int
    event_id: str
    type: str
    what: str
    outcome: str | None
    desired: Mapping[str, Json]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """All versions, oldest first. Before `known_since` only `base` is known: what has not changed since. None: all is known."""

    subject: Subject
    base: Mapping[str, Json]
    versions: Sequence[Version]
    known_since: float | None

    def desired_at(self, at: float) -> Mapping[str, Json]:
        """What was desired at a time."""
        return next((version.desired for version in reversed(self.versions) if version.at <= at), self.base)

    def claimed_at(self, generation: int) -> float | None:
        """When a generation was claimed; None when no event that is kept has done so."""
        return next((version.at for version in self.versions if version.generation == generation), None)


Fetch = Callable[[Event], Awaitable[Event]]
"""The event with its data, wherever that is. Raises PermanentError when it is not there any more."""


async def history_of(subject: Subject, ledger: Ledger, handlers: Mapping[str, Handler], fetch: Fetch) -> History | None:
    """The history of a subject; None when nothing is known of it."""
    state = await ledger.subject(subject)
    if state is None:
        return None
    moments: list[_Moment] = []
    for record in await _events_of(subject, ledger):
        moments += await _moments(record, ledger, handlers, fetch)
    moments.sort(key=lambda moment: (moment.at, moment.ends))
    return _told(subject, state, moments)


@dataclass(frozen=True, slots=True)
class _Moment:
    """An event was claimed, or (`ends`) a delete has succeeded."""

    at: float
    ends: bool
    request: ClaimRequest
    record: Record
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is claimed and desired at a moment."""

    claims: Claims = field(default_factory=lambda: Claims({}))
    desired: Mapping[str, Json] = field(default_factory=dict)

    def after(self, moment: _Moment) -> "_Standing":
        """Once that has happened."""
        request, claims = moment.request, self.claims
        if moment.ends:
            over = ended(claims.facets, request.generation)
            kept = {facet: value for facet, value in self.desired.items() if facet not in over}
            return _Standing(replace(claims, tombstone=request.generation), kept)
        claimed = Generation(request.generation, request.event_id)
        covers = request.deletes and (claims.covering is None or claims.covering.number <= request.generation)
        after = Claims(
            facets={**claims.facets, **dict.fromkeys(taken_over(request, claims), claimed)},
            covering=claimed if covers else claims.covering,
            tombstone=None if request.creates else claims.tombstone,
        )
        return _Standing(after, desired_after(request, claims, self.desired))


def _told(subject: Subject, state: SubjectState, moments: Sequence[_Moment]) -> History:
    """What is desired now and by no event that is kept has been so all the time."""
    last = _Standing()
    for moment in moments:
        last = last.after(moment)
    base = {facet: value for facet, value in state.desired.items() if facet not in last.desired}
    standing = _Standing(Claims(dict.fromkeys(base, _FORGOTTEN)), base)
    versions = []
    for moment in moments:
        standing = standing.after(moment)
        versions.append(_version(moment, standing))
    whole = not moments or (moments[0].request.creates and not base)
    return History(subject, base, versions, None if whole else moments[0].at)


def _version(moment: _Moment, standing: _Standing) -> Version:
    record = moment.record
    return Version(
        at=moment.at,
        generation=moment.request.generation,
        event_id=moment.request.event_id,
        type=record.type or "",
        what="deleted" if moment.ends else "claimed",
        outcome=None if record.outcome is None else record.outcome.kind.value,
        desired=standing.desired,
        problem=moment.problem,
    )


async def _events_of(subject: Subject, ledger: Ledger) -> list[Record]:
    found: list[Record] = []
    while page := await ledger.events_of(subject, before=found[-1] if found else None, limit=_PAGE):
        found += page
    return found


async def _moments(record: Record, ledger: Ledger, handlers: Mapping[str, Handler], fetch: Fetch) -> list[_Moment]:
    """When the event has changed what is desired: none if it never began, or is a command."""
    handler = handlers.get(record.type or "")
    at = await _first_claimed(record, ledger)
    if handler is None or record.event is None or at is None or not handler.event.facets:
        return []
    try:
        event = await fetch(decode(record.event))
    except PermanentError as error:
        return [_Moment(at, False, _unknown(record, handler, at), record, error.message)]
    if event.data is None:
        return []
    request = claim_request(event, event.data, handler, replica=_NOBODY, now=at, until=at)
    claimed = _Moment(at, False, request, record)
    outcome, finished_at = record.outcome, record.finished_at
    if not request.deletes or outcome is None or finished_at is None or outcome.kind is not OutcomeKind.SUCCEEDED:
        return [claimed]
    return [claimed, _Moment(finished_at, True, request, record)]


def _unknown(record: Record, handler: Handler, at: float) -> ClaimRequest:
    """The claim of an event whose data is gone: it is known what it replaced, and not by what."""
    data = handler.event
    return ClaimRequest(
        key=record.key,
        epoch=None,
        event_id=record.event_id or "",
        subject=Subject.parse(record.subject),
        generation=record.generation or 0,
        facets=data.facets,
        requires=data.requires,
        creates=data.creates,
        deletes=data.deletes,
        names=(),
        locks=(),
        desired=dict.fromkeys(data.facets, UNKNOWN),
        replica=_NOBODY,
        max_attempts=1,
        now=at,
        until=at,
    )


async def _first_claimed(record: Record, ledger: Ledger) -> float | None:
    """When the event first began; of one that was redriven its own notes say so, as long as they reach back."""
    if record.epoch == 1:
        return record.started_at
    claims = [noted.at for noted in await ledger.history(record.key) if noted.what == "claimed"]
    return min(claims, default=record.started_at)
