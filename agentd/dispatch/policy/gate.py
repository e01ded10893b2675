"""The gate before the first attempt: asks the policy, and the ledger for what a rule wants to know."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from agentd.core import AuditKind, AuditLog, Runtime
from agentd.dispatch.policy.approvals import approval_of
from agentd.dispatch.policy.counting import Count, Full, change, name_of, take
from agentd.dispatch.policy.decisions import Allow, Decision, Facts, decide, decide_by
from agentd.dispatch.policy.rules import DEFAULT, Policy, Quota, Request, Rule
from agentd.events import Event
from agentd.ledger import Ledger
from agentd.telemetry import Metrics, get_logger

Json = Any  # a variable's value, as it was written

# Asked before the first attempt of an epoch, with the event, whose data is there, and the id of the key that vouches for it.
Judge = Callable[[Event, str | None], Awaitable[Decision]]

log = get_logger("policy")

QUOTA_PREFIX = "quota/"


async def let_in(_event: Event, _key_id: str | None) -> Decision:
    """No policy: whatever is believed may begin."""
    return Allow(DEFAULT)


class Gate:
    """Decides about events that are to begin. `policy` is asked each time: the one in force may change."""

    def __init__(
        self, policy: Callable[[], Policy], ledger: Ledger, runtime: Runtime, metrics: Metrics, audit: AuditLog
    ) -> None:
        self._policy = policy
        self._ledger = ledger
        self._runtime = runtime
        self._audit = audit
        self._decisions = {kind: metrics.policy_decisions.labels(kind.lower()) for kind in ("Allow", "Refuse", "Wait")}

    async def judge(self, event: Event, key_id: str | None) -> Decision:
        """Ask before the first attempt of an epoch; after that the event goes on whatever the policy says.

        An event that is let in counts for its rule's quota, once however often it is asked about.
        The event has its data. Raises TransientError when the ledger does not answer.
        """
        policy, now = self._policy(), self._runtime.now()
        request = Request.of(event, key_id)
        rule = policy.find(request, now)
        if rule is not None and rule.asks_ledger:
            decision = await self._ask(policy, rule, request, now)
        else:
            decision = decide(policy, request, Facts(), now)
        self._decisions[type(decision).__name__].inc()
        if not isinstance(decision, Allow):
            log.info("policy.not_let_in", rule=decision.rule, detail=decision.why)
        return decision

    async def _ask(self, policy: Policy, rule: Rule, request: Request, now: float) -> Decision:
        event_id = request.event.envelope.id
        approval = await approval_of(self._ledger, event_id) if rule.approval else None
        decision = decide_by(rule, policy, request, Facts(approval), now)
        if isinstance(decision, Allow) and rule.quota is not None:
            full = await self._count(rule.name, rule.quota, event_id, now)
            if full is not None:
                decision = decide_by(rule, policy, request, Facts(approval, full.free_at), now)
        if isinstance(decision, Allow) and approval is not None:
            log.info("policy.approved", rule=rule.name, by=approval.by, note=approval.note)
            self._audit.append(AuditKind.CONTROL, what="event.approved", event_id=event_id, **asdict(approval))
        return decision

    async def _count(self, rule: str, quota: Quota, event_id: str, now: float) -> Full | None:
        def step(value: Json) -> tuple[Json, Full | None]:
            count, full = take(
                Count.read(value), name_of(event_id), limit=quota.events, window_s=quota.window_s, now=now
            )
            return count.json(), full

        return await change(self._ledger, self._runtime, QUOTA_PREFIX + rule, step)
