"""Who of Airflow's pods may connect to whom; everything else is denied by the environment's own policies."""

from collections.abc import Iterable

from agentd.platform import Manifest
from agentd.platform.airflow import AIRFLOW_PORT
from agentd.platform.airflow_defaults import AirflowComponent, ExternalDatabase
from handlers.manifests.airflow import database
from handlers.manifests.airflow.components import TRIGGERER_LOG_PORT
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.kinds import NETWORK_POLICY
from handlers.manifests.network import EVERYTHING, LINK_LOCAL, Rule, blocks_without, components, tcp

# Those who speak to the database; workers do not.
_CLIENTS = (
    AirflowComponent.API_SERVER,
    AirflowComponent.DAG_PROCESSOR,
    AirflowComponent.MIGRATION,
    AirflowComponent.SCHEDULER,
    AirflowComponent.TRIGGERER,
)


def network_policies(instance: AirflowInstance) -> list[Manifest]:
    """Workers to the API server, the processes to the database, the API server to logs that are still being written."""
    return [
        *_flow(instance, "api", (AirflowComponent.WORKER,), AirflowComponent.API_SERVER, AIRFLOW_PORT),
        *_flow(instance, "logs", (AirflowComponent.API_SERVER,), AirflowComponent.TRIGGERER, TRIGGERER_LOG_PORT),
        *_to_database(instance),
    ]


def _to_database(instance: AirflowInstance) -> list[Manifest]:
    found = instance.defaults.database
    if not isinstance(found, ExternalDatabase):
        return _flow(instance, "database", _CLIENTS, AirflowComponent.DATABASE, database.PORT)
    to = blocks_without(found.cidrs, ()) or blocks_without(EVERYTHING, LINK_LOCAL)
    return [_policy(instance, "database-clients", _CLIENTS, "egress", {"to": to, "ports": tcp([found.port])})]


def _flow(
    instance: AirflowInstance, name: str, clients: Iterable[AirflowComponent], server: AirflowComponent, port: int
) -> list[Manifest]:
    """Both ends of a connection: each of them is denied by default."""
    clients = tuple(clients)
    to, by = [{"podSelector": components(server)}], [{"podSelector": components(*clients)}]
    return [
        _policy(instance, f"{name}-clients", clients, "egress", {"to": to, "ports": tcp([port])}),
        _policy(instance, f"{name}-server", (server,), "ingress", {"from": by, "ports": tcp([port])}),
    ]


def _policy(
    instance: AirflowInstance, name: str, pods: Iterable[AirflowComponent], direction: str, rule: Rule
) -> Manifest:
    spec = {"podSelector": components(*pods), "policyTypes": [direction.capitalize()], direction: [rule]}
    return instance.object(NETWORK_POLICY, f"airflow-{name}", spec=spec)
