"""Looking at what a diagnosis is made of."""

from collections.abc import Mapping, Sequence

from agentd.core import Context
from agentd.platform import Cluster, Manifest
from handlers.environments.diagnosis import Sight, Trouble, troubles
from handlers.manifests.kinds import EVENT, POD


async def troubles_of(
    ctx: Context, namespace: str, pods: Mapping[str, str], workloads: Sequence[Manifest] = ()
) -> list[Trouble]:
    """What is in the way of the pods with these labels, and of the workloads; the most telling first."""
    cluster = ctx.port(Cluster)
    sight = Sight(
        pods=await cluster.list(POD, namespace=namespace, labels=pods),
        events=await cluster.list(EVENT, namespace=namespace),
        workloads=workloads,
    )
    return troubles(sight)
