"""Creating and updating environments: what is there afterwards, and what it took."""

from collections import Counter

import pytest

from agentd.core import LeaseLost, NotReady, PermanentError, Reason
from agentd.events import NetworkEgress, Quotas
from agentd.events.environments import EgressRule
from agentd.platform import keys
from handlers.manifests.kinds import (
    CONFIG_MAP,
    NETWORK_POLICY,
    RESOURCE_QUOTA,
    SERVICE_ACCOUNT,
)
from tests.conformance.registry.support import RecordingFence
from tests.unit.handlers.context import Control
from tests.unit.handlers.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

AIRFLOW = {
    "ConfigMap/airflow-check",
    "ConfigMap/airflow-config",
    "ConfigMap/airflow-worker",
    "Deployment/airflow-api-server",
    "Deployment/airflow-dag-processor",
    "Deployment/airflow-scheduler",
    "Deployment/airflow-triggerer",
    "Job/airflow-migrate-3-3-2",
    "NetworkPolicy/airflow-api-clients",
    "NetworkPolicy/airflow-api-server",
    "NetworkPolicy/airflow-database-clients",
    "NetworkPolicy/airflow-database-server",
    "NetworkPolicy/airflow-logs-clients",
    "NetworkPolicy/airflow-logs-server",
    "PersistentVolumeClaim/airflow-database",
    "Secret/airflow-database",
    "Secret/airflow-keys",
    "Service/airflow",
    "Service/airflow-database",
    "StatefulSet/airflow-database",
}
WHOLE = AIRFLOW | {
    "ConfigMap/environment",
    "Lease/conveyor-environment",
    "LimitRange/environment",
    "NetworkPolicy/allow-api-server",
    "NetworkPolicy/allow-dns",
    "NetworkPolicy/allow-internet",
    "NetworkPolicy/allow-system",
    "NetworkPolicy/default-deny",
    "ResourceQuota/environment",
    "Role/airflow-api-server",
    "Role/airflow-scheduler",
    "RoleBinding/airflow-api-server",
    "RoleBinding/airflow-scheduler",
    "ServiceAccount/airflow",
    "ServiceAccount/airflow-api-server",
    "ServiceAccount/airflow-scheduler",
    "ServiceAccount/airflow-worker",
}


def stamped_alone(fence: RecordingFence) -> bool:
    return bool(fence.asked) and not fence.changed


async def test_an_environment_is_a_namespace_with_everything_in_it(at: World) -> None:
    fence = await at.run(at.create(deletion_protection=True, description="for tests"))
    assert fence.changed
    assert await at.objects() == WHOLE
    namespace = await at.namespace()
    assert namespace is not None
    labels, annotations = namespace["metadata"]["labels"], namespace["metadata"]["annotations"]
    assert labels[keys.ENVIRONMENT_ID] == at.environment_id
    assert (labels[keys.OWNER_ID], labels[keys.GENERATION]) == (fence.owner_id, "1")
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels[keys.POWER] == "awake"
    assert annotations[keys.DELETION_PROTECTION] == "true"
    assert annotations[keys.DESCRIPTION] == "for tests"
    writes = await at.writes()
    assert writes.total() == len(WHOLE) + 1
    assert all(write.startswith("POST ") for write in writes)
    order = list(writes)
    assert order[0] == f"POST namespaces/{at.name}"
    # As the API server asks for it of who is not its administrator.
    assert order.index("POST roles/airflow-scheduler") < order.index("POST rolebindings/airflow-scheduler")


async def test_progress_says_how_many_objects_there_are(at: World) -> None:
    data = at.create()
    context = at.begin(data)
    await at.resume(data, context)
    inside = len(WHOLE - AIRFLOW)
    assert f"{inside} of {inside} objects: {inside} created" in context.messages


@pytest.mark.parametrize(
    "quotas",
    [Quotas(), Quotas(cpu="1.50", memory="4096Mi", storage="20000000k", pods=9)],
    ids=["plain", "spelled otherwise than the server does"],
)
async def test_the_same_generation_again_makes_no_write(at: World, quotas: Quotas) -> None:
    first = await at.run(at.create(quotas=quotas))
    await at.writes()
    again = await at.run(at.create(quotas=quotas), event_id=first.event_id)
    assert await at.writes() == Counter()
    assert again.asked == []


async def test_a_newer_generation_with_equal_content_makes_the_stamps_alone(at: World) -> None:
    first = await at.run(at.create())
    await at.writes()
    newer = await at.run(at.update(), 2)
    assert stamped_alone(newer)
    assert (await at.writes()).total() == len(WHOLE) + 1
    settings = await at.seen(CONFIG_MAP, "environment")
    labels = settings["metadata"]["labels"]
    assert (labels[keys.GENERATION], labels[keys.EVENT_ID]) == ("2", first.event_id)
    again = await at.run(at.update(), 2)
    assert await at.writes() == Counter()
    assert again.asked == []


async def test_a_changed_quota_changes_the_quota_and_nothing_else(at: World) -> None:
    await at.run(at.create())
    newer = await at.run(at.update(quotas=Quotas(cpu="2")), 2)
    assert [obj for obj, stamp in newer.asked if not stamp] == [f"kubernetes:{at.name}/resourcequota/environment"]
    quota = await at.seen(RESOURCE_QUOTA, "environment")
    assert quota["spec"]["hard"]["requests.cpu"] == "2"


async def test_what_the_newer_spec_does_not_have_is_removed(at: World) -> None:
    everything = tuple(EgressRule(cidr=cidr, ports=(443,)) for cidr in ("0.0.0.0/0", "::/0", "169.254.0.0/16"))
    await at.run(at.create(network_egress=NetworkEgress(allow=everything)))
    assert await at.objects() == WHOLE | {"NetworkPolicy/allow-listed"}
    await at.run(at.update(network_egress=NetworkEgress(internet=False)), 2)
    assert await at.objects() == WHOLE - {"NetworkPolicy/allow-internet"}


async def test_what_a_late_holder_has_left_is_removed_and_what_is_foreign_stays(at: World) -> None:
    await at.run(at.create())
    policy = await at.seen(NETWORK_POLICY, "allow-system")
    for name, labels in (("late", policy["metadata"]["labels"]), ("theirs", {})):
        late = {**policy, "metadata": {"name": name, "namespace": at.name, "labels": labels}}
        await at.hands.call("POST", f"/apis/networking.k8s.io/v1/namespaces/{at.name}/networkpolicies", late)
    await at.run(at.update(), 2)
    assert await at.objects() == WHOLE
    assert await at.get(NETWORK_POLICY, "theirs") is not None


async def test_drift_is_repaired_and_nothing_else_is_written(at: World) -> None:
    first = await at.run(at.create())
    root = f"/apis/networking.k8s.io/v1/namespaces/{at.name}/networkpolicies"
    await at.hands.patch(f"{root}/default-deny", {"spec": {"policyTypes": ["Ingress"]}})
    await at.hands.delete(f"{root}/allow-dns")
    await at.writes()
    repaired = await at.run(at.create(), event_id=first.event_id)
    assert repaired.changed
    assert await at.writes() == Counter({"PATCH default-deny": 1, "POST networkpolicies/allow-dns": 1})


async def test_a_foreign_namespace_is_left_alone(at: World) -> None:
    await at.hands.call("POST", "/api/v1/namespaces", {"metadata": {"name": at.name, "labels": {"team": "theirs"}}})
    for data in (at.create(), at.update(), at.deploy(), at.hibernate(), at.wake(), at.unlock(), at.delete()):
        with pytest.raises(PermanentError, match="nobody known") as caught:
            await at.run(data)
        assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert await at.writes() == Counter()


async def test_a_namespace_of_another_environment_is_left_alone(at: World) -> None:
    await at.run(at.create())
    owner, at.environment_id = at.environment_id, "2f0d0a63-2f5c-4a3e-8e0c-0d8f6a1f3b77"
    await at.writes()
    for data in (at.create(), at.delete()):
        with pytest.raises(PermanentError, match=f"environment/{owner}") as caught:
            await at.run(data, 9)
        assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert await at.writes() == Counter()


async def test_an_older_generation_stops(at: World) -> None:
    await at.run(at.create(), 5)
    await at.writes()
    late = Control(at.registry, at.control.ports)  # it knows nothing of the newer claim
    at.control = late
    with pytest.raises(LeaseLost):
        await at.run(at.create(), 4)
    assert await at.writes() == Counter()


async def test_a_namespace_on_its_way_out_is_waited_for(at: World) -> None:
    await at.run(at.create())
    root = f"/api/v1/namespaces/{at.name}"
    held = {"metadata": {"name": "held", "finalizers": ["example.com/backup"]}}
    await at.hands.call("POST", f"{root}/configmaps", held)
    await at.hands.delete(root)
    await at.hands.until(root, lambda found: "example.com/backup" in str(found["status"]))
    await at.writes()
    with pytest.raises(NotReady, match=r"is being deleted.*example\.com/backup"):
        await at.run(at.create(), 2)
    assert await at.writes() == Counter()
    await at.hands.patch(f"{root}/configmaps/held", {"metadata": {"finalizers": []}})
    await at.hands.until(root, lambda found: found is None)
    await at.run(at.create(), 2)
    assert await at.objects() == WHOLE


@pytest.mark.parametrize(
    ("spec", "reason", "says"),
    [
        ({"airflow_version": "2"}, Reason.INVALID_REQUEST, "Airflow 2 has reached its end"),
        ({"airflow_version": "2.11.0"}, Reason.INVALID_REQUEST, "Airflow 2.11.0 is refused"),
        ({"airflow_version": "4"}, Reason.UNSUPPORTED, "cannot run Airflow 4"),
        (
            {"network_egress": NetworkEgress.model_validate_json('{"allow": [{"cidr": "10.0.0.1/8"}]}')},
            Reason.INVALID_REQUEST,
            r"network_egress\.allow\.0\.cidr",
        ),
    ],
)
async def test_what_cannot_be_is_refused_before_any_write(
    at: World, spec: dict[str, object], reason: Reason, says: str
) -> None:
    for data in (at.create(**spec), at.update(**spec), at.deploy(**spec)):
        with pytest.raises(PermanentError, match=says) as caught:
            await at.run(data)
        assert caught.value.reason is reason
    assert await at.writes() == Counter()


async def test_a_late_create_brings_the_newest_spec(at: World) -> None:
    create = at.create()
    at.begin(create, 1)  # its first attempt came to nothing
    await at.run(at.update(quotas=Quotas(cpu="3")), 2)
    await at.writes()
    await at.run(create, 1)
    assert await at.writes() == Counter()
    quota = await at.seen(RESOURCE_QUOTA, "environment")
    assert quota["spec"]["hard"]["requests.cpu"] == "3"


async def test_a_crash_before_the_journal_was_written_repeats_the_step_without_effect(at: World) -> None:
    data = at.create()
    context = at.begin(data)
    await at.resume(data, context)
    for step in tuple(context.journal):
        await at.writes()
        del context.journal[step]
        await at.resume(data, context)
        assert await at.writes() == Counter()


async def test_an_identity_that_is_given_means_nothing_where_there_are_none(at: World) -> None:
    await at.run(at.create(iam_identity="airflow-dev"))
    for name in ("airflow", "airflow-api-server", "airflow-scheduler", "airflow-worker"):
        account = await at.seen(SERVICE_ACCOUNT, name)
        assert not account["metadata"].get("annotations")
