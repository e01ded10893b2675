"""What a policy says of an event. Pure."""

from dataclasses import dataclass
from datetime import datetime

from agentd.core import Hold, lean
from agentd.dispatch.policy.approvals import Approval
from agentd.dispatch.policy.rules import DEFAULT, Effect, Policy, Request, Rule


@lean(frozen=True, slots=True)
class Allow:
    """The event may be carried out now."""

    rule: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """It never may."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet. `until` in seconds since the epoch, where that can be known."""

    rule: str
    why: str
    until: float | None = None
    hold: Hold = Hold.POLICY


Decision = Allow | Refuse | Wait


@lean(frozen=True, slots=True)
class Facts:
    """What the ledger knows of the event and the rule that decides it.

    `quota_free_at` is when the quota has room again; None while it has some, or has counted this event already.
    """

    approval: Approval | None = None
    quota_free_at: float | None = None


def decide(policy: Policy, request: Request, facts: Facts, now: float) -> Decision:
    """The decision of the first rule that matches, or of the default."""
    rule = policy.find(request, now)
    if rule is not None:
        return decide_by(rule, policy, request, facts, now)
    if policy.default is Effect.ALLOW:
        return Allow(DEFAULT)
    return Refuse(DEFAULT, f"no rule is about {_concerning(request)}")


def decide_by(rule: Rule, policy: Policy, request: Request, facts: Facts, now: float) -> Decision:
    """The decision of a rule that matches: its effect, and when it allows, its conditions one after the other."""
    match rule.effect:
        case Effect.REFUSE:
            return Refuse(rule.name, rule.why or "it is refused whatever the hour")
        case Effect.WAIT:
            return Wait(rule.name, rule.why or "nothing of the kind is let in for now", rule.ends)
        case Effect.ALLOW:
            return _conditions(rule, policy, request, facts, now)


def _conditions(rule: Rule, policy: Policy, request: Request, facts: Facts, now: float) -> Decision:
    if rule.schedule is not None:
        opens = rule.schedule.opens_at(now)
        if opens is None:
            return Refuse(rule.name, "its last window has closed")
        if opens > now:
            return _otherwise(rule, f"its window opens {_local(opens, policy)}", opens, Hold.WINDOW)
    if rule.approval and (missing := _approval_missing(request, facts.approval, now)):
        return Wait(rule.name, missing, hold=Hold.APPROVAL)
    if rule.quota is not None and facts.quota_free_at is not None:
        spent = f"{rule.quota.events} events in {rule.quota.window_s:g} s have been let in"
        why = f"{spent}; the next may be {_local(facts.quota_free_at, policy)}"
        return _otherwise(rule, why, facts.quota_free_at, Hold.QUOTA)
    return Allow(rule.name)


def _otherwise(rule: Rule, why: str, until: float, hold: Hold) -> Decision:
    return Wait(rule.name, why, until, hold) if rule.otherwise is Effect.WAIT else Refuse(rule.name, why)


def _approval_missing(request: Request, approval: Approval | None, now: float) -> str | None:
    event = request.event
    problem = (
        "nobody has approved it" if approval is None else approval.problem(event.digest, event.envelope.actor, now)
    )
    return problem and f"{problem}: agentd policy approve {event.envelope.id} --by NAME"


def _local(moment: float, policy: Policy) -> str:
    return datetime.fromtimestamp(moment, policy.zone).isoformat(sep=" ", timespec="minutes")


def _concerning(request: Request) -> str:
    envelope = request.event.envelope
    return f"{envelope.type} of {envelope.actor or 'an unknown actor'} at {envelope.source}"
