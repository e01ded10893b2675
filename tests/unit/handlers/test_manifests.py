"""Manifests against recorded expectations and the API's own schemas, and the properties that keep pods in and others out.

`AGENTD_RECORD=1 pytest tests/unit/handlers/test_manifests.py` records the expectations anew: read the difference.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from agentd.events import EnvironmentSpec, NetworkEgress, Power, Quotas
from agentd.events.environments import EgressRule
from agentd.platform import Kind, Manifest, ObjectRef, keys
from handlers import manifests
from handlers.manifests import Environment
from handlers.manifests.labels import AIRFLOW, kubernetes_name
from handlers.manifests.lock import Holder
from handlers.manifests.projects import ProjectConfiguration, configuration, deployed
from handlers.manifests.quantities import smaller, value
from tests.unit.handlers.specs import CONFIGURATION, DEPLOYED, FULL, PLAIN

_EXPECTED = Path(__file__).parent / "expected"
_KUBERNETES = "1.36"


def whole(environment: Environment) -> list[Manifest]:
    return [manifests.namespace(environment), *manifests.inside(environment)]


SETS: dict[str, list[Manifest]] = {
    "environment-plain": whole(PLAIN),
    "environment-full": whole(FULL),
    "project-configuration": [
        configuration(CONFIGURATION, FULL.defaults),
        configuration(ProjectConfiguration(CONFIGURATION.project_id, "shop"), PLAIN.defaults),
    ],
    "project-deployed": deployed(DEPLOYED, FULL),
}
EVERY = [manifest for found in SETS.values() for manifest in found]


@pytest.mark.parametrize("name", SETS)
def test_manifests_are_as_recorded(name: str) -> None:
    path = _EXPECTED / f"{name}.yaml"
    text = yaml.safe_dump_all(SETS[name], sort_keys=False)
    if os.environ.get("AGENTD_RECORD"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", SETS)
def test_manifests_are_valid(name: str) -> None:
    for manifest in SETS[name]:
        kubernetes_validate.validate(manifest, _KUBERNETES, strict=True)


@pytest.mark.parametrize("manifest", EVERY, ids=lambda manifest: str(ObjectRef.of(manifest)))
def test_every_object_can_be_found_and_carries_nothing_that_changes(manifest: Manifest) -> None:
    labels = manifest["metadata"]["labels"]
    assert (labels[keys.MANAGED_BY], labels[keys.PART_OF]) == ("conveyor-agent", "conveyor")
    assert {keys.NAME, keys.INSTANCE, keys.COMPONENT} <= set(labels)
    # Those are the adapter's.
    assert not {keys.OWNER_ID, keys.GENERATION, keys.EVENT_ID, keys.ENVIRONMENT_ID} & set(labels)
    assert all(len(text) <= 63 for text in labels.values())


@pytest.mark.parametrize("environment", [PLAIN, FULL], ids=["plain", "full"])
def test_what_is_inside_is_of_kinds_that_leftovers_are_looked_for_in(environment: Environment) -> None:
    found = manifests.inside(environment)
    assert {Kind.of(manifest) for manifest in found} == set(manifests.INSIDE)
    assert {manifest["metadata"]["namespace"] for manifest in found} == {environment.name}
    refs = [ObjectRef.of(manifest) for manifest in found]
    assert len(set(refs)) == len(refs)
    assert {Kind.of(manifest) for manifest in deployed(DEPLOYED, FULL)} == set(manifests.PROJECT_KINDS)


def test_the_tenant_is_named_where_it_is_known() -> None:
    assert all(keys.TENANT_ID in manifest["metadata"]["labels"] for manifest in whole(FULL))
    assert not any(keys.TENANT_ID in manifest["metadata"]["labels"] for manifest in whole(PLAIN))


def test_pods_are_held_to_the_restricted_standard() -> None:
    labels = manifests.namespace(PLAIN)["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


def _policies(environment: Environment) -> dict[str, Any]:
    return {
        manifest["metadata"]["name"]: manifest["spec"]
        for manifest in manifests.inside(environment)
        if manifest["kind"] == "NetworkPolicy"
    }


def _reaches(blocks: Iterable[dict[str, Any]], address: str) -> bool:
    """As the API's documentation says: in the block, and in none of its exceptions."""
    found = ip_address(address)
    for peer in blocks:
        block = peer["ipBlock"]
        holes = [ip_network(hole) for hole in block.get("except", ())]
        if found in ip_network(block["cidr"]) and not any(found in hole for hole in holes):
            return True
    return False


def test_nothing_is_allowed_unless_something_says_so() -> None:
    denied = _policies(PLAIN)["default-deny"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.1.2.3", False),
        ("172.31.255.255", False),
        ("192.168.1.1", False),
        ("100.64.0.10", False),
        ("169.254.169.254", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
    ],
)
def test_the_internet_is_what_is_not_private(address: str, reached: bool) -> None:
    [rule] = _policies(PLAIN)["allow-internet"]["egress"]
    assert _reaches(rule["to"], address) is reached


def test_without_internet_only_what_is_listed_is_reached() -> None:
    policies = _policies(FULL)
    assert "allow-internet" not in policies
    first, second = policies["allow-listed"]["egress"]
    assert first["ports"] == [{"protocol": "TCP", "port": 5432}, {"protocol": "TCP", "port": 5439}]
    assert "ports" not in second
    assert "allow-listed" not in _policies(PLAIN)


@pytest.mark.parametrize(
    ("cidr", "address", "reached"),
    [
        ("0.0.0.0/0", "10.0.0.1", True),
        ("0.0.0.0/0", "169.254.169.254", False),
        ("::/0", "fe80::1", False),
        ("169.254.170.23/32", "169.254.170.23", True),
        ("169.254.0.0/16", "169.254.169.254", True),
    ],
)
def test_link_local_addresses_are_reached_only_where_a_rule_names_them(cidr: str, address: str, reached: bool) -> None:
    egress = NetworkEgress(internet=False, allow=(EgressRule(cidr=cidr),))
    environment = replace(PLAIN, spec=EnvironmentSpec(network_egress=egress))
    [rule] = _policies(environment)["allow-listed"]["egress"]
    assert _reaches(rule["to"], address) is reached
    for manifest in manifests.inside(environment):
        kubernetes_validate.validate(manifest, _KUBERNETES, strict=True)


def test_those_of_airflow_that_ask_it_alone_reach_the_api_server() -> None:
    unknown, known = (_policies(environment)["allow-api-server"] for environment in (PLAIN, FULL))
    for policy in (unknown, known):
        [expression] = policy["podSelector"]["matchExpressions"]
        assert policy["podSelector"]["matchLabels"] == {keys.NAME: AIRFLOW}
        assert (expression["operator"], expression["values"]) == ("In", ["api-server", "scheduler"])
    [anywhere] = unknown["egress"]
    assert _reaches(anywhere["to"], "10.100.0.1")
    assert not _reaches(anywhere["to"], "169.254.169.254")
    assert [port["port"] for port in anywhere["ports"]] == [443, 6443]
    [there] = known["egress"]
    assert there["to"] == [{"ipBlock": {"cidr": "10.0.1.0/24"}}]


def test_airflow_may_work_in_its_own_namespace_alone() -> None:
    found = manifests.inside(PLAIN)
    assert not {"ClusterRole", "ClusterRoleBinding"} & {manifest["kind"] for manifest in found}
    rules = {manifest["metadata"]["name"]: manifest["rules"] for manifest in found if manifest["kind"] == "Role"}
    may = {
        name: {(resource, verb) for rule in given for resource in rule["resources"] for verb in rule["verbs"]}
        for name, given in rules.items()
    }
    assert may == {
        "airflow-api-server": {("pods", "list"), ("pods/log", "get")},
        "airflow-scheduler": {("pods", verb) for verb in ("create", "delete", "get", "list", "patch", "watch")},
    }
    for binding in (manifest for manifest in found if manifest["kind"] == "RoleBinding"):
        [subject] = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (binding["roleRef"]["name"], "dev")


def test_workers_are_nobody_until_they_run_a_task() -> None:
    accounts = {
        manifest["metadata"]["name"]: manifest
        for manifest in manifests.inside(FULL)
        if manifest["kind"] == "ServiceAccount"
    }
    assert {name for name, account in accounts.items() if "annotations" in account["metadata"]} == {
        "airflow",
        "airflow-api-server",
        "airflow-scheduler",
    }
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())


@pytest.mark.parametrize(
    ("quotas", "default"),
    [
        (Quotas(), {"cpu": "100m", "memory": "256Mi"}),
        (Quotas(cpu="0.05", memory="100M"), {"cpu": "0.05", "memory": "100M"}),
        (Quotas(cpu="0"), {"cpu": "0", "memory": "256Mi"}),
    ],
)
def test_a_container_that_asks_for_nothing_fits_the_quota(quotas: Quotas, default: dict[str, str]) -> None:
    environment = replace(PLAIN, spec=EnvironmentSpec(quotas=quotas))
    [limits] = [manifest for manifest in manifests.inside(environment) if manifest["kind"] == "LimitRange"]
    assert limits["spec"]["limits"] == [{"type": "Container", "defaultRequest": default}]


@pytest.mark.parametrize(
    ("one", "other"), [("999m", "1"), ("1000k", "1Mi"), ("1.5Gi", "1537Mi"), ("0.1", "101m"), ("1P", "1Pi")]
)
def test_quantities_compare_by_what_they_stand_for(one: str, other: str) -> None:
    assert value(one) < value(other)
    assert smaller(one, other) == smaller(other, one) == one


def test_underscores_become_dots() -> None:
    assert kubernetes_name("team_orders-eu") == "team.orders-eu"
    names = [ObjectRef.of(manifest).name for manifest in deployed(DEPLOYED, FULL)]
    assert names == ["project-team.orders", "team.orders"]


def test_a_configuration_is_read_back_as_it_was_written() -> None:
    for project in (CONFIGURATION, ProjectConfiguration(CONFIGURATION.project_id, "shop")):
        assert ProjectConfiguration.of(configuration(project, PLAIN.defaults)) == project


def test_power_is_on_the_namespace() -> None:
    for power in Power:
        labels = manifests.namespace(replace(PLAIN, power=power))["metadata"]["labels"]
        assert labels[keys.POWER] == power.value


def test_an_empty_list_of_internal_ranges_opens_everything() -> None:
    environment = replace(
        PLAIN,
        spec=EnvironmentSpec(network_egress=NetworkEgress(internet=True)),
        defaults=replace(PLAIN.defaults, internal_cidrs=()),
    )
    [rule] = _policies(environment)["allow-internet"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]


_RENEWED = {"holderIdentity": "ops", "leaseDurationSeconds": 60, "renewTime": "2026-01-01T00:00:00.000000Z"}
_RENEWED_AT = 1767225600.0


@pytest.mark.parametrize(
    ("spec", "until"),
    [
        (_RENEWED, _RENEWED_AT + 60),
        ({**_RENEWED, "renewTime": None, "acquireTime": _RENEWED["renewTime"]}, _RENEWED_AT + 60),
        ({"holderIdentity": "ops", "renewTime": _RENEWED["renewTime"]}, _RENEWED_AT),
        ({"holderIdentity": "ops"}, 0.0),
    ],
)
def test_a_lock_is_held_for_as_long_as_its_holder_says(spec: dict[str, Any], until: float) -> None:
    holder = Holder.of({"spec": spec})
    assert holder == Holder("ops", until)
    assert holder.alive(until - 1)
    assert not holder.alive(until + 6)


@pytest.mark.parametrize("lease", [None, {}, {"spec": None}, {"spec": {}}, {"spec": {"holderIdentity": ""}}])
def test_a_lock_without_a_holder_is_free(lease: Manifest | None) -> None:
    assert Holder.of(lease) is None
