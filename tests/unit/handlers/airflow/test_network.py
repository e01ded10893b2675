"""Who reaches whom in an environment: all of its network policies, read as the API's documentation says."""

from collections.abc import Iterator
from typing import Any

import pytest

from agentd.platform import Manifest, keys
from agentd.platform.airflow_defaults import AirflowComponent, ExternalDatabase
from handlers import manifests
from handlers.manifests.airflow import AirflowInstance, objects
from tests.unit.handlers.airflow.instances import APPLICATIONS, PROJECTS, instance
from tests.unit.handlers.specs import PLAIN

Labels = dict[str, str]

PODS: dict[str, Labels] = {
    **{component.value: {keys.NAME: "airflow", keys.COMPONENT: component.value} for component in AirflowComponent},
    "streaming": {keys.NAME: "streaming-shop--ingest", keys.COMPONENT: "streaming"},
    "job": {"dag_id": "x"},
}
CLIENTS = {"api-server", "dag-processor", "migration", "scheduler", "triggerer"}
PORTS = (22, 443, 5432, 6443, 8080, 8793, 8794, 8974)


def policies(found: AirflowInstance) -> list[dict[str, Any]]:
    made = [*manifests.inside(found.environment), *objects(found, PROJECTS, APPLICATIONS)]
    return [manifest["spec"] for manifest in made if manifest["kind"] == "NetworkPolicy"]


def chosen(selector: Manifest, labels: Labels) -> bool:
    """Whether a label selector chooses a pod."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for expression in selector.get("matchExpressions", ()):
        inside = labels.get(expression["key"]) in expression["values"]
        if inside is not (expression["operator"] == "In"):
            return False
    return True


def rules(found: AirflowInstance, direction: str, labels: Labels) -> Iterator[dict[str, Any]]:
    """The rules of one direction that hold for a pod."""
    for policy in policies(found):
        if chosen(policy["podSelector"], labels):
            yield from policy.get(direction, ())


def opens(rule: dict[str, Any], peers: str, labels: Labels, port: int) -> bool:
    """Whether a rule lets a connection with a pod of the namespace pass."""
    ports = [found["port"] for found in rule.get("ports", ())]
    by_pod = [peer["podSelector"] for peer in rule[peers] if set(peer) == {"podSelector"}]
    return (not ports or port in ports) and any(chosen(selector, labels) for selector in by_pod)


def reaches(found: AirflowInstance, client: str, server: str, port: int) -> bool:
    """Whether one pod of the namespace reaches another: both ends must let it."""
    out = any(opens(rule, "to", PODS[server], port) for rule in rules(found, "egress", PODS[client]))
    return out and any(opens(rule, "from", PODS[client], port) for rule in rules(found, "ingress", PODS[server]))


def test_exactly_the_flows_that_airflow_needs_pass() -> None:
    found = instance()
    passing = {
        (client, server, port)
        for client in PODS
        for server in PODS
        for port in PORTS
        if reaches(found, client, server, port)
    }
    assert passing == {
        ("worker", "api-server", 8080),
        ("api-server", "triggerer", 8794),
        *((client, "database", 5432) for client in CLIENTS),
    }


def test_the_agents_namespace_reaches_the_api_server_and_nothing_else() -> None:
    reached = {}
    for name, labels in PODS.items():
        for rule in rules(instance(), "ingress", labels):
            if any("namespaceSelector" in peer for peer in rule["from"]):
                reached[name] = [port["port"] for port in rule["ports"]]
    assert reached == {"api-server": [8080]}


@pytest.mark.parametrize("pod", PODS)
def test_only_those_who_ask_the_cluster_may_reach_it(pod: str) -> None:
    ports = {port["port"] for rule in rules(instance(), "egress", PODS[pod]) for port in rule.get("ports", ())}
    assert (6443 in ports) is (pod in ("api-server", "scheduler"))


@pytest.mark.parametrize("pod", ["check", "database"])
def test_what_parses_unproven_builds_and_the_database_in_the_cluster_go_nowhere(pod: str) -> None:
    to = [rule["to"] for rule in rules(instance(), "egress", PODS[pod])]
    assert to == [
        [
            {
                "namespaceSelector": {"matchLabels": {keys.NAMESPACE_NAME: "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ]
    ]


@pytest.mark.parametrize("cidrs", [(), ("10.9.0.0/16",)])
def test_an_external_database_is_for_airflows_own_processes(cidrs: tuple[str, ...]) -> None:
    found = instance(PLAIN, database=ExternalDatabase("db.example", 5433, cidrs=cidrs))
    for pod, labels in PODS.items():
        to = [
            rule["to"]
            for rule in rules(found, "egress", labels)
            if {"protocol": "TCP", "port": 5433} in rule.get("ports", ())
        ]
        assert bool(to) is (pod in CLIENTS)
        if to and cidrs:
            assert to == [[{"ipBlock": {"cidr": "10.9.0.0/16"}}]]
