"""Events for the tests, and the short ways through an event's life. Time is what the tests say it is."""

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from agentd.core import Lock, LockMode, Outcome, OutcomeKind, Reason, Subject
from agentd.ledger import Admission, Claim, Claimed, ClaimRequest, Ending, Ledger, Record, Waiting
from agentd.ledger.protocol import Json

NOW = 1_700_000_000.0
LEASE_S = 60.0
SPEC = frozenset({"spec"})
BOTH = frozenset({"spec", "power"})

SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED)
FAILED = Outcome(OutcomeKind.FAILED, reason=Reason.ACCESS_DENIED, message="no right to do it", step="create")
SUPERSEDED = Outcome(OutcomeKind.SUPERSEDED, reason=Reason.NEWER_GENERATION)
REJECTED = Outcome(OutcomeKind.REJECTED, reason=Reason.MALFORMED, message="data: no object")


def uuid(number: int) -> str:
    """A UUID that tells its number."""
    return str(UUID(int=number, version=4))


def project(number: int) -> Subject:
    """A subject of its own for each number."""
    return Subject("project", uuid(number))


def read(subject: Subject) -> Lock:
    """A read lock."""
    return Lock(subject, LockMode.READ)


def write(subject: Subject) -> Lock:
    """A write lock."""
    return Lock(subject, LockMode.WRITE)


FIRST = project(1)


@dataclass(frozen=True, slots=True)
class Event:
    """An event; `number` makes its id."""

    number: int
    generation: int = 1
    subject: Subject = FIRST
    facets: frozenset[str] = SPEC
    requires: frozenset[str] = frozenset()
    creates: bool = False
    deletes: bool = False
    names: tuple[tuple[str, str], ...] = ()
    locks: tuple[Lock, ...] = ()
    desired: Json = None

    @property
    def id(self) -> str:
        """The event's id."""
        return uuid(self.number)

    @property
    def key(self) -> str:
        """The ledger's key."""
        return f"event/{self.id}"

    def admission(self, *, now: float = NOW, expires_at: float | None = None) -> Admission:
        """The event as it is first written down."""
        return Admission(
            key=self.key,
            event_id=self.id,
            digest=f"sha256:{self.number}",
            type="conveyor.project.update.v1",
            subject=self.subject,
            generation=self.generation,
            event=f'{{"id":"{self.id}"}}',
            expires_at=expires_at,
            now=now,
        )

    def request(
        self,
        *,
        replica: str = "a",
        epoch: int = 1,
        now: float = NOW,
        until: float | None = None,
        max_attempts: int = 3,
    ) -> ClaimRequest:
        """A claim of the event."""
        return ClaimRequest(
            key=self.key,
            epoch=epoch,
            event_id=self.id,
            subject=self.subject,
            generation=self.generation,
            facets=self.facets,
            requires=self.requires,
            creates=self.creates,
            deletes=self.deletes,
            names=self.names,
            locks=self.locks,
            desired=dict.fromkeys(self.facets, self.desired),
            replica=replica,
            max_attempts=max_attempts,
            now=now,
            until=now + LEASE_S if until is None else until,
        )

    def ending(self, outcome: Outcome, *, claim: Claim | None = None, epoch: int = 1, now: float = NOW) -> Ending:
        """An end of the event."""
        return Ending(
            key=self.key,
            epoch=epoch,
            outcome=outcome,
            report_id=f"report-{self.number}-{epoch}",
            now=now,
            claim=claim,
            deletes=self.deletes,
        )


async def claimed(
    ledger: Ledger,
    event: Event,
    *,
    replica: str = "a",
    epoch: int = 1,
    now: float = NOW,
    until: float | None = None,
    max_attempts: int = 3,
) -> Claimed:
    """Admit the event, and claim it with success."""
    await ledger.admit(event.admission(now=now))
    request = event.request(replica=replica, epoch=epoch, now=now, until=until, max_attempts=max_attempts)
    result = await ledger.claim(request)
    assert isinstance(result, Claimed), result
    return result


async def done(ledger: Ledger, event: Event, outcome: Outcome = SUCCEEDED, *, now: float = NOW) -> Record:
    """Take the event all its way."""
    result = await claimed(ledger, event, now=now)
    return await ledger.finish(event.ending(outcome, claim=result.claim, now=now))


def waiting(why: str = "retry", *, until: float = NOW + 5) -> Waiting:
    """A reason to wait."""
    return Waiting(why, f"because of {why}", until)


def noise(size: int, seed: int = 1) -> str:
    """Text that hardly compresses."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=size))


async def whats(ledger: Ledger, event: Event) -> Sequence[str]:
    """What happened to the event, in order."""
    return [transition.what for transition in await ledger.history(event.key)]
