"""What all of Airflow's pods have in common: security, nodes, volumes that are not written elsewhere."""

from collections.abc import Sequence
from typing import Any

from agentd.platform.airflow_defaults import AirflowComponent, Nodes, Resources, SharedLogs, Toleration
from handlers.manifests.airflow.instance import AirflowInstance

Part = dict[str, Any]  # a part of a pod, in the API's own shape

HOME = "/opt/airflow"
CONFIG_PATH = f"{HOME}/config"
LOGS_PATH = f"{HOME}/logs"

CONFIG = "airflow-config"
"""The ConfigMap of what Airflow's processes read from files."""
LOGS = "airflow-logs"
"""The claim on the volume of logs."""

# Source: the official image; the user must have an entry in /etc/passwd, and its files belong to the root group.
_USER = 50000
_GROUP = 0

RESTRICTED: Part = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""What the restricted Pod Security Standard asks of a container."""
READ_ONLY: Part = {**RESTRICTED, "readOnlyRootFilesystem": True}
"""For containers that write nowhere but to their volumes."""
SECCOMP: Part = {"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": True}
"""What the restricted Pod Security Standard asks of a pod."""
_SECURITY: Part = {
    **SECCOMP,
    "runAsUser": _USER,
    "runAsGroup": _GROUP,
    "fsGroup": _GROUP,
    "fsGroupChangePolicy": "OnRootMismatch",
}


def pod(
    instance: AirflowInstance,
    component: AirflowComponent,
    containers: Sequence[Part],
    *,
    account: str,
    token: bool = False,
    init: Sequence[Part] = (),
    volumes: Sequence[Part] = (),
    grace_s: int = 30,
    config: str = CONFIG,
    **more: object,
) -> Part:
    """A pod of the Airflow image. `token`: whether it speaks to the cluster's API; `config`: the ConfigMap of its files."""
    spec: Part = {
        "serviceAccountName": account,
        "automountServiceAccountToken": token,
        "enableServiceLinks": False,
        "securityContext": _SECURITY,
        "terminationGracePeriodSeconds": grace_s,
        **placement(instance, instance.nodes),
        **({"initContainers": list(init)} if init else {}),
        "containers": list(containers),
        "volumes": [*_volumes(instance, component, config), *volumes],
        **more,
    }
    return {"metadata": {"labels": instance.pod_labels(component)}, "spec": spec}


def container(
    instance: AirflowInstance,
    component: AirflowComponent,
    *,
    name: str,
    args: Sequence[str] = (),
    env: Sequence[Part],
    mounts: Sequence[Part] = (),
    **more: object,
) -> Part:
    """A container of the Airflow image; what it runs goes through the image's own entry point, which reaps processes."""
    return {
        "name": name,
        "image": instance.release.image,
        **({"args": list(args)} if args else {}),
        "env": list(env),
        "resources": requests(instance.resources(component)),
        "securityContext": READ_ONLY,
        "volumeMounts": [*_MOUNTS, *mounts],
        **more,
    }


def requests(resources: Resources) -> Part:
    """What a container asks for."""
    return {
        "requests": {"cpu": resources.cpu, "memory": resources.memory},
        "limits": {"memory": resources.memory_limit},
    }


def placement(instance: AirflowInstance, nodes: Nodes) -> Part:
    """Where a pod may run, how much it matters, and how its images are pulled."""
    found: Part = {}
    if nodes.selector:
        found["nodeSelector"] = dict(nodes.selector)
    if nodes.tolerations:
        found["tolerations"] = [_toleration(toleration) for toleration in nodes.tolerations]
    if instance.defaults.priority_class is not None:
        found["priorityClassName"] = instance.defaults.priority_class
    if instance.defaults.image_pull_secrets:
        found["imagePullSecrets"] = [{"name": name} for name in instance.defaults.image_pull_secrets]
    return found


def _toleration(toleration: Toleration) -> Part:
    value = {"operator": "Exists"} if toleration.value is None else {"operator": "Equal", "value": toleration.value}
    effect = {} if toleration.effect is None else {"effect": toleration.effect}
    return {"key": toleration.key, **value, **effect}


# The root file system is read-only: Airflow reads its configuration here, and writes nowhere else.
_MOUNTS: tuple[Part, ...] = (
    {"name": "config", "mountPath": CONFIG_PATH, "readOnly": True},
    {"name": "logs", "mountPath": LOGS_PATH},
    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
)
# Those who write logs of tasks, and who shows them.
_LOGGERS = (AirflowComponent.API_SERVER, AirflowComponent.TRIGGERER, AirflowComponent.WORKER)


def _volumes(instance: AirflowInstance, component: AirflowComponent, config: str) -> list[Part]:
    shared = isinstance(instance.defaults.logs, SharedLogs) and component in _LOGGERS
    logs: Part = {"persistentVolumeClaim": {"claimName": LOGS}} if shared else {"emptyDir": {}}
    return [
        {"name": "config", "configMap": {"name": config}},
        {"name": "logs", **logs},
        {"name": "tmp", "emptyDir": {}},
    ]
