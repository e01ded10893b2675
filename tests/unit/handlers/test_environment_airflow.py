"""The Airflow of an environment, as its events bring it about: stage by stage, and never half of one told as whole."""

from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentd.core import NotReady, PermanentError, Reason, TransientError, system_runtime
from agentd.events import Quotas
from agentd.platform import AirflowDefaults, ClusterDefaults, Databases, DatabaseSpec, Manifest, keys
from agentd.platform.airflow_defaults import AirflowComponent, ExternalDatabase, Release
from agentd.platform.postgresql import PostgresDatabases
from agentd.telemetry import Metrics
from handlers.environments.airflow import MIGRATE, START, START_DATABASE
from handlers.manifests.airflow.keys import DATABASE, KEYS
from handlers.manifests.kinds import DEPLOYMENT, JOB, PERSISTENT_VOLUME_CLAIM, POD, SECRET, STATEFUL_SET
from tests.conformance.cluster import relay
from tests.conformance.databases.support import configured
from tests.servers.postgresql import PostgresServer, run_postgres
from tests.unit.handlers.test_environments import WHOLE
from tests.unit.handlers.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

_BEHAVIOUR = "kubelet.conveyor.internal/"


def at_once(at: World, **defaults: Any) -> None:
    """Looks are short, so that what never comes is soon told; `defaults` are the installation's choice for Airflow."""
    at.control.ports[ClusterDefaults] = replace(at.defaults, ready_wait_s=0.5)
    at.control.ports[AirflowDefaults] = AirflowDefaults(**defaults)


async def replicas(at: World) -> dict[str, tuple[int, int]]:
    """How many pods each part of Airflow should have, and how many are ready."""
    found = [item for kind in (DEPLOYMENT, STATEFUL_SET) for item in await at.cluster.list(kind, namespace=at.name)]
    return {
        item["metadata"]["name"]: (item["spec"]["replicas"], item["status"].get("readyReplicas", 0)) for item in found
    }


async def bundles(at: World) -> str:
    """The list of bundles that the DAG processor has."""
    [container] = (await at.seen(DEPLOYMENT, "airflow-dag-processor"))["spec"]["template"]["spec"]["containers"]
    values = {one["name"]: one.get("value", "") for one in container["env"]}
    found: str = values["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"]
    return found


async def job(at: World) -> Manifest:
    [found] = await at.cluster.list(JOB, namespace=at.name)
    return found


async def hold_pods(at: World, *, of: str, **wish: str) -> None:
    """From now on pods of a workload do as they are told: their template is changed behind the agent's back."""
    annotations = {f"{_BEHAVIOUR}{key}": value for key, value in wish.items()}
    path = f"/apis/apps/v1/namespaces/{at.name}/{of}"
    await at.hands.patch(path, {"spec": {"template": {"metadata": {"annotations": annotations}}}})


async def test_it_is_up_when_the_create_is_through(at: World) -> None:
    await at.run(at.create())
    names = ("api-server", "dag-processor", "database", "scheduler", "triggerer")
    assert await replicas(at) == {f"airflow-{name}": (1, 1) for name in names}
    assert [one["type"] for one in (await job(at))["status"]["conditions"]] == ["SuccessCriteriaMet", "Complete"]


async def test_what_comes_next_begins_when_what_is_before_it_is_there(at: World) -> None:
    data = at.create()
    context = at.begin(data)
    at.relay.show(
        relay.Fault(relay.Where.BEFORE, "POST", f"/{at.name}/statefulsets", answer=(403, {}, {"kind": "Status"}))
    )
    with pytest.raises(PermanentError):
        await at.resume(data, context)
    assert not await at.cluster.list(JOB, namespace=at.name)
    assert START_DATABASE not in context.journal
    await at.resume(data, context)
    assert await at.objects() == WHOLE


async def test_a_part_that_does_not_come_up_is_told_with_its_pods_and_waited_for(at: World) -> None:
    await at.run(at.create())
    at_once(at)
    wish = {"behaviour": "fail", "reason": "ImagePullBackOff", "message": "not found"}
    await hold_pods(at, of="deployments/airflow-triggerer", **wish)
    data = at.update()
    context = at.begin(data, 2)
    says = r"Deployment airflow-triggerer is not ready: .*; pod airflow-triggerer-\S+: .* waits: ImagePullBackOff: not found"
    with pytest.raises(NotReady, match=says):
        await at.resume(data, context)
    assert START not in context.journal
    await hold_pods(at, of="deployments/airflow-triggerer", behaviour="ready", reason="", message="")
    at.control.ports[ClusterDefaults] = at.defaults
    await at.resume(data, at.begin(data, 2))


async def test_a_migration_that_has_failed_is_told_and_tried_again(at: World) -> None:
    await at.run(at.create())
    at_once(at)
    done = await job(at)
    jobs = f"/apis/batch/v1/namespaces/{at.name}/jobs"
    await at.hands.delete(f"{jobs}/{done['metadata']['name']}", propagationPolicy="Background")
    quotas = f"/api/v1/namespaces/{at.name}/resourcequotas"
    await at.hands.call("POST", quotas, {"metadata": {"name": "theirs"}, "spec": {"hard": {"pods": "0"}}})
    data = at.update()
    context = at.begin(data, 2)
    with pytest.raises(NotReady, match=f"Job {done['metadata']['name']} has not ended yet"):
        await at.resume(data, context)
    assert MIGRATE not in context.journal
    await fail(at, f"{jobs}/{done['metadata']['name']}")
    with pytest.raises(TransientError, match="has failed: BackoffLimitExceeded: it is no use") as caught:
        await at.resume(data, context)
    assert caught.value.reason is Reason.MIGRATION_FAILED
    await at.hands.delete(f"{quotas}/theirs")
    await at.hands.until(f"{jobs}/{done['metadata']['name']}", lambda found: found is None)
    at.control.ports[ClusterDefaults] = at.defaults
    await at.resume(data, context)
    assert (await job(at))["status"]["succeeded"] == 1


async def fail(at: World, path: str) -> None:
    """As the Job's controller does when enough pods have failed."""
    now = "2030-01-01T00:00:00Z"
    told = {"status": "True", "reason": "BackoffLimitExceeded", "message": "it is no use"}
    times = {"lastProbeTime": now, "lastTransitionTime": now}
    ended = [{"type": kind, **told, **times} for kind in ("FailureTarget", "Failed")]
    await at.hands.patch(f"{path}/status", {"status": {"startTime": now, "conditions": ended}})


async def test_keys_are_made_once_and_never_shown(at: World) -> None:
    plan = await at.plan(at.create())
    fence = await at.run(at.create())
    secrets = [await at.seen(SECRET, name) for name in (KEYS, DATABASE)]
    values = [b64decode(value).decode() for secret in secrets for value in secret["data"].values()]
    await at.run(at.update(description="another"), 2)
    await at.run(at.create(), 1, event_id=fence.event_id)
    assert [(await at.seen(SECRET, name))["data"] for name in (KEYS, DATABASE)] == [one["data"] for one in secrets]
    again = await at.plan(at.update(description="a third"), 3)
    told = f"{plan.json()} {again.json()}"
    assert not [value for value in values if value in told]
    assert "secret" in told


async def test_keys_of_an_attempt_that_was_taken_for_lost_are_kept(at: World) -> None:
    data = at.create()
    made = {"fernet-key": "bGF0ZQ==", "jwt-secret": "bGF0ZQ==", "api-secret-key": "bGF0ZQ=="}

    async def arrive() -> None:
        found = await at.namespace()
        assert found is not None
        labels = {key: text for key, text in found["metadata"]["labels"].items() if "pod-security" not in key}
        secret = {"metadata": {"name": KEYS, "labels": labels}, "immutable": True, "data": made}
        await at.hands.call("POST", f"/api/v1/namespaces/{at.name}/secrets", secret)

    at.relay.show(relay.Fault(relay.Where.THROUGH, "POST", f"/{at.name}/leases", before=arrive))
    context = at.begin(data)
    with pytest.raises(NotReady, match="were made by an earlier attempt"):
        await at.resume(data, context)
    await at.resume(data, context)
    assert (await at.seen(SECRET, KEYS))["data"] == made


async def test_quotas_that_are_too_small_are_refused_before_any_write(at: World) -> None:
    for data in (at.create(quotas=Quotas(cpu="1m", pods=2)), at.deploy(quotas=Quotas(cpu="1m", pods=2))):
        with pytest.raises(PermanentError, match=r"quotas\.cpu is 1m.*quotas\.pods is 2") as caught:
            await at.run(data)
        assert caught.value.reason is Reason.INVALID_REQUEST
    assert await at.writes() == Counter()


async def test_a_release_is_kept_until_more_is_asked_for_and_never_goes_back(at: World) -> None:
    older, newer = Release("3.3.2", "apache/airflow:3.3.2"), Release("3.4.0", "apache/airflow:3.4.0")
    at_once(at, releases=(older,))
    at.control.ports[ClusterDefaults] = at.defaults
    await at.run(at.create())
    at.control.ports[AirflowDefaults] = AirflowDefaults(releases=(newer, older))
    await at.run(at.update(), 2)
    assert await at.objects() == WHOLE
    await at.run(at.update(airflow_version="3.4"), 3)
    assert await at.objects() == {one.replace("3-3-2", "3-4-0") for one in WHOLE}
    with pytest.raises(PermanentError, match=r"3\.4\.0 is running and 3\.3\.2 is older"):
        await at.run(at.update(airflow_version="3.3"), 4)
    with pytest.raises(PermanentError, match=r"3\.5 is not among the versions"):
        await at.run(at.update(airflow_version="3.5"), 5)


async def test_a_deploy_changes_what_reads_dags_and_an_undeploy_takes_it_back(at: World) -> None:
    await at.run(at.create())
    shop = await at.project("shop", builds=2)
    first, second = shop.builds
    assert await bundles(at) == "[]"
    await at.writes()
    await at.run(at.deploy(shop.deployment(first)), 2)
    rolled = [call.path for call in at.relay.writes if "/deployments/" in call.path and "spec" in call.body]
    assert [path.rpartition("/")[2] for path in rolled] == ["airflow-dag-processor"]
    assert "/opt/airflow/bundles/shop/dags" in await bundles(at)
    await at.run(at.deploy(shop.deployment(second)), 3)
    spec = (await at.seen(DEPLOYMENT, "airflow-dag-processor"))["spec"]["template"]["spec"]
    assert [one["image"]["reference"] for one in spec["volumes"] if "image" in one] == [
        f"{(await at.registry.registry.get(at.registry.name('shop'))).uri}@{shop.builds[second]}"  # type: ignore[union-attr]
    ]
    await at.run(at.deploy(), 4)
    assert await bundles(at) == "[]"


async def test_other_events_keep_the_builds_that_are_live(at: World) -> None:
    await at.run(at.create())
    shop = await at.project("shop", builds=2)
    first, second = shop.builds
    await at.run(at.deploy(shop.deployment(first)), 2)
    before = await at.seen(DEPLOYMENT, "airflow-dag-processor")
    # The deploy of another build comes as far as the records, and not through.
    refused = relay.Fault(
        relay.Where.BEFORE, "PATCH", f"/{at.name}/configmaps/project-shop", answer=(403, {}, {}), times=None
    )
    at.relay.show(refused)
    with pytest.raises(PermanentError):
        await at.run(at.deploy(shop.deployment(second)), 3)
    at.relay.faults.clear()
    tried = await at.seen(DEPLOYMENT, "airflow-dag-processor")
    assert tried["spec"]["template"] != before["spec"]["template"]
    await at.run(at.update(description="another"), 4)
    assert (await at.seen(DEPLOYMENT, "airflow-dag-processor"))["spec"]["template"] == before["spec"]["template"]


async def test_it_goes_to_sleep_before_its_database_and_wakes_as_it_was(at: World) -> None:
    await at.run(at.create())
    shop = await at.project("shop")
    await at.run(at.deploy(shop.deployment()), 2)
    awake = await replicas(at)
    await at.writes()
    await at.run(at.hibernate(), 3)
    assert set((await replicas(at)).values()) == {(0, 0)}
    order = [call.path.rpartition("/")[2] for call in at.relay.writes if "/apps/" in call.path]
    assert order[-1] == "airflow-database"
    assert not [pod for pod in await at.cluster.list(POD, namespace=at.name) if pod["status"]["phase"] == "Running"]
    assert not [one for one in await at.cluster.list(JOB, namespace=at.name) if "migrate" in one["metadata"]["name"]]
    await at.run(at.wake(), 4)
    assert await replicas(at) == awake
    assert await at.objects() == WHOLE | {"ConfigMap/project-shop", "ServiceAccount/shop", "Job/airflow-check"}


async def test_pods_that_still_run_are_waited_for(at: World) -> None:
    await at.run(at.create())
    at_once(at)
    [pod] = await at.cluster.list(POD, namespace=at.name, labels={keys.COMPONENT: AirflowComponent.TRIGGERER})
    labels = {keys.NAME: "airflow", keys.COMPONENT: AirflowComponent.WORKER.value}
    spec = {**pod["spec"], "nodeName": None, "serviceAccountName": "airflow-worker"}
    await at.hands.call(
        "POST", f"/api/v1/namespaces/{at.name}/pods", {"metadata": {"name": "task", "labels": labels}, "spec": spec}
    )
    data = at.hibernate()
    context = at.begin(data, 2)
    with pytest.raises(NotReady, match=r"still run: task$"):
        await at.resume(data, context)
    assert (await replicas(at))["airflow-database"] == (1, 1)
    await at.hands.delete(f"/api/v1/namespaces/{at.name}/pods/task")
    at.control.ports[ClusterDefaults] = at.defaults
    await at.resume(data, context)
    assert (await replicas(at))["airflow-database"] == (0, 0)


async def test_where_the_database_is_elsewhere_there_is_none_in_the_cluster(at: World) -> None:
    at_once(at, database=ExternalDatabase("postgres.example"))
    at.control.ports[ClusterDefaults] = at.defaults
    await at.run(at.create())
    gone = {
        "NetworkPolicy/airflow-database-server",
        "PersistentVolumeClaim/airflow-database",
        "Service/airflow-database",
        "StatefulSet/airflow-database",
    }
    assert await at.objects() == WHOLE - gone


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server outside the cluster."""
    with run_postgres(16, tmp_path) as running:
        yield running


@pytest.mark.slow
async def test_a_database_elsewhere_is_made_kept_and_goes_with_the_environment(
    at: World, postgres: PostgresServer
) -> None:
    config = configured(postgres)
    databases = PostgresDatabases(config, metrics=Metrics(), runtime=system_runtime())
    defaults = AirflowDefaults(database=config.defaults())
    at.control.ports |= {AirflowDefaults: defaults, ClusterDefaults: at.defaults, Databases: databases}
    planned = await at.plan(at.create())
    await at.run(at.create())
    spec = DatabaseSpec(database=f"airflow_{at.name}", role=f"airflow_{at.name}")
    made = [databases.role_object(spec.role), databases.database_object(spec.database)]
    assert [change.obj for change in planned if change.obj.startswith("postgresql:")] == made
    secret = await at.get(SECRET, DATABASE)
    assert secret is not None
    state = await databases.state(spec, b64decode(secret["data"]["password"]).decode())
    assert (state.database_owner, state.is_private, state.logs_in) == (spec.role, True, True)
    assert not list(await at.plan(at.update(), 2)), "it is there"
    await at.run(at.update(), 2)
    await at.run(at.delete(), 3)
    state = await databases.state(spec)
    assert (state.role, state.database_owner) == (None, None)


async def test_what_is_not_wanted_any_more_goes_but_for_what_holds_data(at: World) -> None:
    at_once(at, api_server_replicas=2)
    at.control.ports[ClusterDefaults] = at.defaults
    await at.run(at.create())
    assert await at.objects() == WHOLE | {"PodDisruptionBudget/airflow-api-server"}
    at.control.ports[AirflowDefaults] = AirflowDefaults(database=ExternalDatabase("postgres.example"))
    await at.run(at.update(), 2)
    assert await at.get(PERSISTENT_VOLUME_CLAIM, "airflow-database") is not None
    assert "StatefulSet/airflow-database" not in await at.objects()
