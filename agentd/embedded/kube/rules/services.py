"""Rules of services: their addresses and ports."""

from collections.abc import Iterator
from ipaddress import ip_address

from agentd.embedded.kube.objects import Object, child
from agentd.embedded.kube.rules.common import check_enum, check_port
from agentd.embedded.kube.rules.rules import Rules
from agentd.embedded.kube.status import Cause, duplicate, required, wrong
from agentd.embedded.kube.world import World

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_FIRST_ADDRESS = int(ip_address("10.96.0.0"))
_FIRST_NODE_PORT = 30000
_NODE_PORTS = 2768
_ADDRESS_FIELDS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort")


def _prepare_create(world: World, service: Object) -> None:
    spec = service["spec"]
    service["status"] = {"loadBalancer": {}}
    if spec["type"] == "ExternalName":
        return
    spec["clusterIP"] = spec.get("clusterIP") or str(ip_address(_FIRST_ADDRESS + world.next_number("addresses")))
    _set_families(spec)
    _set_node_ports(world, spec)


def _prepare_update(world: World, new: Object, live: Object) -> None:
    """Addresses stay as long as the service has any."""
    spec, before = new["spec"], live["spec"]
    if spec["type"] == "ExternalName":
        return
    for name in _ADDRESS_FIELDS:
        if name in before and not spec.get(name):
            spec[name] = before[name]
    if not spec.get("clusterIP"):
        _prepare_create(world, new)
    taken = {(port["port"], port.get("protocol")): port.get("nodePort") for port in before.get("ports") or ()}
    for port in spec.get("ports") or ():
        known = taken.get((port["port"], port.get("protocol")))
        if known and spec["type"] in ("NodePort", "LoadBalancer"):
            port.setdefault("nodePort", known)
    _set_node_ports(world, spec)


def _set_families(spec: Object) -> None:
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _set_node_ports(world: World, spec: Object) -> None:
    if spec["type"] not in ("NodePort", "LoadBalancer"):
        return
    for port in spec.get("ports") or ():
        if not port.get("nodePort"):
            port["nodePort"] = _FIRST_NODE_PORT + world.next_number("node ports") % _NODE_PORTS


def _validate(service: Object) -> Iterator[Cause]:
    spec = child(service, "spec")
    yield from check_enum(spec.get("type"), _TYPES, "spec.type")
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    if spec.get("type") == "ExternalName" and not spec.get("externalName"):
        yield required("spec.externalName")
    yield from _check_ports(ports)


def _check_ports(ports: list[Object]) -> Iterator[Cause]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name")
        if len(ports) > 1 and not name:
            yield required(f"{path}.name")
        elif name and name in names:
            yield duplicate(f"{path}.name", name)
        names.add(name or "")
        yield from check_port(port.get("port") or 0, f"{path}.port")
        if isinstance(port.get("targetPort"), int):
            yield from check_port(port["targetPort"], f"{path}.targetPort")
        yield from check_enum(port.get("protocol"), _PROTOCOLS, f"{path}.protocol")


def _check_kept(new: Object, live: Object) -> Iterator[Cause]:
    before, after = child(live, "spec").get("clusterIPs") or [], child(new, "spec").get("clusterIP")
    if before and after not in (None, before[0]) and child(new, "spec").get("type") != "ExternalName":
        yield wrong("spec.clusterIPs[0]", [after], "may not change once set")


SERVICE_RULES = Rules(
    prepare_create=_prepare_create, prepare_update=_prepare_update, validate=_validate, validate_update=_check_kept
)
