"""Defaults of what makes pods: deployments, stateful sets, daemon sets, jobs and their like."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from agentd.embedded.kube.objects import Object, child, dig, metadata

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_MOST_RETRIES = 2**31 - 1


def _deployment(item: Object) -> None:
    spec = _spec(item)
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def _replica_set(item: Object) -> None:
    _spec(item).setdefault("replicas", 1)


def _daemon_set(item: Object) -> None:
    spec = _spec(item)
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    annotations = metadata(item).setdefault("annotations", {})
    annotations.setdefault(TEMPLATE_GENERATION, "1")


def _stateful_set(item: Object) -> None:
    spec = _spec(item)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if "type" not in strategy:
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)


def _stateful_set_spec(spec: Object) -> None:
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")


def _job(item: Object) -> None:
    labels = dig(item, "spec", "template", "metadata", "labels")
    if labels and not child(item, "metadata", "labels"):
        metadata(item)["labels"] = dict(labels)


def _job_spec(spec: Object) -> None:
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", _MOST_RETRIES if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    spec.setdefault("manualSelector", False)


def _whole_job(item: Object) -> None:
    _job(item)
    _job_spec(_spec(item))


def _cron_job(item: Object) -> None:
    spec = _spec(item)
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)


def _spec(item: Object) -> Object:
    spec: Object = item.setdefault("spec", {})
    return spec


WORKLOADS: Mapping[str, Callable[[Object], None]] = MappingProxyType(
    {
        "apps.v1.Deployment": _deployment,
        "apps.v1.ReplicaSet": _replica_set,
        "apps.v1.DaemonSet": _daemon_set,
        "apps.v1.StatefulSet": _stateful_set,
        "apps.v1.StatefulSetSpec": _stateful_set_spec,
        "batch.v1.Job": _whole_job,
        "batch.v1.CronJob": _cron_job,
    }
)
