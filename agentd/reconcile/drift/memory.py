"""What is remembered of a subject that has drifted, and what follows from a new picture of it. Pure."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from agentd.core import DriftState, Picture
from agentd.reconcile.drift.config import DriftConfig

Json = Any  # a memory as the ledger keeps it


class Repair(StrEnum):
    """What the agent does about a difference."""

    NONE = "none"
    """There is nothing that could be done."""
    NOT_ALLOWED = "not_allowed"
    """The customer's setting does not let it."""
    ASKED = "asked"
    """An event of the agent's own brings the subject back."""
    PAUSED = "paused"
    """It has been repaired a while ago, and somebody has changed it again; it has to wait for its next turn."""
    GIVEN_UP = "given_up"
    """It has been repaired as often as is allowed, and somebody changes it each time: see who, and settle it with them."""


@dataclass(frozen=True, slots=True)
class Memory:
    """`told` is the digest of what was reported last, None once it was that all is well; times in seconds since the epoch."""

    told: str | None = None
    told_at: float = 0.0
    since: float = 0.0
    repairs: int = 0
    repaired_at: float = 0.0

    @classmethod
    def of(cls, value: Json) -> Self:
        """From the ledger; None is nothing remembered."""
        return cls() if value is None else cls(**value)

    def json(self) -> Json:
        """For the ledger; None when there is nothing to remember."""
        return asdict(self) if self.told is not None or self.repairs else None


def calmed(memory: Memory, config: DriftConfig, *, now: float) -> Memory:
    """The memory without repairs that are long ago."""
    over = memory.repairs and now - memory.repaired_at >= config.calm_s
    return replace(memory, repairs=0, repaired_at=0.0) if over else memory


def repair_of(picture: Picture, memory: Memory, config: DriftConfig, *, now: float) -> Repair:
    """What is to be done about a picture."""
    if picture.state is not DriftState.DRIFTED:
        return Repair.NONE
    if not _allowed(picture, config.repair):
        return Repair.NOT_ALLOWED
    if memory.repairs >= config.repair_attempts:
        return Repair.GIVEN_UP
    if memory.repairs and now < memory.repaired_at + config.repair_pause_s * 2 ** (memory.repairs - 1):
        return Repair.PAUSED
    return Repair.ASKED


def repaired(memory: Memory, *, now: float) -> Memory:
    """After one more repair was asked for."""
    return replace(memory, repairs=memory.repairs + 1, repaired_at=now)


def to_tell(picture: Picture, memory: Memory, repair: Repair, config: DriftConfig, *, now: float) -> bool:
    """Whether there is something new to report, or something old long enough ago."""
    if picture.state is DriftState.IN_SYNC:
        return memory.told is not None
    if repair is Repair.ASKED:
        return True
    return memory.told != _news(picture, repair) or now - memory.told_at >= config.repeat_s


def told(picture: Picture, memory: Memory, repair: Repair, *, now: float) -> Memory:
    """After it was reported."""
    if picture.state is DriftState.IN_SYNC:
        return replace(memory, told=None, told_at=0.0, since=0.0)
    return replace(memory, told=_news(picture, repair), told_at=now, since=memory.since or now)


def _allowed(picture: Picture, scopes: Collection[str]) -> bool:
    kind = picture.subject.kind
    return kind in scopes or all(f"{kind}/{change.action.value}" in scopes for change in picture.changes)


def _news(picture: Picture, repair: Repair) -> str:
    """What is worth a report: the picture, and that nothing more will be done about it."""
    return f"{picture.digest}/{repair.value}" if repair is Repair.GIVEN_UP else picture.digest
