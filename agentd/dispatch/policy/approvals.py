"""A second person's consent to one event, kept in the ledger as `approval/<event id>`."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from agentd.ledger import Ledger, Record

Json = Any  # a variable's value, as this module writes it

PREFIX = "approval/"


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody's consent to what an event says: to this content and no other, for a while. Times since the epoch."""

    digest: str
    by: str
    at: float
    expires_at: float
    note: str = ""

    @classmethod
    def read(cls, value: Json) -> Self:
        """From a variable's value."""
        return cls(**value)

    def problem(self, digest: str, actor: str | None, now: float) -> str | None:
        """Why it does not hold for an event of this digest and actor; None when it does."""
        if self.digest != digest:
            return f"what {self.by} approved is another content"
        if now >= self.expires_at:
            return f"the approval of {self.by} has expired"
        if same_person(self.by, actor):
            return f"{self.by} asked for it, so somebody else has to approve it"
        return None


def same_person(one: str, other: str | None) -> bool:
    """Whether both names are known to be one person's."""
    return other is not None and one.strip().casefold() == other.strip().casefold()


async def approval_of(ledger: Ledger, event_id: str) -> Approval | None:
    """The consent that has been given to an event, whether it holds or not."""
    variable = await ledger.variable(PREFIX + event_id)
    return None if variable is None else Approval.read(variable.value)


async def approve(
    ledger: Ledger, record: Record, *, actor: str | None, by: str, note: str, now: float, valid_s: float
) -> Approval:
    """Consent to an event that the ledger knows, in place of an earlier consent. ValueError: it cannot be had so."""
    if record.event_id is None or record.digest is None:
        raise ValueError(f"{record.key} is no event that has been believed")
    approval = Approval(digest=record.digest, by=by, at=now, expires_at=now + valid_s, note=note)
    problem = approval.problem(record.digest, actor, now)
    if problem is not None:
        raise ValueError(problem)
    name = PREFIX + record.event_id
    earlier = await ledger.variable(name)
    if not await ledger.set_variable(name, asdict(approval), version=None if earlier is None else earlier.version):
        raise ValueError("somebody else has approved it in this very moment")
    return approval


async def forget_expired(ledger: Ledger, *, now: float) -> int:
    """Take expired approvals out of the ledger; how many went."""
    gone = 0
    for name, variable in (await ledger.variables(PREFIX)).items():
        if Approval.read(variable.value).expires_at <= now:
            gone += await ledger.set_variable(name, None, version=variable.version)
    return gone
