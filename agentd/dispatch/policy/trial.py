"""Which rule decides about an event, and why the others do not. For people who write policies. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from agentd.dispatch.policy.rules import FIELDS, Policy, Request, Rule


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one rule. `decides` of at most one."""

    rule: str
    decides: bool
    why: str


def looks(policy: Policy, request: Request, now: float) -> Iterator[Look]:
    """What came of each rule, in order."""
    decider: str | None = None
    for rule in policy.rules:
        why = f"not reached: {decider} decides" if decider else _mismatch(rule, policy, request, now)
        if why is None:
            decider = rule.name
        yield Look(rule.name, why is None, why or "matches")


def _mismatch(rule: Rule, policy: Policy, request: Request, now: float) -> str | None:
    """Why the rule does not concern the event; None when it does."""
    if rule.begins is not None and now < rule.begins:
        return f"in_force: not before {datetime.fromtimestamp(rule.begins, policy.zone):%Y-%m-%d}"
    if rule.ends is not None and now >= rule.ends:
        return f"in_force: ended on {datetime.fromtimestamp(rule.ends, policy.zone):%Y-%m-%d}"
    for matcher in rule.matchers:
        if not matcher.matches(request):
            found = ", ".join(FIELDS[matcher.field](request)) or "none"
            return f"{matcher.field}: found {found}; expected {' or '.join(matcher.globs.patterns)}"
    return None
