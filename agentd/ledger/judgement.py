"""Pure decisions about generations, shared by all adapters."""

from collections.abc import Mapping

from agentd.core import lean
from agentd.ledger.protocol import ClaimRequest, Conflict, Deleted, Json, Missing, Superseded


@lean(frozen=True, slots=True)
class Generation:
    """A claimed generation, and the event that claimed it."""

    number: int
    event_id: str


@lean(frozen=True, slots=True)
class Claims:
    """The generations claimed of one subject.

    `facets` is what has been claimed of each facet, `covering` the newest delete that has been claimed: it counts for
    every facet, also for those never seen. `tombstone` is the generation of the delete that succeeded. `wanted` are the
    facets of which something is desired.
    """

    facets: Mapping[str, Generation]
    covering: Generation | None = None
    tombstone: int | None = None
    wanted: frozenset[str] = frozenset()

    def of(self, facet: str) -> Generation | None:
        """The newest generation claimed of a facet."""
        own = self.facets.get(facet)
        if own is None or self.covering is None:
            return own or self.covering
        return max(own, self.covering, key=lambda claimed: claimed.number)

    def all(self) -> list[Generation]:
        """Everything that has been claimed."""
        covering = [] if self.covering is None else [self.covering]
        return [*self.facets.values(), *covering]


def judge(request: ClaimRequest, claims: Claims) -> Superseded | Conflict | Deleted | Missing | None:
    """What the generations claimed so far say to a request; None when it may go on.

    A delete covers every facet, so an equal generation of any of them conflicts with it.
    """
    standing = [claims.of(facet) for facet in sorted(request.facets)]
    newer = [claimed for claimed in standing if claimed is not None and claimed.number > request.generation]
    if newer and len(newer) == len(standing):
        newest = max(newer, key=lambda claimed: claimed.number)
        return Superseded(by_event_id=newest.event_id, generation=newest.number)
    for claimed in claims.all() if request.deletes else standing:
        if claimed and claimed.number == request.generation and claimed.event_id != request.event_id:
            return Conflict(by_event_id=claimed.event_id, generation=claimed.number)
    if claims.tombstone is not None and not (request.creates and request.generation > claims.tombstone):
        return Deleted(generation=claims.tombstone)
    missing = sorted(request.requires - claims.wanted)
    return Missing(missing[0]) if missing else None


def taken_over(request: ClaimRequest, claims: Claims) -> list[str]:
    """The declared facets that a granted claim sets: those whose generation is not newer."""
    return [
        facet
        for facet in sorted(request.facets)
        if (claimed := claims.of(facet)) is None or claimed.number <= request.generation
    ]


def ended(facets: Mapping[str, Generation], generation: int) -> list[str]:
    """The facets of which nothing is desired any more once a delete of this generation has succeeded, or once a create of

    this generation has brought its subject back. What newer events have claimed, in whatever order they came, stays.
    """
    return [name for name, claimed in facets.items() if claimed.number <= generation]


def desired_after(request: ClaimRequest, claims: Claims, desired: Mapping[str, Json]) -> dict[str, Json]:
    """What is desired by facet once a claim is granted. A delete leaves it as it is until it succeeds."""
    after = dict(desired)
    if request.creates and claims.tombstone is not None:
        for facet in ended(claims.facets, request.generation):
            after.pop(facet, None)
    if not request.deletes:
        after |= {facet: request.desired.get(facet) for facet in taken_over(request, claims)}
    return {facet: value for facet, value in sorted(after.items()) if value is not None}


def newest(request: ClaimRequest, claims: Claims) -> int:
    """The newest generation claimed of the subject, the request's own included if it claims any."""
    own = [request.generation] if request.facets or not claims.all() else []
    return max([*own, *(claimed.number for claimed in claims.all())])


def sequence_counter(key: str, subject: str) -> str:
    """The name of the counter that numbers a record's reports.

    A verified event counts on its subject. A message that was never verified counts on its own key, so that nobody can
    move a genuine subject's numbers, and the counter goes with the record.
    """
    return subject if subject and key.startswith("event/") else key
