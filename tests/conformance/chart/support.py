"""The chart, sets of values for it, and what it renders."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

Json = Any  # a JSON value, or an object of Kubernetes

DEPLOY = Path(__file__).parents[3] / "deploy"
CHART = DEPLOY / "helm" / "agentd"
RELEASE = "agentd"
NAMESPACE = "conveyor-system"
IMAGE = {"repository": "registry.example/conveyor/agentd"}
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}


def example(name: str) -> Json:
    """The settings in `deploy/settings/`."""
    return yaml.safe_load((DEPLOY / "settings" / f"{name}.yaml").read_text())


def without(settings: Mapping[str, Json], *names: str) -> Json:
    return {name: value for name, value in settings.items() if name not in names}


SETS: Mapping[str, Json] = {
    "aws": {"image": IMAGE, "settings": example("aws")},
    "one replica": {
        "image": {**IMAGE, "digest": f"sha256:{'ab' * 32}", "pullSecrets": ["registry"]},
        "replicas": 1,
        "settings": {**without(example("aws"), "ledger", "audit"), "drain": {"grace_s": 100, "hard_exit_s": 120.5}},
        "identity": {"kind": "pod_identity"},
        "storage": {"storageClass": "gp3", "size": "20Gi"},
        "networkPolicy": {"enabled": True},
    },
    "given claim": {
        "image": IMAGE,
        "replicas": 1,
        "settings": without(example("aws"), "ledger", "audit"),
        "storage": {"existingClaim": "ledger"},
        "serviceAccount": {"create": False, "name": "somebody"},
        "rbac": {"create": False},
    },
    "azure": {
        "image": IMAGE,
        "settings": example("azure"),
        "identity": {"kind": "azure", "clientId": "00000000-0000-0000-0000-000000000000"},
        "mounts": [{"name": "audit", "path": "/var/lib/agentd-audit", "claim": "audit"}],
    },
    "everything": {
        "nameOverride": "plane",
        "replicas": 3,
        "image": {**IMAGE, "tag": "1.2.3"},
        "settings": {**example("aws"), "policy": {"file": "/etc/policy/policy.yaml"}, "ledger": {"kind": "dynamodb"}},
        "identity": {"kind": "irsa", "roleArn": "arn:aws:iam::111122223333:role/conveyor/agentd"},
        "serviceAccount": {"annotations": {"example.com/owner": "platform"}},
        "mounts": [
            {"name": "policy", "path": "/etc/policy", "configMap": "policy"},
            {"name": "keys", "path": "/etc/keys", "secret": "keys"},
        ],
        "env": {"HTTPS_PROXY": "http://proxy.example:3128"},
        "proxy": {"enabled": True, "tlsSecret": "agentd-proxy-tls"},
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [PEER],
            "proxyFrom": [PEER],
            "egress": [{"to": [PEER], "ports": [{"port": 4318}]}],
        },
        "resources": {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}},
        "scheduling": {
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "system", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "system-cluster-critical",
        },
        "podLabels": {"team": "platform"},
        "podAnnotations": {"example.com/logs": "json"},
    },
    "registries alone": {"image": IMAGE, "settings": {**example("aws"), "cluster": {"access": "none"}}},
}
"""Values by what they show."""

MONITORING = {
    "metrics": {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True, "labels": {"a": "b"}}}
}


def rendered(values: Mapping[str, Json]) -> list[Json]:
    """Every object."""
    with Chart.load(CHART) as chart:
        texts = chart.render(dict(values), name=RELEASE, namespace=NAMESPACE)
    return [found for path, text in sorted(texts.items()) if path.endswith(".yaml") for found in _documents(text)]


def notes(values: Mapping[str, Json]) -> str:
    """What is told after an installation."""
    with Chart.load(CHART) as chart:
        return chart.render(dict(values), name=RELEASE, namespace=NAMESPACE)[f"{RELEASE}/templates/NOTES.txt"]


def one(objects: list[Json], kind: str, name: str | None = None) -> Json:
    """The only one of its kind, or of its name."""
    (found,) = [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    return found


def container(objects: list[Json]) -> Json:
    """The agent's."""
    (found,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def _documents(text: str) -> Iterator[Json]:
    return (document for document in yaml.safe_load_all(text) if document is not None)
