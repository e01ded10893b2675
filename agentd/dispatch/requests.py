"""What is asked of the ledger on behalf of an event. Pure."""

from agentd.core import Handler
from agentd.events import Event, EventData
from agentd.ledger import Admission, ClaimRequest


def claim_request(
    event: Event,
    data: EventData,
    handler: Handler,
    *,
    replica: str,
    now: float,
    until: float,
    epoch: int | None = None,
    admission: Admission | None = None,
) -> ClaimRequest:
    """The claim of an event, whose data may have come by claim check. `epoch` None: the current one."""
    return ClaimRequest(
        key=event.key,
        epoch=epoch,
        event_id=event.envelope.id,
        subject=event.subject,
        generation=event.envelope.generation,
        facets=data.facets,
        requires=data.requires,
        creates=data.creates,
        deletes=data.deletes,
        names=data.names(),
        locks=data.locks(),
        desired=data.desired(),
        replica=replica,
        max_attempts=handler.retry.max_attempts,
        now=now,
        until=until,
        admission=admission,
    )
