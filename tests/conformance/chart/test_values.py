"""What the chart makes of values, and which it refuses."""

import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from helm_python import Chart, HelmValuesError, lint

from agentd.cli.chart.schema import DECIDED
from agentd.cli.doctor.cluster import NEWEST, OLDEST
from agentd.cli.grants import everywhere_of, rules
from agentd.cli.permissions import needs
from agentd.dispatch import load_handlers
from agentd.platform import keys
from agentd.platform.airflow import AIRFLOW_PORT
from agentd.platform.cluster import FIELD_MANAGER
from agentd.settings import DrainConfig, Settings, load
from agentd.telemetry import Metrics, metrics_reference
from tests.conformance.chart.support import (
    CHART,
    DEPLOY,
    IMAGE,
    MONITORING,
    NAMESPACE,
    PEER,
    SETS,
    container,
    example,
    notes,
    one,
    rendered,
    without,
)

AWS = SETS["aws"]


def settings_of(objects: list[Any], folder: Path) -> Settings:
    """What the agent makes of the settings file, with the variables of its image."""
    file = folder / "agentd.yaml"
    file.write_text(one(objects, "ConfigMap")["data"]["agentd.yaml"])
    image = {"AGENTD_LEDGER__PATH": "/var/lib/agentd/ledger.db", "AGENTD_TELEMETRY__HTTP_HOST": "0.0.0.0"}  # noqa: S104 - the Dockerfile's
    return load(file, image).settings


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_values_that_make_sense_are_taken_without_a_word(values: Mapping[str, Any]) -> None:
    found = lint(CHART, dict(values), strict=True)
    told = [message["error"] for message in found["messages"] if "icon is recommended" not in message["error"]]
    assert (found["errors"], told) == ([], [])


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_the_agent_takes_the_settings_file(values: Mapping[str, Any], tmp_path: Path) -> None:
    settings = settings_of(rendered(values), tmp_path)
    assert settings.cluster.system_namespace == NAMESPACE
    assert settings.cluster.access == values["settings"]["cluster"]["access"]
    assert settings.commands.queue_url == values["settings"]["commands"]["queue_url"]
    assert (settings.proxy.listen_port is not None) is values.get("proxy", {}).get("enabled", False)


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_every_object_has_the_recommended_labels_and_is_in_the_namespace(values: Mapping[str, Any]) -> None:
    for found in rendered({**values, **MONITORING}):
        labels = found["metadata"]["labels"]
        assert {
            f"app.kubernetes.io/{name}"
            for name in ("name", "instance", "version", "component", "part-of", "managed-by")
        } <= labels.keys()
        in_namespace = not found["kind"].startswith("Cluster")
        assert found["metadata"].get("namespace") == (NAMESPACE if in_namespace else None)


@pytest.mark.parametrize("name", ["aws", "everything"])
def test_the_roles_are_those_that_are_generated(name: str, tmp_path: Path) -> None:
    objects = rendered(SETS[name])
    needed = [need.permission for need in needs(settings_of(objects, tmp_path), load_handlers())]
    granted = one(objects, "ClusterRole")["rules"]

    def rights(found: list[Any]) -> set[tuple[str, str, str]]:
        return {
            (g, r, v) for rule in found for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]
        }

    wanted = rules(everywhere_of(p for p in needed if p.service == "kubernetes"))
    assert rights(granted) == rights(wanted)
    assert ("", "nodes", "list") in rights(granted) if name == "everything" else True
    account = one(objects, "ServiceAccount")["metadata"]["name"]
    assert one(objects, "ClusterRoleBinding")["subjects"] == [
        {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    ]


def test_without_a_cluster_there_are_no_roles_and_no_token() -> None:
    objects = rendered(SETS["registries alone"])
    assert not {"ClusterRole", "ClusterRoleBinding"} & {found["kind"] for found in objects}
    assert one(objects, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert "No roles were made" in notes(SETS["registries alone"])


def test_a_drain_has_the_time_that_it_needs() -> None:
    def grace(name: str) -> int:
        return int(one(rendered(SETS[name]), "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"])

    assert grace("aws") == DrainConfig().hard_exit_s + 1
    assert grace("one replica") == 122, "120.5, and one more"


def test_replicas_share_nothing_on_disk_and_one_has_a_claim() -> None:
    objects = rendered(AWS)
    assert one(objects, "Deployment")["spec"]["strategy"]["type"] == "RollingUpdate"
    assert one(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert not [found for found in objects if found["kind"] == "PersistentVolumeClaim"]
    alone = rendered(SETS["one replica"])
    claim = one(alone, "PersistentVolumeClaim")
    assert (claim["spec"]["accessModes"], claim["spec"]["storageClassName"]) == (["ReadWriteOncePod"], "gp3")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert one(alone, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert not [found for found in alone if found["kind"] == "PodDisruptionBudget"]
    given = one(rendered(SETS["given claim"]), "Deployment")["spec"]["template"]["spec"]
    assert {"name": "state", "persistentVolumeClaim": {"claimName": "ledger"}} in given["volumes"]


def test_identities_of_the_clouds() -> None:
    annotations = one(rendered(SETS["everything"]), "ServiceAccount")["metadata"]["annotations"]
    assert annotations["eks.amazonaws.com/role-arn"].endswith("role/conveyor/agentd")
    azure = rendered(SETS["azure"])
    assert one(azure, "ServiceAccount")["metadata"]["annotations"].keys() == {"azure.workload.identity/client-id"}
    assert one(azure, "Deployment")["spec"]["template"]["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert "create-pod-identity-association" in notes(SETS["one replica"])
    assert "federated credential" in notes(SETS["azure"])


def test_the_image_is_the_one_that_is_named() -> None:
    repository = IMAGE["repository"]
    assert container(rendered(AWS))["image"] == f"{repository}:{version()}"
    assert container(rendered(SETS["everything"]))["image"] == f"{repository}:1.2.3"
    assert container(rendered(SETS["one replica"]))["image"] == f"{repository}@sha256:{'ab' * 32}"


def test_other_settings_are_other_pods_and_the_same_are_not() -> None:
    def checksum(values: Mapping[str, Any]) -> str:
        return str(
            one(rendered(values), "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
        )

    assert checksum(AWS) == checksum({**AWS, "replicas": 3})
    assert checksum(AWS) != checksum({**AWS, "settings": {**AWS["settings"], "bus": {"slots": 7}}})


def test_probes_ask_the_pages_of_the_port_that_is_scraped() -> None:
    found = container(rendered(SETS["everything"]))
    paths = {name: found[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in paths.values()} == {"metrics"}
    assert paths["livenessProbe"]["path"] == "/livez"
    assert paths["readinessProbe"]["path"] == "/readyz", "the proxy is one of its components"


def test_a_network_policy_lets_the_agent_reach_what_it_works_with() -> None:
    policy = one(rendered(SETS["everything"]), "NetworkPolicy")["spec"]
    out = {(rule.get("to") is None, port["port"]) for rule in policy["egress"] for port in rule["ports"]}
    assert {(True, 53), (True, 443), (True, 6443), (False, AIRFLOW_PORT), (False, 4318)} == out
    (airflow,) = [rule for rule in policy["egress"] if rule["ports"][0]["port"] == AIRFLOW_PORT]
    assert airflow["to"] == [{"namespaceSelector": {"matchLabels": {keys.MANAGED_BY: FIELD_MANAGER}}}]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == {"metrics", "grpc"}
    assert all(rule["from"] == [PEER] for rule in policy["ingress"])


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_every_object_is_one_of_the_oldest_and_of_the_newest_kubernetes(
    values: Mapping[str, Any], version: tuple[int, int]
) -> None:
    for found in rendered(values):
        kubernetes_validate.validate(found, "{}.{}".format(*version), strict=True)


def test_the_chart_is_for_the_versions_that_the_doctor_knows() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == ">={}.{}.0-0".format(*OLDEST)


def test_the_versions_are_those_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == version()


def test_alerts_are_about_metrics_that_exist() -> None:
    rule = one(rendered({**AWS, **MONITORING}), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    known = metrics_reference(Metrics())
    for alert in rule["spec"]["groups"][0]["rules"]:
        names = [
            word
            for word in alert["expr"].replace("(", " ").replace("{", " ").replace(")", " ").split()
            if word.startswith("agentd_")
        ]
        assert names
        assert all(f"`{name}`" in known for name in names), alert
        assert alert["annotations"].keys() == {"summary", "action"}


@pytest.mark.slow
def test_prometheus_takes_the_alerts() -> None:
    alerts = CHART / "files" / "alerts.yaml"
    ran = subprocess.run(["promtool", "check", "rules", alerts], capture_output=True, text=True, check=False)
    assert (ran.returncode, "SUCCESS" in ran.stdout) == (0, True), ran.stdout + ran.stderr


_SETTINGS = AWS["settings"]
REFUSED: Mapping[str, tuple[Any, str]] = {
    "several replicas without a ledger": (
        {"settings": without(_SETTINGS, "ledger")},
        "at '/settings': missing property 'ledger'",
    ),
    "several replicas on SQLite": (
        {"settings": {**_SETTINGS, "ledger": {"kind": "sqlite"}}},
        "at '/settings/ledger/kind': value must be one of 'dynamodb', 'azure_table'",
    ),
    "several replicas whose audit log goes with them": (
        {"settings": {**_SETTINGS, "audit": {}}},
        "missing property 'bucket'",
    ),
    "no image": ({"image": {}}, "at '/image/repository'"),
    "no settings": ({"settings": {}}, "missing properties 'tenant_id', 'cluster_id', 'reports_queue_url', 'commands'"),
    "a value that nobody knows": ({"replicaCount": 2}, "additional properties 'replicaCount' not allowed"),
    "a setting that nobody knows": (
        {"settings": {**_SETTINGS, "bus": {"slot": 1}}},
        "additional properties 'slot' not allowed",
    ),
    "a setting out of bounds": ({"settings": {**_SETTINGS, "bus": {"slots": 0}}}, "at '/settings/bus/slots': minimum"),
    "a proxy without certificates": ({"proxy": {"enabled": True}}, "at '/proxy/tlsSecret'"),
    "a role that is none": (
        {"identity": {"kind": "irsa", "roleArn": "agentd"}},
        "at '/identity/roleArn': 'agentd' does not match",
    ),
    "no managed identity": ({"identity": {"kind": "azure"}}, "at '/identity/clientId'"),
    "settings as variables": ({"env": {"AGENTD_BUS__SLOTS": "1"}}, "invalid propertyName 'AGENTD_BUS__SLOTS'"),
    "a mount of nothing": ({"mounts": [{"name": "a", "path": "/a"}]}, "missing property 'secret'"),
    "a mount of two": (
        {"mounts": [{"name": "a", "path": "/a", "secret": "a", "claim": "b"}]},
        "at '/mounts/0': 'oneOf' failed",
    ),
}


@pytest.mark.parametrize(("more", "words"), REFUSED.values(), ids=REFUSED)
def test_what_could_not_work_is_refused(more: Any, words: str) -> None:
    with pytest.raises(HelmValuesError) as refused:
        rendered({**AWS, **more})
    assert words in str(refused.value)


@pytest.mark.parametrize("decided", DECIDED, ids=".".join)
def test_what_the_chart_decides_cannot_be_set(decided: tuple[str, str]) -> None:
    group, name = decided
    given = {**example("aws"), group: {**example("aws").get(group, {}), name: "x"}}
    with pytest.raises(HelmValuesError, match=f"'{name}' not allowed"):
        rendered({**AWS, "settings": given})


def test_the_chart_is_packed_with_all_its_files(tmp_path: Path) -> None:
    with Chart.load(CHART) as chart:
        archive = Path(chart.save(tmp_path))
    with Chart.load_archive(archive.read_bytes()) as packed:
        assert {file["name"] for file in packed.files} >= {"files/rights.json", "files/alerts.yaml", "README.md"}


def version() -> str:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    return str(project["version"])
