"""What runs in the simulated cluster, by its statuses alone: workloads come up and Jobs end, each after a while."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.kinds import DEPLOYMENTS, JOBS, PODS, STATEFUL_SETS
from agentd.embedded.kube.objects import Object, is_terminating
from agentd.embedded.kube.store import Change, Resource
from agentd.embedded.kube.world import World as State

# Source: the Job controller, which labels its pods.
_JOB_NAME = "batch.kubernetes.io/job-name"


@dataclass(slots=True)
class Workloads:
    """Controllers and kubelets at once. `takes_s`: how long it takes, from the change on until it is told."""

    clock: Callable[[], float]
    dice: random.Random
    takes_s: tuple[float, float]
    _due: dict[tuple[str, int], float] = field(default_factory=dict)

    def controllers(self) -> list[Controller]:
        """One for each kind of what runs."""
        return [
            self._controller("deployment", DEPLOYMENTS, _status_of_replicas),
            self._controller("statefulset", STATEFUL_SETS, _status_of_replicas),
            self._controller("job", JOBS, _status_of_job),
        ]

    def _controller(self, name: str, resource: Resource, told: Callable[[Object], Object]) -> Controller:
        def keys(_state: State, change: Change) -> Iterable[Key]:
            metadata = change.item["metadata"]
            return [(metadata["namespace"], metadata["name"])] if change.resource == resource else ()

        def reconcile(hands: Hands, key: Key) -> float | None:
            item = hands.get(resource, *key)
            if item is None or is_terminating(item):
                return None
            status = told(item)
            if item.get("status") == status:
                return None
            left_s = self._left_s(item["metadata"])
            if left_s > 0:
                return left_s
            if resource == JOBS:
                _leave_pod(hands, item)
            # Not by way of the server's checks: what is told here is always right, and told often.
            hands.world.store.put(resource, {**item, "metadata": {**item["metadata"]}, "status": status})
            return None

        return Controller(f"simulated-{name}", keys, reconcile)

    def _left_s(self, metadata: Mapping[str, object]) -> float:
        """Until the object's newest content has come into effect."""
        version = (str(metadata["uid"]), int(str(metadata.get("generation", 0))))
        due = self._due.get(version)
        if due is None:
            due = self._due[version] = self.clock() + self.dice.uniform(*self.takes_s)
        return due - self.clock()


def _leave_pod(hands: Hands, job: Object) -> None:
    """What has done a Job's work says how it has ended, for as long as the Job is there."""
    metadata, template = job["metadata"], job["spec"]["template"]
    name, namespace = f"{metadata['name']}-done", metadata["namespace"]
    if hands.get(PODS, namespace, name) is not None:
        return
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    labels = {**template["metadata"].get("labels", {}), _JOB_NAME: metadata["name"]}
    ended = [
        {"name": container["name"], "state": {"terminated": {"exitCode": 0}}}
        for container in template["spec"]["containers"]
    ]
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": hands.world.runtime.new_id(),
            "creationTimestamp": hands.world.now(),
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
        "status": {"phase": "Succeeded", "containerStatuses": ended},
    }
    hands.world.store.put(PODS, pod)


def _status_of_replicas(item: Object) -> Object:
    replicas = item["spec"].get("replicas", 1)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    return {"observedGeneration": item["metadata"]["generation"], **counts}


def _status_of_job(_item: Object) -> Object:
    return {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
