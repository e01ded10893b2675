"""What a request's path and method ask for. Pure."""

from dataclasses import dataclass
from urllib.parse import unquote

from agentd.embedded.kube.kinds import Kind, Kinds
from agentd.embedded.kube.status import method_not_allowed, unknown_path

_OF_NAMESPACES = ("status", "finalize")
_WITH_NAME = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_WITHOUT_NAME = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_GROUP_DEPTH = 3
_NAMESPACED_DEPTH = 3
_LONGEST = 3


class PathUnknown(LookupError):
    """No group or version that is served has this path."""


@dataclass(frozen=True, slots=True)
class Target:
    """Objects, one object, or a subresource of one."""

    kind: Kind
    namespace: str | None
    """None for all namespaces, and for kinds without any."""
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """pods, or pods/log."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural


def find_target(kinds: Kinds, path: str) -> Target:
    """The objects that a path means. ApiError 404 when the group has no such resource, PathUnknown when there is no group."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api":
        group, version, rest = "", *_pair(parts[1:])
    elif parts[0] == "apis" and len(parts) > _GROUP_DEPTH:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise PathUnknown(path)
    if not kinds.has(group, version):
        raise PathUnknown(path)
    namespace = None
    if rest[0] == "namespaces" and len(rest) >= _NAMESPACED_DEPTH and rest[2] not in _OF_NAMESPACES:
        namespace, rest = rest[1], rest[2:]
    kind = kinds.at(group, version, rest[0])
    if kind is None or len(rest) > _LONGEST or (kind.namespaced and namespace is None and len(rest) > 1):
        raise unknown_path()
    if not kind.namespaced and namespace is not None:
        raise unknown_path()
    name, subresource = [*rest[1:], "", ""][:2]
    return Target(kind, namespace, name, subresource)


def verb_of(target: Target, method: str, *, watching: bool) -> str:
    """The verb, as authorization knows it. ApiError 405."""
    verb = (_WITH_NAME if target.name else _WITHOUT_NAME).get(method)
    if verb in ("get", "list") and watching:
        verb = "watch"
    if verb is None or (not target.subresource and verb not in target.kind.verbs):
        raise method_not_allowed()
    return verb


def _pair(parts: list[str]) -> tuple[str, list[str]]:
    if len(parts) < 2:  # noqa: PLR2004 - a version and a resource
        raise PathUnknown("/".join(parts))
    return parts[0], parts[1:]
