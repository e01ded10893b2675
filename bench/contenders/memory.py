"""A ledger and an outlet that keep nothing: what the agent costs without them. Good for events that go well, and no others."""

from collections.abc import Mapping, Sequence

from agentd.events import Event
from agentd.ledger import Admission, Claim, Claimed, ClaimRequest, ClaimResult, Ending, Record, RecordState, Renewal


class ForgetfulLedger:
    """Knows an event from its claim to its end, within this process. Decides nothing: every claim is granted."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Admission, float]] = {}
        self._tokens = 0

    async def claim(self, request: ClaimRequest) -> ClaimResult:
        """Granted."""
        admission = request.admission
        if admission is None:
            raise ValueError(f"{request.key} was not admitted by its claim")
        self._open[request.key] = admission, request.now
        self._tokens += 1
        return Claimed(
            claim=Claim(request.key, 1, request.subject, self._tokens, request.replica),
            record=_record(admission, started_at=request.now, ending=None, sequence=None),
            attempt=1,
            changed=False,
            journal={},
            sequence=self._tokens,
            generation=request.generation,
            desired=request.desired,
        )

    async def renew(self, claims: Sequence[Claim], *, now: float, until: float) -> Sequence[Renewal]:
        """Always."""
        return [Renewal(valid=True) for _ in claims]

    async def finish(self, ending: Ending) -> Record:
        """Its end, and forgotten."""
        admission, started_at = self._open.pop(ending.key)
        return _record(admission, started_at=started_at, ending=ending, sequence=self._tokens)


class SilentOutlet:
    """Takes every report at once, and sends none."""

    async def deliver(self, record: Record) -> None:
        """Taken."""

    def progress(self, event: Event, claimed: Claimed, **told: Mapping[str, object]) -> None:
        """Not told."""


def _record(admission: Admission, *, started_at: float, ending: Ending | None, sequence: int | None) -> Record:
    return Record(
        key=admission.key,
        event_id=admission.event_id,
        digest=admission.digest,
        type=admission.type,
        subject=str(admission.subject),
        generation=admission.generation,
        event=admission.event,
        state=RecordState.OPEN if ending is None else RecordState.FINISHED,
        epoch=1,
        attempts=1,
        changed=False,
        admitted_at=admission.now,
        expires_at=admission.expires_at,
        started_at=started_at,
        finished_at=None if ending is None else ending.now,
        outcome=None if ending is None else ending.outcome,
        sequence=sequence,
    )
