"""The cluster: it answers, is of a version that the agent knows, and has machines and guards."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentd.cli.doctor.findings import Finding, failed, ok, skipped, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.cli.doctor.words import some
from agentd.core import LeaseLost, PermanentError, Subject
from agentd.platform import Cluster, Kind, Manifest, Node, ObjectRef

OLDEST = (1, 29)
NEWEST = (1, 37)
"""Versions of Kubernetes that the agent is tested with, or written against the documentation of."""

_HEALTHY = "cluster.healthy"
_VERSION = "cluster.version"
_NODES = "cluster.nodes"
_SYSTEM_NAMESPACE = "cluster.system-namespace"
_POD_SECURITY = "cluster.pod-security"
_NAMESPACE = Kind("v1", "Namespace")
_ENFORCE = "pod-security.kubernetes.io/enforce"
_ENFORCING = ("baseline", "restricted")
_NUMBERS = re.compile(r"^v?(\d+)\.(\d+)")
_SUBJECT = Subject("doctor", "00000000-0000-4000-8000-000000000000")


@dataclass(frozen=True, slots=True)
class _Nobody:
    """The fence of a dry run: no write goes through it."""

    subject: Subject = _SUBJECT
    generation: int = 1
    event_id: str = "agentd-doctor"
    owner_id: str = "agentd-doctor"

    async def before_write(self, obj: str, *, stamp: bool = False, destroys: bool = False) -> float:
        raise LeaseLost(f"the doctor writes nothing, not to {obj} either")


async def _healthy(site: Site) -> Sequence[Finding]:
    cluster = await site.cluster()
    if cluster is None:
        return no_cluster(_HEALTHY, _VERSION)
    trouble = await cluster.healthy()
    health = (
        ok(_HEALTHY, "the API server calls itself ready")
        if trouble is None
        else failed(_HEALTHY, f"the API server is not ready: {trouble}", "look after the cluster's control plane")
    )
    return [health, version(await cluster.version())]


async def _nodes(site: Site) -> Sequence[Finding]:
    cluster = await site.cluster()
    if cluster is None:
        return no_cluster(_NODES)
    return [nodes(await cluster.nodes())]


async def _system_namespace(site: Site) -> Sequence[Finding]:
    cluster = await site.cluster()
    if cluster is None:
        return no_cluster(_SYSTEM_NAMESPACE)
    name = site.settings.cluster.system_namespace
    if await cluster.get(ObjectRef(_NAMESPACE, name)) is not None:
        return [ok(_SYSTEM_NAMESPACE, name)]
    mend = f"kubectl create namespace {name}, or set cluster.system_namespace to the one that the agent runs in"
    return [failed(_SYSTEM_NAMESPACE, f"there is no namespace {name}: projects' configurations are kept there", mend)]


async def _pod_security(site: Site) -> Sequence[Finding]:
    cluster = await site.cluster()
    if cluster is None:
        return no_cluster(_POD_SECURITY)
    guarded = await _guarded_namespace(cluster)
    if guarded is None:
        return [
            skipped(
                _POD_SECURITY,
                f"no namespace has the label {_ENFORCE} yet, and trying it needs one",
                "look again once the first environment is there",
            )
        ]
    return [await _refuses_privileged(cluster, guarded)]


async def _guarded_namespace(cluster: Cluster) -> str | None:
    for namespace in await cluster.list(_NAMESPACE):
        labels: Mapping[str, str] = namespace["metadata"].get("labels") or {}
        if labels.get(_ENFORCE) in _ENFORCING and "deletionTimestamp" not in namespace["metadata"]:
            return str(namespace["metadata"]["name"])
    return None


async def _refuses_privileged(cluster: Cluster, namespace: str) -> Finding:
    try:
        await cluster.apply(_privileged_pod(namespace), fence=_Nobody(), dry_run=True)
    except PermanentError as error:
        if "violates PodSecurity" in error.message:
            return ok(_POD_SECURITY, f"a privileged pod in {namespace} is refused (dry run)")
        return skipped(_POD_SECURITY, f"a dry run in {namespace}: {error.message}", "allow the agent to create pods")
    return failed(
        _POD_SECURITY,
        f"a privileged pod in {namespace} would be taken (dry run), although the namespace enforces a level",
        "turn the API server's admission plugin PodSecurity on: without it users' pods may take over nodes",
    )


def no_cluster(*checks: str) -> list[Finding]:
    """For an installation without a cluster."""
    mend = "set cluster.access if this installation is to have environments"
    return [skipped(check, "cluster.access is none: registries alone", mend) for check in checks]


def version(found: str) -> Finding:
    """Whether the agent knows this version of Kubernetes."""
    numbers = _NUMBERS.match(found)
    if numbers is None:
        return warned(
            _VERSION, f"{found!r} is no version that can be read", "see that cluster.access names a Kubernetes API"
        )
    here = (int(numbers[1]), int(numbers[2]))
    known = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    if here < OLDEST:
        return failed(
            _VERSION, f"{found}; this agent knows {known}", "upgrade the cluster: parts of the API are missing"
        )
    if here > NEWEST:
        return warned(_VERSION, f"{found}; this agent knows {known}", "upgrade the agent")
    return ok(_VERSION, found)


def nodes(found: Sequence[Node]) -> Finding:
    """Whether there are machines to run on."""
    mend = "see `kubectl describe node` and the node groups' own events"
    bad = [f"{node.name} ({', '.join(node.conditions) or 'not ready'})" for node in found if not node.ready]
    ready = len(found) - len(bad)
    named = some(bad)
    if not found:
        return warned(_NODES, "there are none", "see that an autoscaler or a node group brings some when pods wait")
    if not ready:
        return failed(_NODES, f"none of {len(found)} is ready: {named}", mend)
    if bad:
        return warned(_NODES, f"{ready} of {len(found)} ready; not: {named}", mend)
    return ok(_NODES, f"{ready} ready")


def _privileged_pod(namespace: str) -> Manifest:
    container = {"name": "doctor", "image": "registry.invalid/doctor", "securityContext": {"privileged": True}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agentd-doctor", "namespace": namespace},
        "spec": {"containers": [container]},
    }


_REACH = (
    "cluster.access: see that the network reaches the API server and that it takes the agent's credentials (kubeconfig, "
    "service account, or for eks an access entry for the agent's role)"
)

CHECKS = (
    Check((_HEALTHY, _VERSION), _healthy, _REACH),
    Check((_NODES,), _nodes, "allow the agent to list nodes", for_the_doctor_alone=True),
    Check((_SYSTEM_NAMESPACE,), _system_namespace, f"allow the agent to get namespaces; {_REACH}"),
    Check((_POD_SECURITY,), _pod_security, "allow the agent to list namespaces", for_the_doctor_alone=True),
)
