"""What an environment's pods may connect to, and who may connect to them. Everything else is denied."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Any

from agentd.events.environments import EgressRule
from agentd.platform import Manifest, keys
from agentd.platform.airflow import AIRFLOW_PORT
from agentd.platform.airflow_defaults import AirflowComponent
from handlers.manifests import labels
from handlers.manifests.environment import Environment
from handlers.manifests.kinds import NETWORK_POLICY

Rule = dict[str, Any]  # a rule of a NetworkPolicy, in the API's own shape

EVERYTHING = ("0.0.0.0/0", "::/0")
# Where clouds serve the credentials of the machine itself: opened only by a rule that names an address there.
LINK_LOCAL = ("169.254.0.0/16", "fe80::/10")


# They have no business anywhere.
_INSIDERS = sorted(component.value for component in (AirflowComponent.CHECK, AirflowComponent.DATABASE))
_OTHERS: Rule = {"matchExpressions": [{"key": keys.COMPONENT, "operator": "NotIn", "values": _INSIDERS}]}


def components(*names: AirflowComponent) -> Rule:
    """The pods of some of Airflow's processes."""
    values = sorted(name.value for name in names)
    chosen = {"key": keys.COMPONENT, "operator": "In", "values": values}
    return {"matchLabels": {keys.NAME: labels.AIRFLOW}, "matchExpressions": [chosen]}


def network_policies(environment: Environment) -> list[Manifest]:
    """All policies of the environment."""
    spec = environment.spec.network_egress
    policies = [
        _policy(environment, "default-deny", types=("Ingress", "Egress")),
        _dns(environment),
        _system(environment),
        _api_server(environment),
    ]
    if spec.internet:
        everything = blocks_without(EVERYTHING, environment.defaults.internal_cidrs)
        policies.append(_policy(environment, "allow-internet", pods=_OTHERS, egress=[{"to": everything}]))
    if spec.allow:
        listed = [_listed(rule) for rule in spec.allow]
        policies.append(_policy(environment, "allow-listed", pods=_OTHERS, egress=listed))
    return policies


def blocks_without(cidrs: Sequence[str], holes: Sequence[str]) -> list[Rule]:
    """Blocks of addresses, each without the holes that are a part of it."""
    return [_block(cidr, [hole for hole in holes if _inside(hole, cidr)]) for cidr in cidrs]


def _block(cidr: str, holes: Sequence[str]) -> Rule:
    return {"ipBlock": {"cidr": cidr, "except": list(holes)} if holes else {"cidr": cidr}}


def _inside(inner: str, outer: str) -> bool:
    network, around = ip_network(inner), ip_network(outer)
    is_part = network.version == around.version and network.network_address in around
    return is_part and network.prefixlen > around.prefixlen


def _dns(environment: Environment) -> Manifest:
    defaults = environment.defaults
    servers = {
        "namespaceSelector": {"matchLabels": {keys.NAMESPACE_NAME: defaults.dns_namespace}},
        "podSelector": {"matchLabels": dict(defaults.dns_labels)},
    }
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return _policy(environment, "allow-dns", egress=[{"to": [servers], "ports": ports}])


def _system(environment: Environment) -> Manifest:
    """The agent and its proxy ask Airflow, the proxy on behalf of users."""
    peer = {"namespaceSelector": {"matchLabels": {keys.NAMESPACE_NAME: environment.defaults.system_namespace}}}
    return _policy(
        environment,
        "allow-system",
        pods=components(AirflowComponent.API_SERVER),
        ingress=[{"from": [peer], "ports": tcp([AIRFLOW_PORT])}],
    )


def _api_server(environment: Environment) -> Manifest:
    """Airflow alone starts pods. Where the API server's addresses are not set, its ports are open to Airflow everywhere.

    Its address as pods see it is the cluster's own business (see docs/decisions), and Airflow starts nothing without it.
    """
    defaults = environment.defaults
    to = blocks_without(defaults.api_server_cidrs, ()) or blocks_without(EVERYTHING, LINK_LOCAL)
    return _policy(
        environment,
        "allow-api-server",
        pods=components(AirflowComponent.API_SERVER, AirflowComponent.SCHEDULER),
        egress=[{"to": to, "ports": tcp(defaults.api_server_ports)}],
    )


def _listed(rule: EgressRule) -> Rule:
    to: Rule = {"to": blocks_without((rule.cidr,), LINK_LOCAL)}
    return {**to, "ports": tcp(rule.ports)} if rule.ports else to


def tcp(ports: Iterable[int]) -> list[Rule]:
    """These TCP ports."""
    return [{"protocol": "TCP", "port": port} for port in ports]


def _policy(
    environment: Environment,
    name: str,
    *,
    pods: Rule | None = None,
    ingress: Sequence[Rule] = (),
    egress: Sequence[Rule] = (),
    types: Sequence[str] = (),
) -> Manifest:
    rules = {direction: list(found) for direction, found in (("ingress", ingress), ("egress", egress)) if found}
    spec = {"podSelector": pods or {}, "policyTypes": list(types) or [name.capitalize() for name in rules], **rules}
    return environment.object(NETWORK_POLICY, name, spec=spec)
