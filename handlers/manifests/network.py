"""What an environment's pods may connect to, and who may connect to them. Everything else is denied."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Any

from agentd.events.environments import EgressRule
from agentd.platform import Manifest, keys
from handlers.manifests import labels
from handlers.manifests.environment import Environment
from handlers.manifests.kinds import NETWORK_POLICY

Rule = dict[str, Any]  # a rule of a NetworkPolicy, in the API's own shape

_EVERYTHING = ("0.0.0.0/0", "::/0")
# Where clouds serve the credentials of the machine itself: opened only by a rule that names an address there.
_LINK_LOCAL = ("169.254.0.0/16", "fe80::/10")


def network_policies(environment: Environment) -> list[Manifest]:
    """All policies of the environment."""
    spec = environment.spec.network_egress
    policies = [
        _policy(environment, "default-deny", types=("Ingress", "Egress")),
        _dns(environment),
        _same_namespace(environment),
        _system(environment),
        _api_server(environment),
    ]
    if spec.internet:
        everything = blocks_without(_EVERYTHING, environment.defaults.internal_cidrs)
        policies.append(_policy(environment, "allow-internet", egress=[{"to": everything}]))
    if spec.allow:
        policies.append(_policy(environment, "allow-listed", egress=[_listed(rule) for rule in spec.allow]))
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


def _same_namespace(environment: Environment) -> Manifest:
    return _policy(
        environment,
        "allow-same-namespace",
        ingress=[{"from": [{"podSelector": {}}]}],
        egress=[{"to": [{"podSelector": {}}]}],
    )


def _system(environment: Environment) -> Manifest:
    """The agent's proxy asks Airflow on behalf of users."""
    peer = {"namespaceSelector": {"matchLabels": {keys.NAMESPACE_NAME: environment.defaults.system_namespace}}}
    return _policy(environment, "allow-system", ingress=[{"from": [peer]}])


def _api_server(environment: Environment) -> Manifest:
    """Airflow alone starts pods. Where the API server's addresses are not set, its ports are open to Airflow everywhere.

    Its address as pods see it is the cluster's own business (see docs/decisions), and Airflow does nothing without it.
    """
    defaults = environment.defaults
    to = blocks_without(defaults.api_server_cidrs, ()) or blocks_without(_EVERYTHING, _LINK_LOCAL)
    return _policy(
        environment,
        "allow-api-server",
        pods={"matchLabels": {keys.NAME: labels.AIRFLOW}},
        egress=[{"to": to, "ports": _tcp(defaults.api_server_ports)}],
    )


def _listed(rule: EgressRule) -> Rule:
    to: Rule = {"to": blocks_without((rule.cidr,), _LINK_LOCAL)}
    return {**to, "ports": _tcp(rule.ports)} if rule.ports else to


def _tcp(ports: Iterable[int]) -> list[Rule]:
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
