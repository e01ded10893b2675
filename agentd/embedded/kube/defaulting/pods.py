"""Defaults of pods, and of pod templates.

Source: the API's reference of Pod; what only a pod gets, and no template, is in `_pod`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from agentd.embedded.kube.objects import Object

_MODE = 0o644
_TOKEN_S = 3600


def pull_policy(image: str) -> str:
    """Always for the newest, whatever it is; IfNotPresent for what has a tag or a digest."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2] or "latest"
    return "Always" if tag == "latest" else "IfNotPresent"


def _pod(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.setdefault("resources", {})
        for name, quantity in (resources.get("limits") or {}).items():
            resources.setdefault("requests", {}).setdefault(name, quantity)
    spec.setdefault("enableServiceLinks", True)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1
    if spec.get("hostNetwork"):
        for container in spec.get("containers") or ():
            for port in container.get("ports") or ():
                port.setdefault("hostPort", port.get("containerPort"))


def _pod_spec(spec: Object) -> None:
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:  # the deprecated name stands beside the one it was renamed to
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def _container(container: Object) -> None:
    container.setdefault("imagePullPolicy", pull_policy(container.get("image", "")))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")


def _container_port(port: Object) -> None:
    port.setdefault("protocol", "TCP")


def _probe(probe: Object) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        probe[name] = probe.get(name) or value


def _http_get(action: Object) -> None:
    action.setdefault("path", "/")
    action.setdefault("scheme", "HTTP")


def _volume(volume: Object) -> None:
    if not any(name != "name" for name in volume):
        volume["emptyDir"] = {}
    image = volume.get("image")
    if image is not None:
        image.setdefault("pullPolicy", pull_policy(image.get("reference", "")))


def _mode(source: Object) -> None:
    source.setdefault("defaultMode", _MODE)


def _token(source: Object) -> None:
    source.setdefault("expirationSeconds", _TOKEN_S)


def _host_path(source: Object) -> None:
    source.setdefault("type", "")


def _field(selector: Object) -> None:
    selector.setdefault("apiVersion", "v1")


PODS: Mapping[str, Callable[[Object], None]] = MappingProxyType(
    {
        "core.v1.Pod": _pod,
        "core.v1.PodSpec": _pod_spec,
        "core.v1.Container": _container,
        "core.v1.EphemeralContainer": _container,
        "core.v1.ContainerPort": _container_port,
        "core.v1.Probe": _probe,
        "core.v1.HTTPGetAction": _http_get,
        "core.v1.Volume": _volume,
        "core.v1.SecretVolumeSource": _mode,
        "core.v1.ConfigMapVolumeSource": _mode,
        "core.v1.DownwardAPIVolumeSource": _mode,
        "core.v1.ProjectedVolumeSource": _mode,
        "core.v1.ServiceAccountTokenProjection": _token,
        "core.v1.HostPathVolumeSource": _host_path,
        "core.v1.ObjectFieldSelector": _field,
    }
)
