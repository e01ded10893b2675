"""What the cluster looks like, told to the control plane: which kinds of state there are, and how they go out."""

from collections.abc import Sequence

from agentd.app.parts import Replica
from agentd.ledger import Ledger
from agentd.platform import ClusterReader, Manifest
from agentd.reconcile import Shards
from agentd.reconcile.watchers import PodTrouble, State, Tools, View, Watcher, environments, nodes, pod_failures
from agentd.reports import States, Told
from handlers.environments.diagnosis import Sight, troubles


def views(owner_id: str) -> tuple[View, ...]:
    """Every kind of state. Their order is the number of the shard that each is, so new ones go to the end."""
    return (environments(owner_id), pod_failures(owner_id, diagnose), nodes())


def diagnose(pod: Manifest) -> Sequence[PodTrouble]:
    """What is in a pod's way."""
    return [PodTrouble(found.reason, found.message, found.passing) for found in troubles(Sight(pods=[pod]))]


def watchers(replica: Replica, *, ledger: Ledger, cluster: ClusterReader | None, states: States) -> Shards | None:
    """This replica's part of watching; None where nothing is told, or there is no cluster."""
    config = replica.settings.state
    if cluster is None or not config.enabled:
        return None

    async def tell(found: Sequence[State]) -> Sequence[str | None]:
        return await states.send([Told(one.kind, one.subject, one.sequence, one.content) for one in found])

    tools = Tools(cluster, ledger, tell, replica.runtime, replica.health, replica.metrics, config)
    each = [Watcher(view, tools) for view in views(replica.settings.owner_id)]
    return Shards(
        "state",
        len(each),
        lambda number: each[number].run(),
        replica=replica.name,
        ledger=ledger,
        runtime=replica.runtime,
        health=replica.health,
        config=replica.settings.shards,
    )
