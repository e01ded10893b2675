"""The kinds that a CustomResourceDefinition makes."""

from agentd.embedded.kube.custom.types import custom_type
from agentd.embedded.kube.kinds import VERBS, Kind
from agentd.embedded.kube.objects import Object, ObjectView, child


def kinds_of(definition: Object) -> list[Kind]:
    """One kind for each version that is served; the one that is stored comes first."""
    versions = [version for version in definition["spec"]["versions"] if version.get("served")]
    versions.sort(key=lambda version: not version.get("storage"))
    return [_kind(definition["spec"], version) for version in versions]


def _kind(spec: ObjectView, version: ObjectView) -> Kind:
    names, subresources = spec["names"], child(version, "subresources")
    return Kind(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        short_names=tuple(names.get("shortNames") or ()),
        namespaced=spec["scope"] == "Namespaced",
        status="status" in subresources,
        scale="scale" in subresources,
        categories=tuple(names.get("categories") or ()),
        verbs=VERBS,
        counts_generations=True,
        unconditional_update=False,
        custom=True,
        list_kind=names.get("listKind", ""),
        singular=names.get("singular", ""),
        selectable=tuple(one["jsonPath"].lstrip(".") for one in version.get("selectableFields") or ()),
        scale_paths=(
            child(subresources, "scale").get("specReplicasPath", ""),
            child(subresources, "scale").get("statusReplicasPath", ""),
            child(subresources, "scale").get("labelSelectorPath", ""),
        ),
        type_=custom_type(child(version, "schema", "openAPIV3Schema")),
    )
