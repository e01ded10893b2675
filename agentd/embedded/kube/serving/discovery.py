"""Discovery: which groups, versions and resources there are."""

from agentd.embedded.kube.kinds import Kind, Kinds
from agentd.embedded.kube.objects import Object
from agentd.embedded.kube.schema.definitions import VERSION
from agentd.embedded.kube.status import unknown_path

_SUBRESOURCE_VERBS = ["get", "patch", "update"]
_MORE_SUBRESOURCES = {
    ("", "pods"): (
        ("binding", "Binding", "", "v1", ["create"]),
        ("eviction", "Eviction", "policy", "v1", ["create"]),
        ("log", "Pod", "", "v1", ["get"]),
    ),
    ("", "namespaces"): (("finalize", "Namespace", "", "v1", ["update"]),),
    ("", "serviceaccounts"): (("token", "TokenRequest", "authentication.k8s.io", "v1", ["create"]),),
}


def version() -> Object:
    """/version."""
    major, minor, _ = VERSION.split(".")
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": f"v{VERSION}",
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.26",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def core_versions() -> Object:
    """/api."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list(kinds: Kinds) -> Object:
    """/apis."""
    groups = [_group(name, versions) for name, versions in kinds.groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(kinds: Kinds, name: str) -> Object:
    """/apis/GROUP. ApiError 404."""
    versions = kinds.groups().get(name)
    if not name or versions is None:
        raise unknown_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resource_list(kinds: Kinds, group_name: str, version_name: str) -> Object:
    """/api/v1 and /apis/GROUP/VERSION. ApiError 404."""
    found = [kind for kind in kinds if (kind.group, kind.version) == (group_name, version_name)]
    if not found:
        raise unknown_path()
    resources = [entry for kind in found for entry in (_resource(kind), *_subresources(kind))]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": resources,
    }


def _group(name: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{one}", "version": one} for one in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resource(kind: Kind) -> Object:
    told: Object = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        told["shortNames"] = list(kind.short_names)
    if kind.categories:
        told["categories"] = list(kind.categories)
    return told


def _subresources(kind: Kind) -> list[Object]:
    found = []
    if kind.scale:
        found.append(_subresource(kind, "scale", "Scale", _SUBRESOURCE_VERBS, ("autoscaling", "v1")))
    if kind.status:
        found.append(_subresource(kind, "status", kind.kind, _SUBRESOURCE_VERBS))
    for name, shown, other_group, other_version, verbs in _MORE_SUBRESOURCES.get(kind.resource, ()):
        other = (other_group, other_version) if other_group else None
        found.append(_subresource(kind, name, shown, verbs, other))
    return found


def _subresource(kind: Kind, name: str, shown: str, verbs: list[str], other: tuple[str, str] | None = None) -> Object:
    told = {
        "name": f"{kind.plural}/{name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": shown,
        "verbs": verbs,
    }
    return {**told, "group": other[0], "version": other[1]} if other else told
