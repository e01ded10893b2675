"""Walks an object along its type and fills in what each type defaults."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from agentd.embedded.kube.defaulting.networking import NETWORKING
from agentd.embedded.kube.defaulting.pods import PODS
from agentd.embedded.kube.defaulting.policies import POLICIES
from agentd.embedded.kube.defaulting.storage import STORAGE
from agentd.embedded.kube.defaulting.workloads import WORKLOADS
from agentd.embedded.kube.objects import Json, Object, clone
from agentd.embedded.kube.schema import Form, Type

Fill = Callable[[Object], None]

_PREFIX = "io.k8s.api."
_EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis."
_FILLS: Mapping[str, Fill] = MappingProxyType(
    {
        f"{_EXTENSIONS if name.startswith('apiextensions') else _PREFIX}{name}": fill
        for name, fill in {**PODS, **WORKLOADS, **NETWORKING, **STORAGE, **POLICIES}.items()
    }
)
_NOTHING: Mapping[str, Fill] = MappingProxyType({})


def apply_defaults(kind: Type, item: Object) -> None:
    """Fill in, in place. What contains comes before what it contains: a default may need defaults itself."""
    _walk(kind, item, _FILLS)


def show_presence(kind: Type, item: Object) -> None:
    """Add the structures that are there although nobody set them, and nothing else."""
    _walk(kind, item, _NOTHING)


@cache
def _blank(kind: Type) -> Object:
    item: Object = {}
    show_presence(kind, item)
    return item


def blank(kind: Type) -> Object:
    """An object of which nobody has said anything yet: what a new one is compared with."""
    made: Object = clone(_blank(kind))
    return made


def _walk(kind: Type, value: Json, fills: Mapping[str, Fill]) -> None:
    if isinstance(value, list):
        if kind.element is not None and kind.element.form is not Form.SCALAR:
            for item in value:
                _walk(kind.element, item, fills)
    elif isinstance(value, dict):
        _fill(kind, value, fills)
        for name, item in value.items():
            below = kind.field_type(name)
            if below is not None and isinstance(item, dict | list):
                _walk(below, item, fills)


def _fill(kind: Type, value: Object, fills: Mapping[str, Fill]) -> None:
    for name, zero in kind.present.items():
        if name not in value:
            value[name] = clone(zero)
    fill = fills.get(kind.name)
    if fill is not None:
        fill(value)
