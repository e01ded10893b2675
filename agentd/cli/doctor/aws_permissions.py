"""Every right that the agent needs in AWS, as far as IAM tells: simulated with the agent's own identity, never tried."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentd.bus import QueueFacts, QueueKind
from agentd.cli.doctor.findings import Finding, Status, failed, ok, skipped, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.cli.doctor.words import some
from agentd.cli.permissions import AGENT, Need, of_queue, of_queue_key
from agentd.core import AgentError, PermanentError, Reason
from agentd.platform.aws.account import AwsAccount, Caller, Decision

CHECK = "permissions.aws"
_EXAMPLE = "agentd-doctor"
_ARN_PARTS = 6
_BY_HAND = "or compare its policies with `agentd schema permissions` by hand"


@dataclass(frozen=True, slots=True)
class Asked:
    """One right on one concrete resource, and what needs it."""

    action: str
    resource: str
    events: tuple[str, ...]
    granted_elsewhere: bool
    """Whether the resource has a policy of its own that may grant it too; a simulation leaves that out."""


async def _permissions(site: Site) -> Sequence[Finding]:
    caller, account = await site.caller(), await site.account()
    if caller.is_root:
        return [skipped(CHECK, "the root user may do everything", "run the agent as a role of its own")]
    principal = await _principal(caller, account)
    if principal is None:
        return [
            skipped(
                CHECK,
                f"IAM cannot simulate {caller.arn}, which is neither a role nor a user",
                f"use a role, {_BY_HAND}",
            )
        ]
    asked = await _asked(site, caller, await site.region())
    try:
        decided = await _decide(account, principal, asked)
    except AgentError as error:
        allow = f"allow the agent iam:SimulatePrincipalPolicy on {principal} (and iam:GetRole), {_BY_HAND}"
        return [skipped(CHECK, f"IAM does not say: {error.message}", allow)]
    return summed_up(asked, decided, principal)


async def _principal(caller: Caller, account: AwsAccount) -> str | None:
    """What IAM simulates: the user, or the role behind a session."""
    if caller.role is None:
        return caller.user
    try:
        arn = await account.role_arn(caller.role)
    except AgentError:
        arn = None  # it may not look: right unless the role has a path
    return arn or f"arn:{caller.partition}:iam::{caller.account}:role/{caller.role}"


async def _asked(site: Site, caller: Caller, region: str) -> Sequence[Asked]:
    """What the handlers declare, and what the agent needs on the queues as they are."""
    needs = [need for need in await site.needs() if not need.permission.action.startswith("sqs:")]
    policed: set[str] = set()
    for name, facts in site.queues().items():
        try:
            queue = await facts()
        except AgentError:
            continue  # told by the queues' own checks
        if queue.kind is not QueueKind.SQS:
            continue
        needs += on_queue(name, queue)
        if queue.has_policy:
            policed.add(queue.arn)
    return together(needs, caller, region, policed)


def on_queue(name: str, queue: QueueFacts) -> Sequence[Need]:
    """The queue's own rights, and those on its key, unless that goes by an alias: a policy does not name those."""
    key = queue.kms_key
    if key is None or "alias/" in key:
        return [*of_queue(name, queue.arn)]
    _, partition, _, region, account, _ = queue.arn.split(":")
    arn = key if key.startswith("arn:") else f"arn:{partition}:kms:{region}:{account}:key/{key}"
    return [*of_queue(name, queue.arn), *of_queue_key(arn)]


def together(needs: Iterable[Need], caller: Caller, region: str, policed: Iterable[str]) -> Sequence[Asked]:
    """Each right once, on a resource such as the agent will meet."""
    events: dict[tuple[str, str], list[str]] = {}
    for need in needs:
        if need.permission.service == "aws":
            resource = concrete(need.permission.resource, caller, region)
            events.setdefault((need.permission.action, resource), []).append(need.event)
    policed = set(policed)
    return [
        # Every KMS key has a policy of its own, without which nobody may use it.
        Asked(action, resource, tuple(sorted(set(by))), resource in policed or action.startswith("kms:"))
        for (action, resource), by in sorted(events.items())
    ]


def concrete(resource: str, caller: Caller, region: str) -> str:
    """An ARN without wildcards: the agent's own partition, region and account, and a name that nobody has."""
    parts = resource.split(":", _ARN_PARTS - 1)
    if len(parts) < _ARN_PARTS:
        return resource
    _, _, service, where, account, name = parts
    where = region if where == "*" else where
    account = caller.account if account == "*" else account
    return ":".join(("arn", caller.partition, service, where, account, name.replace("*", _EXAMPLE)))


async def _decide(account: AwsAccount, principal: str, asked: Sequence[Asked]) -> Mapping[tuple[str, str], Decision]:
    """One call for each resource: IAM's rate is low, and an action must fit the resource that it is asked with.

    What IAM does not take as a question has no decision.
    """
    actions: dict[str, list[str]] = {}
    for one in asked:
        actions.setdefault(one.resource, []).append(one.action)
    decided: dict[tuple[str, str], Decision] = {}
    for resource, of_it in actions.items():
        try:
            answer = await account.decisions(principal, of_it, resource)
        except PermanentError as error:
            if error.reason is not Reason.INVALID_REQUEST:
                raise
        else:
            decided |= {(decision.action, resource): decision for decision in answer}
    return decided


def summed_up(asked: Sequence[Asked], decided: Mapping[tuple[str, str], Decision], principal: str) -> Sequence[Finding]:
    """All together, then each action."""
    by_action: dict[str, list[Finding]] = {}
    for one in asked:
        finding = judged(one, decided.get((one.action, one.resource)), principal)
        by_action.setdefault(one.action, []).append(finding)
    actions = [_worst(found) for found in by_action.values()]
    allowed = sum(finding.status is Status.OK for finding in actions)
    found = f"{allowed} of {len(actions)} actions allowed for {principal}"
    if any(finding.status is Status.FAILED for finding in actions):
        return [failed(CHECK, found, "grant what is listed below; `agentd schema permissions` has all of it"), *actions]
    return [ok(CHECK, found), *actions]


def _worst(found: Sequence[Finding]) -> Finding:
    """An action on several resources: those where it is worst."""
    ranks = list(Status)
    status = max((finding.status for finding in found), key=ranks.index)
    those = [finding for finding in found if finding.status is status]
    return Finding(
        those[0].check,
        status,
        "; ".join(finding.found for finding in those),
        "; ".join(finding.mend for finding in those if finding.mend),
    )


def judged(one: Asked, decision: Decision | None, principal: str) -> Finding:
    """One right."""
    check = f"{CHECK}.{one.action}"
    needed = f"needed by {some(['the agent itself' if event == AGENT else event for event in one.events])}"
    grant = f"allow {one.action} on {one.resource} to {principal}; {needed}"
    if decision is None:
        return skipped(check, f"IAM has no answer for {one.resource}", grant)
    if decision.allowed:
        return ok(check, f"allowed on {one.resource}")
    if decision.explicit:
        return failed(check, f"denied on {one.resource} by a statement", f"take the deny away; {grant}")
    if decision.unknown:
        keys = ", ".join(decision.unknown)
        return warned(check, f"on {one.resource} it depends on {keys}, which a simulation does not know", grant)
    if one.granted_elsewhere:
        found = f"the agent's own policies do not allow it on {one.resource}; that one's own policy may, which is not simulated"
        return warned(check, found, grant)
    return failed(check, f"not allowed on {one.resource}", grant)


CHECKS = (
    Check(
        (CHECK,),
        _permissions,
        "mend aws.caller and handlers.load first; what the agent needs: `agentd schema permissions`",
    ),
)
