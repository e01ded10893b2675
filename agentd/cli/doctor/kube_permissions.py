"""Every right that the agent needs in the cluster, asked of the API server (access reviews), never tried."""

import asyncio
from collections.abc import Mapping, Sequence

from agentd.cli.doctor.cluster import no_cluster
from agentd.cli.doctor.findings import Finding, failed, ok
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.cli.doctor.words import some
from agentd.cli.grants.rbac import api_resource
from agentd.cli.permissions import Need
from agentd.core import Permission

CHECK = "permissions.kubernetes"
_AT_ONCE = 8


async def _permissions(site: Site) -> Sequence[Finding]:
    cluster = await site.cluster()
    if cluster is None:
        return no_cluster(CHECK)
    wanted = by_permission(await site.needs())
    slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(permission: Permission) -> str | None:
        async with slots:
            return await cluster.allowed(permission, namespace=permission.namespace or None)

    async with asyncio.TaskGroup() as group:
        tasks = {permission: group.create_task(ask(permission)) for permission in wanted}
    return summed_up(wanted, {permission: task.result() for permission, task in tasks.items()})


def by_permission(needs: Sequence[Need]) -> Mapping[Permission, Sequence[str]]:
    """Each right in the cluster, and the events that need it."""
    wanted: dict[Permission, list[str]] = {}
    for need in sorted(needs):
        if need.permission.service == "kubernetes":
            wanted.setdefault(need.permission, []).append(need.event)
    return wanted


def summed_up(
    wanted: Mapping[Permission, Sequence[str]], refusals: Mapping[Permission, str | None]
) -> Sequence[Finding]:
    """All together, then each right."""
    found = [judged(permission, events, refusals[permission]) for permission, events in wanted.items()]
    denied = sum(refusal is not None for refusal in refusals.values())
    told = f"{len(found) - denied} of {len(found)} allowed"
    if denied:
        mend = "apply what `agentd schema permissions -o rbac` prints, or add the rules below to its ClusterRole"
        return [failed(CHECK, told, mend), *found]
    return [ok(CHECK, told), *found]


def judged(permission: Permission, events: Sequence[str], refusal: str | None) -> Finding:
    """One right."""
    where = f" in {permission.namespace}" if permission.namespace else ""
    check = f"{CHECK}.{permission.action} {permission.resource}{where}"
    if refusal is None:
        return ok(check, "allowed")
    group, resource = api_resource(permission.resource)
    rule = f'apiGroups ["{group}"], resources ["{resource}"], verbs ["{permission.action}"]'
    role = f"Role{where}" if where else "ClusterRole"
    return failed(check, refusal, f"add a rule to the agent's {role}: {rule}; needed by {some(events)}")


CHECKS = (Check((CHECK,), _permissions, "mend cluster.healthy and handlers.load first"),)
