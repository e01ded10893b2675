"""Defaults of services and what else is about the network."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from agentd.embedded.kube.objects import Object, dig

_STICKY_S = 10800


def _service(item: Object) -> None:
    spec = item.setdefault("spec", {})
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif dig(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds") is None:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _STICKY_S}}
    kind = spec.setdefault("type", "ClusterIP")
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _service_port(port: Object) -> None:
    port.setdefault("protocol", "TCP")
    if port.get("targetPort") in (None, 0, ""):
        port["targetPort"] = port.get("port")


def _protocol(port: Object) -> None:
    port.setdefault("protocol", "TCP")


def _endpoint_port(port: Object) -> None:
    port.setdefault("name", "")
    port.setdefault("protocol", "TCP")


def _network_policy(item: Object) -> None:
    spec = item.setdefault("spec", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _ingress_class(item: Object) -> None:
    parameters = dig(item, "spec", "parameters")
    if parameters is not None:
        parameters.setdefault("scope", "Cluster")


NETWORKING: Mapping[str, Callable[[Object], None]] = MappingProxyType(
    {
        "core.v1.Service": _service,
        "core.v1.ServicePort": _service_port,
        "core.v1.EndpointPort": _protocol,
        "discovery.v1.EndpointPort": _endpoint_port,
        "networking.v1.NetworkPolicy": _network_policy,
        "networking.v1.NetworkPolicyPort": _protocol,
        "networking.v1.IngressClass": _ingress_class,
    }
)
