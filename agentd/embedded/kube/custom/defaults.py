"""Defaults of custom resources: where the schema has one and the object nothing."""

from agentd.embedded.kube.objects import Json, clone
from agentd.embedded.kube.schema import Type


def fill_custom(kind: Type, value: Json) -> None:
    """Fill in, in place. A default is looked into like any other value."""
    if isinstance(value, list):
        for item in value:
            if kind.element is not None:
                fill_custom(kind.element, item)
    elif isinstance(value, dict):
        for name, field in kind.fields.items():
            if name not in value and "default" in field.type.rules:
                value[name] = clone(field.type.rules["default"])
        for name, item in value.items():
            below = kind.field_type(name)
            if below is not None:
                fill_custom(below, item)
