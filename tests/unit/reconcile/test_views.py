"""What states say of objects, as the API server gives them."""

from typing import Any

from agentd.app.states import diagnose
from agentd.core import Reason
from agentd.events.reports import STATES
from agentd.platform import Kind, Manifest, keys
from agentd.reconcile.watchers import Fact, Seen, View, environments, nodes, pod_failures

ENVIRONMENT = "6f0c2a52-0000-4000-8000-000000000000"
NAMESPACE, CONFIG_MAP, DEPLOYMENT = Kind("v1", "Namespace"), Kind("v1", "ConfigMap"), Kind("apps/v1", "Deployment")


def obj(kind: str, name: str, *, labels: dict[str, str] | None = None, **more: Any) -> Manifest:
    """An object of the environment `dev`."""
    metadata = {"name": name, "labels": labels or {}, "uid": f"uid-{name}", **more.pop("metadata", {})}
    if kind != "Namespace":
        metadata["namespace"] = "dev"
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more}


def namespace(**more: Any) -> Manifest:
    """The environment's own."""
    marks = {keys.ENVIRONMENT_ID: ENVIRONMENT, keys.GENERATION: "7"}
    return obj("Namespace", "dev", labels={**marks, **more.pop("labels", {})}, **more)


def read(view: View, seen: Seen) -> list[Fact]:
    """What the view says, which a report of its kind can carry."""
    found = list(view.read(seen))
    _, data = STATES[view.name]
    for fact in found:
        common = {"tenant_id": "t", "cluster_id": "c", "agent_version": "1", "again_within_s": 1, "sequence": 1}
        data.model_validate({**common, "subject": fact.subject, "state": fact.content})
    return found


def test_an_environment_is_told_with_what_is_deployed_and_what_does_not_run() -> None:
    record = obj(
        "ConfigMap",
        "project-shop",
        labels={keys.PROJECT_ID: "p", keys.BUILD_ID: "b"},
        metadata={"annotations": {keys.PROJECT_NAME: "shop", keys.IMAGE_DIGEST: "sha256:1"}},
    )
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    web = obj("Deployment", "web", spec={"replicas": 2}, status={"readyReplicas": 1, "conditions": [stuck]})
    idle = obj("Deployment", "idle", spec={"replicas": 0}, status={})
    seen = {NAMESPACE: [namespace()], CONFIG_MAP: [record, obj("ConfigMap", "other")], DEPLOYMENT: [web, idle]}
    (fact,) = read(environments("me"), seen)
    assert fact.subject == f"environment/{ENVIRONMENT}"
    state = fact.content
    assert (state["name"], state["phase"], state["generation"], state["ready"]) == ("dev", "active", 7, False)
    assert state["projects"] == [{"id": "p", "name": "shop", "build_id": "b", "digest": "sha256:1"}]
    told = [(one["name"], one["wanted"], one["ready"], one["reason"]) for one in state["workloads"]]
    assert told == [("idle", 0, 0, ""), ("web", 2, 1, "ProgressDeadlineExceeded")]


def test_what_its_controller_has_not_looked_at_does_not_count_as_ready() -> None:
    web = obj(
        "Deployment",
        "web",
        metadata={"generation": 3},
        spec={"replicas": 1},
        status={"observedGeneration": 2, "readyReplicas": 1},
    )
    (fact,) = read(environments("me"), {NAMESPACE: [namespace()], DEPLOYMENT: [web]})
    assert (fact.content["ready"], fact.content["workloads"][0]["ready"]) == (False, 0)


def test_phases_of_an_environment() -> None:
    (asleep,) = read(environments("me"), {NAMESPACE: [namespace(labels={keys.POWER: "hibernated"})]})
    assert (asleep.content["phase"], asleep.content["ready"]) == ("hibernated", True)
    left = {"type": "NamespaceContentRemaining", "status": "True", "message": "pods. has 1 resource instances"}
    leaving = namespace(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}, status={"conditions": [left]})
    (deleting,) = read(environments("me"), {NAMESPACE: [leaving]})
    assert (deleting.content["phase"], deleting.content["message"]) == ("deleting", left["message"])
    assert read(environments("me"), {NAMESPACE: [obj("Namespace", "other")]}) == []


def pod(name: str, **status: Any) -> Manifest:
    """A pod on a node."""
    return obj("Pod", name, labels={keys.COMPONENT: "scheduler"}, spec={"nodeName": "n1"}, status=status)


def test_a_pod_in_trouble_is_told_with_its_reason_and_last_words_and_a_healthy_one_is_not() -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled", "message": "loading\nthe whole table"}
    container = {"name": "main", "restartCount": 6, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    looping = pod("loops", phase="Running", containerStatuses=[{**container, "lastState": {"terminated": ended}}])
    well = pod("well", phase="Running", containerStatuses=[{"name": "main", "state": {"running": {}}}])
    view = pod_failures("me", diagnose)
    seen = {NAMESPACE: [namespace()], Kind("v1", "Pod"): [looping, well]}
    (fact,) = read(view, seen)
    assert fact.subject == "pod/uid-loops"
    state = fact.content
    assert (state["reason"], state["passing"], state["restarts"]) == (Reason.OUT_OF_MEMORY, False, 6)
    assert (state["environment_id"], state["component"], state["node"]) == (ENVIRONMENT, "scheduler", "n1")
    assert "exit code 137" in state["message"]
    assert "the whole table" in state["message"]
    assert read(view, {**seen, NAMESPACE: []}) == []


def test_a_node_is_told_with_pressure_capacity_and_that_it_is_about_to_go() -> None:
    machine = {
        "metadata": {
            "name": "n1",
            "labels": {"karpenter.sh/capacity-type": "spot", "topology.kubernetes.io/zone": "a"},
        },
        "spec": {
            "unschedulable": True,
            "taints": [
                {"key": "karpenter.sh/disrupted", "effect": "NoSchedule"},
                {"key": "dedicated", "effect": "NoSchedule"},
            ],
        },
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "MemoryPressure", "status": "True"}],
            "capacity": {"cpu": "4", "memory": "16Gi", "hugepages-1Gi": "0"},
        },
    }
    (fact,) = read(nodes(), {Kind("v1", "Node"): [machine]})
    state = fact.content
    assert fact.subject == "node/n1"
    assert (state["ready"], state["schedulable"], state["spot"], state["zone"]) == (True, False, True, "a")
    assert (state["pressures"], state["leaving"]) == (["MemoryPressure"], ["karpenter.sh/disrupted"])
    assert state["capacity"] == {"cpu": "4", "memory": "16Gi"}
