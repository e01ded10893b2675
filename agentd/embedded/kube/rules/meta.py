"""Rules that the metadata of every object obeys."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from agentd.embedded.kube.kinds import Kind
from agentd.embedded.kube.objects import Object, child, dig
from agentd.embedded.kube.rules.names import (
    label_faults,
    label_value_faults,
    path_faults,
    qualified_name_faults,
    subdomain_faults,
)
from agentd.embedded.kube.status import Cause, forbidden_field, required, wrong

_EXTENSIONS = "apiextensions.k8s.io"  # its own finalizer is older than the rule
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_ANNOTATION_BYTES = 256 * 1024
_NAMES: Mapping[tuple[str, str], Callable[[str], list[str]]] = MappingProxyType(
    {
        ("", "namespaces"): label_faults,
        ("", "services"): label_faults,
        ("rbac.authorization.k8s.io", "roles"): path_faults,
        ("rbac.authorization.k8s.io", "rolebindings"): path_faults,
        ("rbac.authorization.k8s.io", "clusterroles"): path_faults,
        ("rbac.authorization.k8s.io", "clusterrolebindings"): path_faults,
    }
)


def check_new_metadata(kind: Kind, item: Object) -> Iterator[Cause]:
    """What is wrong with the metadata of an object that is to be stored."""
    meta = item["metadata"]
    name = meta.get("name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        for fault in _NAMES.get(kind.resource, subdomain_faults)(name):
            yield wrong("metadata.name", name, fault)
    yield from check_labels(meta.get("labels") or {}, "metadata.labels")
    yield from _check_annotations(meta.get("annotations") or {})
    yield from _check_owners(meta.get("ownerReferences") or [])
    for index, finalizer in enumerate(meta.get("finalizers") or ()):
        for fault in qualified_name_faults(finalizer):
            yield wrong("metadata.finalizers", finalizer, fault)
        if kind.group != _EXTENSIONS and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            fault = "name is neither a standard finalizer name nor is it fully qualified"
            yield wrong(f"metadata.finalizers[{index}]", finalizer, fault)


def check_labels(labels: Mapping[str, str], path: str) -> Iterator[Cause]:
    """What is wrong with labels, here or in a template."""
    for key, value in labels.items():
        for fault in qualified_name_faults(key):
            yield wrong(path, key, fault)
        for fault in label_value_faults(value):
            yield wrong(path, value, fault)


def check_changed_metadata(new: Object, live: Object) -> Iterator[Cause]:
    """What an update may not do to metadata."""
    for name in ("name", "namespace", "uid", "creationTimestamp"):
        there, asked = dig(live, "metadata", name), dig(new, "metadata", name)
        if asked != there:
            yield wrong(f"metadata.{name}", asked, "field is immutable")
    if dig(live, "metadata", "deletionTimestamp") is not None:
        before = child(live, "metadata", "finalizers") or []
        extra = [name for name in child(new, "metadata", "finalizers") or [] if name not in before]
        if extra:
            listed = ", ".join(f'"{name}"' for name in extra)
            yield forbidden_field(
                "metadata.finalizers",
                f"no new finalizers can be added if the object is being deleted, found new finalizers "
                f"[]string{{{listed}}}",
            )


def _check_annotations(annotations: Mapping[str, str]) -> Iterator[Cause]:
    for key in annotations:
        for fault in qualified_name_faults(key.lower()):
            yield wrong("metadata.annotations", key, fault)
    if sum(len(key) + len(value) for key, value in annotations.items()) > _ANNOTATION_BYTES:
        yield Cause(
            "FieldValueTooLong", f"Too long: may not be more than {_ANNOTATION_BYTES} bytes", "metadata.annotations"
        )


def _check_owners(owners: list[Object]) -> Iterator[Cause]:
    path = "metadata.ownerReferences"
    for owner in owners:
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                told = "version must not be empty" if name == "apiVersion" else "must not be empty"
                yield wrong(f"{path}.{name}", "", told)
    if sum(1 for owner in owners if owner.get("controller")) > 1:
        yield wrong(path, owners, "Only one reference can have Controller set to true")
