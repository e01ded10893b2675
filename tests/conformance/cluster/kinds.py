"""One manifest of every kind that an environment may be made of, with lists, maps and quantities as users write them."""

from typing import Any

from agentd.platform import Manifest

_POD: dict[str, Any] = {
    "serviceAccountName": "default",
    "restartPolicy": "Never",
    "containers": [
        {
            "name": "main",
            "image": "example/job:1",
            "command": ["run"],
            "env": [
                {"name": "PLAIN", "value": "1"},
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ],
            "ports": [{"name": "http", "containerPort": 8080}],
            "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"memory": "1Gi"}},
            "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}},
            "volumeMounts": [{"name": "tmp", "mountPath": "/scratch"}],
        }
    ],
    "volumes": [
        {"name": "tmp", "emptyDir": {}},
        {"name": "conf", "configMap": {"name": "c"}},
        {"name": "all", "projected": {"sources": [{"secret": {"name": "s"}}]}},
    ],
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
}
_LABELS = {"app": "x"}
_TEMPLATE = {"metadata": {"labels": _LABELS}, "spec": {**_POD, "restartPolicy": "Always"}}
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
_RULES = [{"apiGroups": ["", "apps"], "resources": ["pods"], "verbs": ["get", "list"]}]

_NAMESPACED: dict[str, tuple[str, dict[str, Any]]] = {
    "ConfigMap": ("v1", {"data": {"a": "1"}, "binaryData": {"b": "AAE="}, "immutable": False}),
    "Secret": ("v1", {"type": "Opaque", "data": {"password": "c2VjcmV0"}}),
    "ServiceAccount": ("v1", {"automountServiceAccountToken": False}),
    "Service": ("v1", {"spec": {"selector": _LABELS, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}}),
    "PersistentVolumeClaim": ("v1", {"spec": _CLAIM}),
    "ResourceQuota": ("v1", {"spec": {"hard": {"requests.cpu": "4000m", "pods": "100"}}}),
    "LimitRange": ("v1", {"spec": {"limits": [{"type": "Container", "default": {"cpu": "0.5"}}]}}),
    "Pod": ("v1", {"spec": _POD}),
    "Deployment": ("apps/v1", {"spec": {"selector": {"matchLabels": _LABELS}, "template": _TEMPLATE, "replicas": 0}}),
    "StatefulSet": (
        "apps/v1",
        {
            "spec": {
                "selector": {"matchLabels": _LABELS},
                "serviceName": "x",
                "replicas": 0,
                "template": _TEMPLATE,
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": _CLAIM}],
            }
        },
    ),
    "DaemonSet": ("apps/v1", {"spec": {"selector": {"matchLabels": _LABELS}, "template": _TEMPLATE}}),
    "Job": ("batch/v1", {"spec": {"backoffLimit": 0, "suspend": True, "template": {"spec": _POD}}}),
    "CronJob": (
        "batch/v1",
        {
            "spec": {
                "schedule": "0 3 * * *",
                "suspend": True,
                "jobTemplate": {"spec": {"template": {"spec": _POD}}},
            }
        },
    ),
    "Role": ("rbac.authorization.k8s.io/v1", {"rules": _RULES}),
    "RoleBinding": (
        "rbac.authorization.k8s.io/v1",
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"},
            "subjects": [{"kind": "ServiceAccount", "name": "default"}],
        },
    ),
    "NetworkPolicy": (
        "networking.k8s.io/v1",
        {
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 53, "protocol": "UDP"}]}],
            }
        },
    ),
    "PodDisruptionBudget": ("policy/v1", {"spec": {"minAvailable": 1, "selector": {"matchLabels": _LABELS}}}),
    "Lease": ("coordination.k8s.io/v1", {"spec": {"leaseDurationSeconds": 30}}),
}
NAMES = (*_NAMESPACED, "Namespace", "ClusterRole")


def manifest_of(kind: str, namespace: str) -> Manifest:
    """A manifest of a kind; of no namespace, it is named after the one that is given."""
    if kind in _NAMESPACED:
        api_version, content = _NAMESPACED[kind]
        return {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {"name": "x", "namespace": namespace, "annotations": {"example.com/note": "a"}},
            **content,
        }
    metadata = {"name": f"{namespace}-x"}
    if kind == "Namespace":
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": _RULES}
