"""Whether an event may be carried out at all. Decided once, and recorded. Pure."""

from agentd.core import Outcome, OutcomeKind, Reason
from agentd.dispatch.policy import Refuse
from agentd.events import Audience, Event
from agentd.ledger import Admission


def decide(event: Event, audience: Audience, *, now: float) -> Outcome | None:
    """Why the event is rejected, or None when it is admitted."""
    envelope = event.envelope
    if envelope.tenantid != audience.tenant_id:
        return _rejected(
            Reason.WRONG_AUDIENCE, f"tenantid: found {envelope.tenantid}; this agent serves tenant {audience.tenant_id}"
        )
    if envelope.clusterid != audience.cluster_id:
        return _rejected(
            Reason.WRONG_AUDIENCE,
            f"clusterid: found {envelope.clusterid}; this agent serves cluster {audience.cluster_id}",
        )
    if envelope.expirytime is not None and envelope.expirytime.timestamp() < now:
        return _rejected(Reason.EXPIRED, f"expirytime: {envelope.expirytime.isoformat()} has passed")
    return None


def outcome_of_refusal(refusal: Refuse) -> Outcome:
    """The end of an event that the customer's policy refuses."""
    return Outcome(OutcomeKind.REJECTED, reason=Reason.POLICY_REFUSED, message=f"rule {refusal.rule}: {refusal.why}")


def admission_of(event: Event, *, now: float) -> Admission:
    """What is written down of an event that is admitted."""
    envelope = event.envelope
    return Admission(
        key=event.key,
        event_id=envelope.id,
        digest=event.digest,
        type=envelope.type,
        subject=event.subject,
        generation=envelope.generation,
        event=event.text,
        expires_at=envelope.expirytime.timestamp() if envelope.expirytime else None,
        now=now,
    )


def _rejected(reason: Reason, message: str) -> Outcome:
    return Outcome(OutcomeKind.REJECTED, reason=reason, message=message)
