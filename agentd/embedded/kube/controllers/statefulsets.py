"""Stateful sets: numbered pods with claims of their own, one after the other."""

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.controllers.events import record
from agentd.embedded.kube.controllers.owned import (
    create_pod,
    from_template,
    is_ready,
    keys_of,
    owned_by,
    reference,
    template_hash,
)
from agentd.embedded.kube.kinds import PODS, STATEFUL_SETS
from agentd.embedded.kube.objects import (
    Object,
    child,
    clone,
    dig,
    is_terminating,
    labels_of,
    metadata,
    name_of,
    namespace_of,
)
from agentd.embedded.kube.status import ApiError

_CLAIMS = ("", "persistentvolumeclaims")
_REVISIONS = ("apps", "controllerrevisions")
_HASH = "controller-revision-hash"
_AGAIN_S = 1.0
_ENDED = ("Succeeded", "Failed")


def _reconcile(hands: Hands, key: Key) -> float | None:
    owner = hands.get(STATEFUL_SETS, *key)
    if owner is None:
        return None
    revision = f"{name_of(owner)}-{template_hash(owner['spec']['template'])}"
    failed = False
    if not is_terminating(owner):
        _keep_revision(hands, owner, revision)
        failed = not _act(hands, owner, revision)
    hands.set_status(STATEFUL_SETS, owner, _status(hands, owner, revision))
    return _AGAIN_S if failed else None


def _pods(hands: Hands, owner: Object) -> dict[int, Object]:
    """By ordinal."""
    prefix = f"{name_of(owner)}-"
    owned = owned_by(hands.world, owner, PODS)
    return {int(name_of(pod).removeprefix(prefix)): pod for pod in owned}


def _act(hands: Hands, owner: Object, revision: str) -> bool:
    """Take the next step, or several when pods do not wait for each other. False when one was refused."""
    pods, wanted = _pods(hands, owner), owner["spec"].get("replicas", 1)
    patient = owner["spec"].get("podManagementPolicy") != "Parallel"
    for ordinal in range(wanted):
        pod = pods.get(ordinal)
        if pod is not None and dig(pod, "status", "phase") in _ENDED:
            hands.delete(PODS, pod)
        elif pod is None and not _create(hands, owner, ordinal, revision):
            return False
        if patient and (pod is None or not is_ready(pod) or is_terminating(pod)):
            return True
    surplus = sorted((ordinal for ordinal in pods if ordinal >= wanted), reverse=True)
    for ordinal in surplus:
        if not is_terminating(pods[ordinal]):
            hands.delete(PODS, pods[ordinal])
        if patient:
            return True
    _roll(hands, owner, pods, revision)
    return True


def _roll(hands: Hands, owner: Object, pods: dict[int, Object], revision: str) -> None:
    """Replace the highest pod of a former revision."""
    strategy = child(owner, "spec", "updateStrategy")
    if strategy.get("type") != "RollingUpdate":
        return
    first = child(strategy, "rollingUpdate").get("partition", 0)
    for ordinal in sorted(pods, reverse=True):
        pod = pods[ordinal]
        if is_terminating(pod) or not is_ready(pod):
            return
        if ordinal >= first and labels_of(pod).get(_HASH) != revision:
            hands.delete(PODS, pod)
            return


def _create(hands: Hands, owner: Object, ordinal: int, revision: str) -> bool:
    name = f"{name_of(owner)}-{ordinal}"
    template = child(owner, "spec", "template")
    labels = {
        **child(template, "metadata", "labels"),
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(ordinal),
        _HASH: revision,
    }
    pod = from_template(owner, template, name=name, labels=labels)
    pod["spec"] |= {"hostname": name, "subdomain": owner["spec"].get("serviceName", "")}
    try:
        for claim in owner["spec"].get("volumeClaimTemplates") or ():
            _claim(hands, owner, pod, claim)
        create_pod(hands, owner, pod)
    except ApiError as error:
        told = f"create Pod {name} in StatefulSet {name_of(owner)} failed error: {error.message}"
        record(hands, owner, "FailedCreate", told, component="statefulset-controller", warning=True)
        return False
    return True


def _claim(hands: Hands, owner: Object, pod: Object, template: Object) -> None:
    """A claim of the pod's own; it stays when the pod goes."""
    volume = name_of(template)
    name = f"{volume}-{pod['metadata']['name']}"
    volumes = [one for one in pod["spec"].get("volumes") or () if one["name"] != volume]
    pod["spec"]["volumes"] = [*volumes, {"name": volume, "persistentVolumeClaim": {"claimName": name}}]
    if hands.get(_CLAIMS, namespace_of(owner), name) is not None:
        return
    item = {"metadata": {**clone(template["metadata"]), "name": name}, "spec": clone(template["spec"])}
    metadata(item)["labels"] = dict(dig(owner, "spec", "selector", "matchLabels") or {})
    hands.create(_CLAIMS, namespace_of(owner), item)


def _keep_revision(hands: Hands, owner: Object, revision: str) -> None:
    if hands.get(_REVISIONS, namespace_of(owner), revision) is not None:
        return
    number = 1 + max([0, *(item["revision"] for item in owned_by(hands.world, owner, _REVISIONS))])
    item = {
        "metadata": {"name": revision, "ownerReferences": [reference(owner)], "labels": {_HASH: revision}},
        "data": {"spec": {"template": {**clone(owner["spec"]["template"]), "$patch": "replace"}}},
        "revision": number,
    }
    hands.create(_REVISIONS, namespace_of(owner), item)


def _status(hands: Hands, owner: Object, revision: str) -> Object:
    pods = [pod for pod in _pods(hands, owner).values() if not is_terminating(pod)]
    wanted = owner["spec"].get("replicas", 1)
    before = owner.get("status") or {}
    ready = sum(1 for pod in pods if is_ready(pod))
    updated = sum(1 for pod in pods if labels_of(pod).get(_HASH) == revision)
    current = before.get("currentRevision") or revision
    if updated == ready == len(pods) == wanted:
        current = revision
    counts = {
        "readyReplicas": ready,
        "currentReplicas": sum(1 for pod in pods if labels_of(pod).get(_HASH) == current),
        "updatedReplicas": updated,
    }
    return {
        "observedGeneration": owner["metadata"]["generation"],
        "replicas": len(pods),
        "availableReplicas": ready,
        "currentRevision": current,
        "updateRevision": revision,
        "collisionCount": 0,
        **{name: number for name, number in counts.items() if number},
    }


STATEFUL_SET_CONTROLLER = Controller("statefulset", keys_of(STATEFUL_SETS, "StatefulSet", PODS), _reconcile)
