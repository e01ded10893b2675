"""The Pod Security Standards: what a pod may not do at each level. Pure.

Source: the Pod Security Standards of the Kubernetes documentation, in their latest version.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from agentd.embedded.kube.objects import Json, ObjectView, child, dig

Violation = tuple[str, str]
"""What it is called, and where it is."""

_DEFAULT_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_SAFE_VOLUMES = frozenset(
    (
        "name",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
_SAFE_PROFILES = ("RuntimeDefault", "Localhost")


def violations(spec: ObjectView, level: str) -> list[Violation]:
    """What breaks the level; nothing breaks `privileged`."""
    checks = _LEVELS.get(level, ())
    return [found for check in checks for found in check(spec)]


def shown(found: Sequence[Violation]) -> str:
    """As admission words it."""
    return ", ".join(f"{name} ({where})" if where else name for name, where in found)


def containers_of(spec: ObjectView) -> list[ObjectView]:
    """All containers, in the order in which they start."""
    return [
        *(spec.get("initContainers") or ()),
        *(spec.get("containers") or ()),
        *(spec.get("ephemeralContainers") or ()),
    ]


def _named(containers: Sequence[ObjectView]) -> str:
    return f"{_plural('container', containers)} {_quoted([one['name'] for one in containers])}"


def _plural(word: str, things: Sequence[object]) -> str:
    return word if len(things) == 1 else f"{word}s"


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _setting(container: ObjectView, *path: str) -> Json:
    return dig(container, "securityContext", *path)


def _capabilities_baseline(spec: ObjectView) -> Iterator[Violation]:
    bad, extra = [], set()
    for container in containers_of(spec):
        added = set(_setting(container, "capabilities", "add") or ()) - _DEFAULT_CAPABILITIES
        if added:
            bad.append(container)
            extra |= added
    if bad:
        where = f"{_named(bad)} must not include {_quoted(sorted(extra))} in securityContext.capabilities.add"
        yield "non-default capabilities", where


def _host_namespaces(spec: ObjectView) -> Iterator[Violation]:
    shared = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if shared:
        yield "host namespaces", ", ".join(shared)


def _host_paths(spec: ObjectView) -> Iterator[Violation]:
    names = [volume["name"] for volume in spec.get("volumes") or () if "hostPath" in volume]
    if names:
        yield "hostPath volumes", f"{_plural('volume', names)} {_quoted(names)}"


def _host_ports(spec: ObjectView) -> Iterator[Violation]:
    bad, ports = [], set()
    for container in containers_of(spec):
        taken = {str(port["hostPort"]) for port in container.get("ports") or () if port.get("hostPort")}
        if taken:
            bad.append(container)
            ports |= taken
    if bad:
        verb = "uses" if len(bad) == 1 else "use"
        yield "hostPort", f"{_named(bad)} {verb} {_plural('hostPort', list(ports))} {', '.join(sorted(ports))}"


def _privileged(spec: ObjectView) -> Iterator[Violation]:
    bad = [container for container in containers_of(spec) if _setting(container, "privileged")]
    if bad:
        yield "privileged", f"{_named(bad)} must not set securityContext.privileged=true"


def _seccomp_baseline(spec: ObjectView) -> Iterator[Violation]:
    bad = [one for one in containers_of(spec) if _setting(one, "seccompProfile", "type") == "Unconfined"]
    setters = ["pod"] if dig(spec, "securityContext", "seccompProfile", "type") == "Unconfined" else []
    setters += [_named(bad)] if bad else []
    if setters:
        where = f'{" and ".join(setters)} must not set securityContext.seccompProfile.type to "Unconfined"'
        yield "seccompProfile", where


def _sysctls(spec: ObjectView) -> Iterator[Violation]:
    names = [one["name"] for one in dig(spec, "securityContext", "sysctls") or () if one["name"] not in _SAFE_SYSCTLS]
    if names:
        yield "forbidden sysctls", ", ".join(names)


def _escalation(spec: ObjectView) -> Iterator[Violation]:
    bad = [one for one in containers_of(spec) if _setting(one, "allowPrivilegeEscalation") is not False]
    if bad:
        where = f"{_named(bad)} must set securityContext.allowPrivilegeEscalation=false"
        yield "allowPrivilegeEscalation != false", where


def _capabilities_restricted(spec: ObjectView) -> Iterator[Violation]:
    containers = containers_of(spec)
    keeping = [one for one in containers if "ALL" not in (_setting(one, "capabilities", "drop") or ())]
    adding = [one for one in containers if _extra_capabilities(one)]
    told = []
    if keeping:
        told.append(f'{_named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        extra = sorted({name for one in adding for name in _extra_capabilities(one)})
        told.append(f"{_named(adding)} must not include {_quoted(extra)} in securityContext.capabilities.add")
    if told:
        yield "unrestricted capabilities", "; ".join(told)


def _extra_capabilities(container: ObjectView) -> set[str]:
    return set(_setting(container, "capabilities", "add") or ()) - {"NET_BIND_SERVICE"}


def _restricted_volumes(spec: ObjectView) -> Iterator[Violation]:
    bad = [volume for volume in spec.get("volumes") or () if set(volume) - _SAFE_VOLUMES]
    if bad:
        kinds = sorted({kind for volume in bad for kind in set(volume) - _SAFE_VOLUMES})
        verb = "uses" if len(bad) == 1 else "use"
        where = (
            f"{_plural('volume', bad)} {_quoted([volume['name'] for volume in bad])} {verb} "
            f"{_plural('restricted volume type', kinds)} {_quoted(kinds)}"
        )
        yield "restricted volume types", where


def _non_root(spec: ObjectView) -> Iterator[Violation]:
    of_pod = dig(spec, "securityContext", "runAsNonRoot")
    containers = containers_of(spec)
    explicit = [one for one in containers if _setting(one, "runAsNonRoot") is False]
    setters = [*(["pod"] if of_pod is False else []), *([_named(explicit)] if explicit else [])]
    unsaid = [one for one in containers if _setting(one, "runAsNonRoot") is None and not of_pod]
    if setters:
        yield "runAsNonRoot != true", f"{' and '.join(setters)} must not set securityContext.runAsNonRoot=false"
    elif unsaid:
        yield "runAsNonRoot != true", f"pod or {_named(unsaid)} must set securityContext.runAsNonRoot=true"


def _root_user(spec: ObjectView) -> Iterator[Violation]:
    bad = [one for one in containers_of(spec) if _setting(one, "runAsUser") == 0]
    setters = ["pod"] if dig(spec, "securityContext", "runAsUser") == 0 else []
    setters += [_named(bad)] if bad else []
    if setters:
        yield "runAsUser=0", f"{' and '.join(setters)} must not set runAsUser=0"


def _seccomp_restricted(spec: ObjectView) -> Iterator[Violation]:
    of_pod = dig(spec, "securityContext", "seccompProfile", "type")
    containers = containers_of(spec)
    kinds = [_setting(one, "seccompProfile", "type") for one in containers]
    explicit = [one for one, kind in zip(containers, kinds, strict=True) if kind and kind not in _SAFE_PROFILES]
    bad_pod = of_pod is not None and of_pod not in _SAFE_PROFILES
    setters = [*(["pod"] if bad_pod else []), *([_named(explicit)] if explicit else [])]
    unsaid = [one for one, kind in zip(containers, kinds, strict=True) if kind is None and of_pod is None]
    if setters:
        told = sorted({kind for kind in (*kinds, of_pod) if kind and kind not in _SAFE_PROFILES})
        where = f"{' and '.join(setters)} must not set securityContext.seccompProfile.type to {_quoted(told)}"
        yield "seccompProfile", where
    elif unsaid:
        wanted = '"RuntimeDefault" or "Localhost"'
        yield "seccompProfile", f"pod or {_named(unsaid)} must set securityContext.seccompProfile.type to {wanted}"


_Check = Callable[[ObjectView], Iterator[Violation]]
_LEVELS: Mapping[str, Sequence[_Check]] = MappingProxyType(
    {
        "baseline": (
            _capabilities_baseline,
            _host_namespaces,
            _host_paths,
            _host_ports,
            _privileged,
            _seccomp_baseline,
            _sysctls,
        ),
        "restricted": (
            _host_namespaces,
            _host_ports,
            _privileged,
            _sysctls,
            _escalation,
            _capabilities_restricted,
            _restricted_volumes,
            _non_root,
            _root_user,
            _seccomp_restricted,
        ),
    }
)


def template_spec(item: ObjectView) -> ObjectView | None:
    """The pod spec within an object that makes pods."""
    spec = child(item, "spec")
    for path in (("template", "spec"), ("jobTemplate", "spec", "template", "spec")):
        found = dig(spec, *path)
        if found:
            return found if isinstance(found, dict) else None
    return None
