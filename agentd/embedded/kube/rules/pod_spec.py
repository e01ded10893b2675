"""Rules that a pod's spec obeys, in a pod and in a template."""

from collections.abc import Collection, Iterator

from agentd.embedded.kube import quantities
from agentd.embedded.kube.objects import Json, Object, ObjectView, child
from agentd.embedded.kube.rules.common import check_enum, check_port, not_found_value
from agentd.embedded.kube.rules.names import label_faults
from agentd.embedded.kube.status import Cause, duplicate, forbidden_field, required, wrong

_RESTART = ("Always", "OnFailure", "Never")
_PULL = ("Always", "IfNotPresent", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_OVERCOMMIT = ("cpu", "memory", "ephemeral-storage")


def check_pod_spec(spec: ObjectView, path: str) -> Iterator[Cause]:
    """What is wrong with the spec at this path."""
    volumes = spec.get("volumes") or ()
    yield from _check_volumes(volumes, f"{path}.volumes")
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    names: set[str] = set()
    mountable = {volume.get("name") for volume in volumes}
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            place = f"{path}.{field}[{index}]"
            yield from _check_name(container.get("name"), names, f"{place}.name")
            yield from _check_container(container, mountable, place)
    yield from check_enum(spec.get("restartPolicy"), _RESTART, f"{path}.restartPolicy")
    yield from check_enum(spec.get("dnsPolicy"), _DNS, f"{path}.dnsPolicy")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and deadline < 1:
        yield wrong(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")


def check_unchanged(new: ObjectView, live: ObjectView) -> Iterator[Cause]:
    """A pod's spec stays as it was created, but for its images and a few more."""
    if _fixed(new["spec"]) != _fixed(live["spec"]):
        yield forbidden_field(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )


def _fixed(spec: ObjectView) -> Object:
    free = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates", "nodeSelector")
    left = {name: value for name, value in spec.items() if name not in free}
    for field in ("containers", "initContainers"):
        if field in left:
            left[field] = [{**container, "image": ""} for container in left[field] or ()]
    return left


def _check_volumes(volumes: Collection[Object], path: str) -> Iterator[Cause]:
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        place = f"{path}[{index}]"
        yield from _check_name(volume.get("name"), names, f"{place}.name")
        sources = [name for name in volume if name != "name"]
        for extra in sources[1:]:
            yield forbidden_field(f"{place}.{extra}", "may not specify more than 1 volume type")
        yield from _check_source(volume, place)


def _check_source(volume: ObjectView, place: str) -> Iterator[Cause]:
    wanted = {"secret": "secretName", "configMap": "name", "persistentVolumeClaim": "claimName", "hostPath": "path"}
    for source, name in wanted.items():
        if source in volume and not child(volume, source).get(name):
            yield required(f"{place}.{source}.{name}")


def _check_name(name: Json, taken: set[str], path: str) -> Iterator[Cause]:
    if not name:
        yield required(path)
        return
    for fault in label_faults(name):
        yield wrong(path, name, fault)
    if name in taken:
        yield duplicate(path, name)
    taken.add(name)


def _check_container(container: ObjectView, mountable: Collection[str], path: str) -> Iterator[Cause]:
    if not container.get("image"):
        yield required(f"{path}.image")
    elif container["image"] != container["image"].strip():
        yield wrong(f"{path}.image", container["image"], "must not have leading or trailing whitespace")
    yield from check_enum(container.get("imagePullPolicy"), _PULL, f"{path}.imagePullPolicy")
    for index, port in enumerate(container.get("ports") or ()):
        place = f"{path}.ports[{index}]"
        if not port.get("containerPort"):
            yield required(f"{place}.containerPort")
        else:
            yield from check_port(port["containerPort"], f"{place}.containerPort")
        yield from check_enum(port.get("protocol"), _PROTOCOLS, f"{place}.protocol")
    for index, variable in enumerate(container.get("env") or ()):
        yield from _check_variable(variable, f"{path}.env[{index}]")
    yield from _check_mounts(container.get("volumeMounts") or (), mountable, f"{path}.volumeMounts")
    yield from check_resources(child(container, "resources"), f"{path}.resources")


def _check_variable(variable: ObjectView, path: str) -> Iterator[Cause]:
    if not variable.get("name"):
        yield required(f"{path}.name")
    source = variable.get("valueFrom")
    if source is None:
        return
    if variable.get("value"):
        yield wrong(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    elif not source:
        yield wrong(
            f"{path}.valueFrom",
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        )


def _check_mounts(mounts: Collection[ObjectView], mountable: Collection[str], path: str) -> Iterator[Cause]:
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        place = f"{path}[{index}]"
        if not mount.get("name"):
            yield required(f"{place}.name")
        if mount.get("name") not in mountable:
            yield not_found_value(f"{place}.name", mount.get("name") or "")
        if not mount.get("mountPath"):
            yield required(f"{place}.mountPath")
        elif mount["mountPath"] in paths:
            yield wrong(f"{place}.mountPath", mount["mountPath"], "must be unique")
        paths.add(mount.get("mountPath") or "")


def check_resources(resources: ObjectView, path: str) -> Iterator[Cause]:
    """Nothing is negative, and no request is larger than its limit."""
    limits = child(resources, "limits")
    for field in ("limits", "requests"):
        for name, quantity in child(resources, field).items():
            if quantities.parse(quantity) < 0:
                yield wrong(f"{path}.{field}[{name}]", quantity, "must be greater than or equal to 0")
    for name, quantity in child(resources, "requests").items():
        limit = limits.get(name)
        if limit is not None and quantities.parse(quantity) > quantities.parse(limit):
            told = f"must be less than or equal to {name} limit of {limit}"
            yield wrong(f"{path}.requests", quantity, told)
        elif limit is None and name not in _OVERCOMMIT and "/" in name:
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
