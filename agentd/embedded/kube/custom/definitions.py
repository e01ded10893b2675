"""Rules of CustomResourceDefinitions themselves."""

from collections.abc import Iterator, Mapping

from agentd.embedded.kube.objects import Json, Object, child, name_of
from agentd.embedded.kube.rules.common import check_enum, check_immutable
from agentd.embedded.kube.rules.rules import Rules
from agentd.embedded.kube.status import Cause, required, wrong
from agentd.embedded.kube.world import World

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_STRUCTURAL = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string")


def _prepare_create(_world: World, definition: Object) -> None:
    stored = [version["name"] for version in definition["spec"]["versions"] or () if version.get("storage")]
    definition["status"] = {"storedVersions": stored, "conditions": None}


def _check(definition: Object) -> Iterator[Cause]:
    spec = child(definition, "spec")
    names, versions = child(spec, "names"), spec.get("versions") or ()
    for field in ("group", "scope"):
        if not spec.get(field):
            yield required(f"spec.{field}")
    yield from check_enum(spec.get("scope") or None, ("Cluster", "Namespaced"), "spec.scope")
    for field in ("plural", "kind"):
        if not names.get(field):
            yield required(f"spec.names.{field}")
    expected = f"{names.get('plural')}.{spec.get('group')}"
    if name_of(definition) != expected:
        yield wrong("metadata.name", name_of(definition), 'must be spec.names.plural+"."+spec.group')
    if sum(1 for version in versions if version.get("storage")) != 1:
        yield wrong("spec.versions", versions or [], "must have exactly one version marked as storage version")
    for index, version in enumerate(versions):
        schema = child(version, "schema", "openAPIV3Schema")
        path = f"spec.versions[{index}].schema.openAPIV3Schema"
        if not schema:
            yield required(path, "schemas are required")
        else:
            yield from _check_structural(schema, path)


def _check_structural(schema: Mapping[str, Json], path: str) -> Iterator[Cause]:
    """Every value has a type, unless it says that anything goes."""
    if not schema.get("type") and not any(schema.get(name) for name in _STRUCTURAL):
        yield required(f"{path}.type", "must not be empty for specified object fields")
    for name, below in (schema.get("properties") or {}).items():
        yield from _check_structural(below, f"{path}.properties[{name}]")
    if isinstance(schema.get("items"), Mapping):
        yield from _check_structural(schema["items"], f"{path}.items")
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from _check_structural(schema["additionalProperties"], f"{path}.additionalProperties")


def _check_kept(new: Object, live: Object) -> Iterator[Cause]:
    for name in ("group", "scope"):
        yield from check_immutable(new, live, "spec", name)
    for name in ("kind", "plural"):
        yield from check_immutable(new, live, "spec", "names", name)


DEFINITION_RULES = Rules(prepare_create=_prepare_create, validate=_check, validate_update=_check_kept)
