"""The objects of an environment's Airflow: valid, found by label, the same whichever way the event lists them."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.events import EnvironmentSpec, Power
from agentd.events.environments import AirflowConfiguration, SecretName, SecretsBackend, WebserverConfiguration
from agentd.platform import Kind, Manifest, ObjectRef, keys
from agentd.platform.airflow_defaults import (
    AirflowComponent,
    ExternalDatabase,
    Release,
    RemoteLogs,
    SharedLogs,
)
from handlers.manifests.airflow import PRUNED, AirflowInstance, StreamingApplication, objects, stages
from handlers.manifests.airflow.workers import worker
from handlers.manifests.labels import STREAMING
from tests.unit.handlers.airflow.instances import (
    APPLICATIONS,
    KEYS,
    ORDERS,
    PROJECTS,
    SECRETS,
    SHOP,
    instance,
    named,
    of_kind,
    pod_of,
    variables,
)
from tests.unit.handlers.specs import FULL, PLAIN

_KUBERNETES = "1.36"
_SUBDOMAIN = re.compile(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
_LABEL = re.compile(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
_EXTERNAL = ExternalDatabase("db.example", 5433, "verify-full", "a certificate", cidrs=("10.9.0.0/16",))

INSTANCES: dict[str, AirflowInstance] = {
    "plain": instance(),
    "full": instance(FULL),
    "copied": instance(image_volumes=False),
    "external": instance(database=_EXTERNAL),
    "shared logs": instance(logs=SharedLogs("5Gi", "nfs")),
    "remote logs": instance(logs=RemoteLogs("s3://logs/{environment}", "logs")),
    "two servers": instance(api_server_replicas=2),
}


def everything(found: AirflowInstance) -> list[Manifest]:
    return objects(found, PROJECTS, APPLICATIONS)


def pods(found: Sequence[Manifest]) -> list[dict[str, Any]]:
    """Every pod that the objects describe, the worker's included."""
    templates = [manifest["spec"]["template"] for manifest in found if "template" in manifest.get("spec", {})]
    [text] = of_kind(found, "ConfigMap")["airflow-worker"]["data"].values()
    return [*templates, json.loads(text)]


@pytest.mark.parametrize("name", INSTANCES)
def test_objects_are_valid(name: str) -> None:
    found = everything(INSTANCES[name])
    for manifest in found:
        kubernetes_validate.validate(manifest, _KUBERNETES, strict=True)
    [text] = of_kind(found, "ConfigMap")["airflow-worker"]["data"].values()
    kubernetes_validate.validate(json.loads(text), _KUBERNETES, strict=True)


@pytest.mark.parametrize("name", INSTANCES)
def test_every_object_can_be_found_and_carries_nothing_that_changes(name: str) -> None:
    for manifest in everything(INSTANCES[name]):
        labels = manifest["metadata"]["labels"]
        assert labels[keys.COMPONENT] in ("airflow", STREAMING)
        assert labels[keys.INSTANCE] == manifest["metadata"]["namespace"]
        assert not {keys.OWNER_ID, keys.GENERATION, keys.EVENT_ID, keys.ENVIRONMENT_ID} & set(labels)
        assert all(len(text) <= 63 for text in labels.values())


@pytest.mark.parametrize("name", INSTANCES)
def test_pods_carry_none_of_the_agents_own_keys(name: str) -> None:
    for pod in pods(everything(INSTANCES[name])):
        assert keys.PREFIX not in json.dumps(pod["metadata"])


def test_what_is_kept_nowhere_else_is_never_pruned() -> None:
    found = [manifest for one in INSTANCES.values() for manifest in everything(one)]
    kept = {kind.name for kind in map(Kind.of, found) if kind not in PRUNED}
    assert kept == {"Secret", "PersistentVolumeClaim"}


def test_stages_are_what_can_be_waited_for_one_after_the_other() -> None:
    found = stages(instance(), PROJECTS, APPLICATIONS)
    kinds = [[manifest["kind"] for manifest in stage] for stage in (found.database, found.migration, found.components)]
    assert kinds == [["PersistentVolumeClaim", "Service", "StatefulSet"], ["Job"], ["Deployment"] * 4]
    assert not {"Job", "Deployment", "StatefulSet"} & {manifest["kind"] for manifest in found.ground}
    assert [manifest["metadata"]["name"] for manifest in found.streaming] == ["streaming-team--orders--ingest"]
    assert found.all() == everything(instance())


# -- who is told what ------------------------------------------------------------------------------------------------------

_SECRET_VARIABLES = {
    "database": ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-database", "connection"),
    "fernet": ("AIRFLOW__CORE__FERNET_KEY", "airflow-keys", "fernet-key"),
    "jwt": ("AIRFLOW__API_AUTH__JWT_SECRET", "airflow-keys", "jwt-secret"),
    "api": ("AIRFLOW__API__SECRET_KEY", "airflow-keys", "api-secret-key"),
}


@pytest.mark.parametrize(
    ("component", "told"),
    [
        (AirflowComponent.API_SERVER, {"database", "fernet", "jwt", "api"}),
        (AirflowComponent.SCHEDULER, {"database", "fernet", "jwt"}),
        (AirflowComponent.DAG_PROCESSOR, {"database", "fernet"}),
        (AirflowComponent.TRIGGERER, {"database", "fernet", "api"}),
    ],
)
def test_each_process_is_told_the_secrets_that_it_needs(component: AirflowComponent, told: set[str]) -> None:
    found = variables(pod_of(everything(instance()), component))
    for name, (variable, secret, key) in _SECRET_VARIABLES.items():
        assert found.get(variable) == ((secret, key) if name in told else None)


@pytest.mark.parametrize("name", INSTANCES)
def test_a_worker_is_told_no_secret_and_gets_no_token(name: str) -> None:
    pod = worker(INSTANCES[name], PROJECTS)["spec"]
    told = {name: part for name, part in pod.items() if name != "imagePullSecrets"}
    assert "secret" not in json.dumps(told).lower()
    assert pod["automountServiceAccountToken"] is False
    assert variables(pod)["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].startswith("http://airflow:8080/environments/")


def test_an_environment_as_people_should_read_it() -> None:
    core = {
        "AIRFLOW_CONFIG": "/opt/airflow/config/airflow.cfg",
        "AIRFLOW_HOME": "/opt/airflow",
        "AIRFLOW_VAR_ENVIRONMENT": "dev",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://airflow:8080/environments/dev/airflow/execution/",
        "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "CONNECTION_CHECK_MAX_COUNT": "0",
        "PYTHONPATH": "/opt/airflow/config",
    }
    bundles = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
            [
                {
                    "name": name,
                    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                    "kwargs": {"path": f"/opt/airflow/bundles/{name}/dags"},
                }
                for name in ("shop", "team_orders")
            ],
            separators=(",", ":"),
        )
    }
    found = everything(instance())
    assert variables(worker(instance(), PROJECTS)["spec"]) == core | bundles
    scheduler = variables(pod_of(found, AirflowComponent.SCHEDULER))
    assert core.items() <= scheduler.items()
    assert scheduler["AIRFLOW__CORE__PARALLELISM"] == "128"
    assert scheduler["AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG"] == "32"
    assert scheduler["AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE"] == "/opt/airflow/pod-template/pod_template.yaml"
    assert scheduler["AIRFLOW__API__BASE_URL"] == "https://data.example/environments/dev/airflow"
    pod = pod_of(found, AirflowComponent.DAG_PROCESSOR)
    assert [container["args"] for container in (*pod["initContainers"], *pod["containers"])] == [
        ["db", "check-migrations", "--migration-wait-timeout=300"],
        ["dag-processor"],
    ]
    assert (pod["serviceAccountName"], pod["nodeSelector"]) == ("airflow", {"pool": "spot"})
    assert pod["tolerations"] == [{"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}]
    assert [volume.get("image") for volume in pod["volumes"] if volume["name"].startswith("bundle-")] == [
        {"reference": SHOP.image, "pullPolicy": "IfNotPresent"},
        {"reference": ORDERS.image, "pullPolicy": "IfNotPresent"},
    ]
    database = of_kind(found, "StatefulSet")["airflow-database"]["spec"]["template"]["spec"]
    assert database["nodeSelector"] == {"pool": "steady"}
    assert "serviceAccountName" not in database
    graces = {name: pod_of(found, name)["terminationGracePeriodSeconds"] for name in _PROCESSES}
    assert graces == {**dict.fromkeys(_PROCESSES, 30), AirflowComponent.SCHEDULER: 60}


_PROCESSES = (
    AirflowComponent.API_SERVER,
    AirflowComponent.SCHEDULER,
    AirflowComponent.DAG_PROCESSOR,
    AirflowComponent.TRIGGERER,
)


@pytest.mark.parametrize("name", INSTANCES)
def test_no_root_no_writes_outside_of_volumes_and_memory_has_an_end(name: str) -> None:
    for pod in pods(everything(INSTANCES[name])):
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            security = container["securityContext"]
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["allowPrivilegeEscalation"] is False
            assert security.get("readOnlyRootFilesystem", False) is (container["name"] != "application")
            assert container["resources"]["limits"]["memory"]


def test_the_secrets_backend_is_for_airflows_own_processes_alone() -> None:
    secret = SecretsBackend(enabled=True, connection=SecretName(name="c"), variable=SecretName(name="v", keyvault="kv"))
    spec = EnvironmentSpec(airflow_configuration=AirflowConfiguration(secret=secret), iam_identity="airflow-dev")
    found = instance(replace(PLAIN, spec=spec))
    for component in _PROCESSES:
        told = variables(pod_of(everything(found), component))
        assert told["AIRFLOW__SECRETS__BACKEND"] == "conveyor_secrets.JsonSecrets"
        assert json.loads(told["AIRFLOW__SECRETS__BACKEND_KWARGS"]) == {
            "connections": {"name": "c"},
            "variables": {"name": "v", "keyvault": "kv"},
        }
    assert "SECRETS" not in json.dumps(worker(found, PROJECTS))
    off = secret.model_copy(update={"enabled": False})
    spec = EnvironmentSpec(airflow_configuration=AirflowConfiguration(secret=off))
    told = variables(pod_of(everything(instance(replace(PLAIN, spec=spec))), AirflowComponent.API_SERVER))
    assert not [name for name in told if "SECRETS__" in name]


def test_the_navigation_bar_has_the_colour_that_is_asked_for() -> None:
    spec = EnvironmentSpec(
        airflow_configuration=AirflowConfiguration(webserver=WebserverConfiguration(navbar_color="#a0c"))
    )
    told = variables(pod_of(everything(instance(replace(PLAIN, spec=spec))), AirflowComponent.API_SERVER))
    [css] = json.loads(told["AIRFLOW__API__THEME"])["globalCss"].values()
    assert css == {"background": "#a0c !important"}
    plain = variables(pod_of(everything(instance()), AirflowComponent.API_SERVER))
    assert "AIRFLOW__API__THEME" not in plain


def test_the_agent_asks_where_the_api_server_serves() -> None:
    found = instance()
    address = found.address
    assert (address.namespace, address.jwt_secret) == ("dev", KEYS.jwt_secret)
    [container] = pod_of(everything(found), AirflowComponent.API_SERVER)["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] == f"{address.prefix}/api/v2/version"
    assert instance(base_url="https://{environment}.example").address.prefix == ""


# -- databases, logs, replicas -----------------------------------------------------------------------------------------------


def test_an_external_database_is_reached_by_both_drivers_and_checked_by_both() -> None:
    found = instance(database=_EXTERNAL)
    made = everything(found)
    assert not {"StatefulSet", "PersistentVolumeClaim"} & {manifest["kind"] for manifest in made}
    urls = _decoded(of_kind(made, "Secret")["airflow-database"])
    where = "airflow_dev:the%2Fpassword@db.example:5433/airflow_dev"
    assert urls["connection"] == f"postgresql+psycopg2://{where}?sslmode=verify-full"
    assert urls["connection-async"] == f"postgresql+asyncpg://{where}?ssl=verify-full"
    assert of_kind(made, "ConfigMap")["airflow-config"]["data"]["database-ca.pem"] == "a certificate"
    told = variables(pod_of(made, AirflowComponent.SCHEDULER))
    assert told["PGSSLROOTCERT"] == "/opt/airflow/config/database-ca.pem"


def test_processes_are_replaced_when_the_database_moves_and_when_their_files_change() -> None:
    def digests(found: AirflowInstance) -> set[str]:
        deployments = of_kind(everything(found), "Deployment").values()
        templates = [deployment["spec"]["template"]["metadata"] for deployment in deployments]
        return {digest for metadata in templates for digest in metadata.get("annotations", {}).values()}

    found = [
        digests(instance(database=one)) for one in (_EXTERNAL, replace(_EXTERNAL, port=1), replace(_EXTERNAL, ca="b"))
    ]
    assert all(len(one) == 1 for one in found)
    assert len(set.union(*found)) == 3


@pytest.mark.parametrize(
    ("logs", "claimed"),
    [(None, set()), (SharedLogs(), {"api-server", "triggerer", "worker"}), (RemoteLogs("s3://b/{environment}"), set())],
)
def test_a_volume_of_logs_is_for_those_who_write_and_show_them(
    logs: SharedLogs | RemoteLogs | None, claimed: set[str]
) -> None:
    found = everything(instance(logs=logs))
    users = {
        pod["metadata"]["labels"][keys.COMPONENT]
        for pod in pods(found)
        if any(
            volume.get("persistentVolumeClaim") == {"claimName": "airflow-logs"}
            for volume in pod["spec"].get("volumes", ())
        )
    }
    assert users == claimed
    assert ("airflow-logs" in of_kind(found, "PersistentVolumeClaim")) is bool(claimed)
    folder = variables(worker(instance(logs=logs), PROJECTS)["spec"]).get("AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER")
    assert folder == ("s3://b/dev" if isinstance(logs, RemoteLogs) else None)


def test_a_budget_only_for_what_there_is_more_than_one_of() -> None:
    assert not of_kind(everything(instance()), "PodDisruptionBudget")
    [budget] = of_kind(everything(instance(api_server_replicas=2)), "PodDisruptionBudget").values()
    assert budget["spec"]["maxUnavailable"] == 1


def test_nothing_runs_in_hibernation_and_nothing_is_migrated() -> None:
    asleep = instance(replace(PLAIN, power=Power.HIBERNATED), api_server_replicas=2)
    awake = instance(api_server_replicas=2)

    def replicas(found: AirflowInstance) -> dict[str, int]:
        made = everything(found)
        workloads = {**of_kind(made, "Deployment"), **of_kind(made, "StatefulSet")}
        return {name: workload["spec"]["replicas"] for name, workload in workloads.items()}

    assert set(replicas(asleep).values()) == {0}
    assert replicas(awake) == {
        "airflow-api-server": 2,
        "airflow-dag-processor": 1,
        "airflow-database": 1,
        "airflow-scheduler": 1,
        "airflow-triggerer": 1,
        "streaming-team--orders--ingest": 2,
    }
    assert stages(asleep).migration == ()


def test_each_version_and_each_content_has_a_migration_of_its_own() -> None:
    found = instance()
    newer = replace(found, release=Release("3.4.0", "apache/airflow:3.4.0"))
    changed = instance(priority_class=None)
    names = [stages(one).migration[0]["metadata"]["name"] for one in (found, newer, changed)]
    assert len(set(names)) == 3
    assert [re.sub(r"-[0-9a-f]{8}$", "", name) for name in names] == [
        "airflow-migrate-3-3-2",
        "airflow-migrate-3-4-0",
        "airflow-migrate-3-3-2",
    ]
    assert stages(found, PROJECTS).migration == stages(found).migration


def test_a_deploy_leaves_alone_who_loads_no_dags() -> None:
    before, after = (of_kind(objects(instance(), projects), "Deployment") for projects in ((), PROJECTS))
    assert {name for name in before if before[name] != after[name]} == {"airflow-dag-processor"}
    assert before["airflow-dag-processor"]["spec"]["strategy"] == {"type": "Recreate"}


def test_where_images_cannot_be_mounted_each_copies_itself() -> None:
    found = instance(image_volumes=False)
    pod = pod_of(everything(found), AirflowComponent.DAG_PROCESSOR)
    copies = {container["name"]: container for container in pod["initContainers"][1:]}
    assert {name: copy["image"] for name, copy in copies.items()} == {
        "bundle-shop": SHOP.image,
        "bundle-team--orders": ORDERS.image,
    }
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert all(volumes[name] == {"name": name, "emptyDir": {}} for name in copies)
    assert [container["name"] for container in worker(found, PROJECTS)["spec"]["initContainers"]] == list(copies)


def test_a_streaming_application_is_its_project() -> None:
    [deployment] = stages(instance(), PROJECTS, APPLICATIONS).streaming
    labels, pod = deployment["metadata"]["labels"], deployment["spec"]["template"]["spec"]
    assert (labels[keys.PROJECT_ID], labels[keys.BUILD_ID]) == (ORDERS.project_id, ORDERS.build_id)
    assert pod["serviceAccountName"] == "team.orders"
    [container] = pod["containers"]
    assert (container["image"], container["args"]) == (ORDERS.image, ["--topic", "orders"])
    assert container["env"] == [{"name": "ENVIRONMENT", "value": "dev"}, {"name": "LEVEL", "value": "info"}]


# -- whatever the projects are ---------------------------------------------------------------------------------------------

_PARTS = st.lists(st.text("ab0", min_size=1, max_size=20), min_size=1, max_size=4)
_NAMES = st.builds(
    lambda parts, by: "".join(part + by[index] for index, part in enumerate(parts))[:-1],
    _PARTS,
    st.lists(st.sampled_from("-_"), min_size=4, max_size=4),
).filter(lambda name: 2 <= len(name) <= 63)
_PROJECTS = st.lists(_NAMES, max_size=6, unique=True)
_APPS = st.lists(st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8})?", fullmatch=True), max_size=3, unique=True)


def unique(names: Iterable[Any]) -> bool:
    found = list(names)
    return len(set(found)) == len(found)


@settings(deadline=None, max_examples=50)
@given(st.data(), _PROJECTS, st.sampled_from(sorted(INSTANCES)))
def test_whatever_the_projects_are_called(data: st.DataObject, names: list[str], kind: str) -> None:
    found, projects = INSTANCES[kind], [named(name) for name in names]
    applications = {name: [StreamingApplication(app) for app in data.draw(_APPS)] for name in names}
    made = objects(found, projects, applications)
    assert unique(ObjectRef.of(manifest) for manifest in made)
    assert all(_SUBDOMAIN.match(manifest["metadata"]["name"]) for manifest in made)
    selectors = [manifest["spec"]["selector"]["matchLabels"] for manifest in of_kind(made, "Deployment").values()]
    assert unique(json.dumps(selector) for selector in selectors)
    for pod in pods(made):
        volumes = [volume["name"] for volume in pod["spec"].get("volumes", ())]
        mounted = [container["volumeMounts"] for container in pod["spec"]["containers"] if "volumeMounts" in container]
        assert unique(volumes)
        assert all(len(name) <= 63 and _LABEL.match(name) for name in volumes)
        assert all(unique(mount["mountPath"] for mount in mounts) for mounts in mounted)
        assert all({mount["name"] for mount in mounts} <= set(volumes) for mounts in mounted)
    shuffled = data.draw(st.permutations(projects))
    backwards = {name: applications[name][::-1] for name in reversed(applications)}
    assert json.dumps(objects(found, shuffled, backwards)) == json.dumps(made)
    public = json.dumps([manifest for manifest in made if manifest["kind"] != "Secret"])
    assert not [secret for secret in SECRETS if secret in public or b64encode(secret.encode()).decode() in public]


def _decoded(secret: Manifest) -> dict[str, str]:
    return {name: b64decode(value).decode() for name, value in secret["data"].items()}
