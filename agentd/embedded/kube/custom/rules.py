"""Rules of custom resources: what their schema asks of each value.

Expressions in CEL (x-kubernetes-validations) are not carried out.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from agentd.embedded.kube.objects import Json, Object
from agentd.embedded.kube.schema import Form, Scalar, Type
from agentd.embedded.kube.status import Cause, duplicate, required, unsupported, wrong

_OWN = ("apiVersion", "kind", "metadata")


def check_custom(kind: Type, item: Object) -> Iterator[Cause]:
    """What is wrong with the object, but for its metadata."""
    for name in sorted(kind.required):
        if name not in item:
            yield required(name)
    for name, value in item.items():
        field = kind.fields.get(name)
        if field is not None and name not in _OWN:
            yield from _check(field.type, value, name)


def _check(kind: Type, value: Json, path: str) -> Iterator[Cause]:
    if value is None and kind.nullable:
        return
    told = _JSON_TYPES.get(kind.form) or _SCALAR_TYPES.get(kind.scalar, "")
    if kind.form is not Form.ANY and not _is_of(kind, value):
        yield _wrong_type(path, value, told)
        return
    yield from _check_rules(kind, value, path)
    if kind.form is Form.LIST:
        yield from _check_list(kind, value, path)
    elif isinstance(value, dict):
        for name in sorted(kind.required):
            if name not in value:
                yield required(f"{path}.{name}")
        for name, below in value.items():
            declared = kind.field_type(name)
            if declared is not None and not (kind.embedded and name in _OWN):
                yield from _check(declared, below, f"{path}.{name}")


def _check_list(kind: Type, items: list[Json], path: str) -> Iterator[Cause]:
    seen: list[Json] = []
    for index, item in enumerate(items):
        identity = [item.get(key) for key in kind.keys] if kind.keys and isinstance(item, dict) else item
        if kind.is_associative and identity in seen:
            told = dict(zip(kind.keys, identity, strict=True)) if kind.keys and isinstance(item, dict) else item
            yield duplicate(f"{path}[{index}]", told)
        seen.append(identity)
        if kind.element is not None:
            yield from _check(kind.element, item, f"{path}[{index}]")


def _is_of(kind: Type, value: Json) -> bool:
    match kind.form:
        case Form.LIST:
            return isinstance(value, list)
        case Form.SCALAR:
            return _SCALARS[kind.scalar](value)
        case _:
            return isinstance(value, dict)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Json) -> bool:
    return _is_number(value) and float(value).is_integer()


_SCALARS: Mapping[Scalar, Callable[[Json], bool]] = MappingProxyType(
    {
        Scalar.STRING: lambda value: isinstance(value, str),
        Scalar.INTEGER: _is_whole,
        Scalar.NUMBER: _is_number,
        Scalar.BOOLEAN: lambda value: isinstance(value, bool),
        Scalar.INT_OR_STRING: lambda value: isinstance(value, str) or _is_whole(value),
    }
)
_JSON_TYPES = MappingProxyType({Form.LIST: "array", Form.STRUCT: "object", Form.MAP: "object"})
_SCALAR_TYPES = MappingProxyType(
    {
        Scalar.STRING: "string",
        Scalar.INTEGER: "integer",
        Scalar.NUMBER: "number",
        Scalar.BOOLEAN: "boolean",
        Scalar.INT_OR_STRING: "integer,string",
    }
)


def _wrong_type(path: str, value: Json, wanted: str) -> Cause:
    found = _json_type(value)
    told = f'Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"'
    return Cause("FieldValueTypeInvalid", told, path)


def _json_type(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, dict):
        return "object"
    return {str: "string", float: "number"}.get(type(value), "array")


def _check_rules(kind: Type, value: Json, path: str) -> Iterator[Cause]:
    rules = kind.rules
    if "enum" in rules and value not in rules["enum"]:
        yield unsupported(path, value, [str(one) for one in rules["enum"]])
    if isinstance(value, str):
        yield from _check_text(rules, value, path)
    elif _is_number(value):
        yield from _check_number(rules, value, path)
    elif isinstance(value, list):
        yield from _check_size(rules, ("maxItems", "minItems", "items"), value, path)
    elif isinstance(value, dict):
        yield from _check_size(rules, ("maxProperties", "minProperties", "properties"), value, path)


def _check_text(rules: Mapping[str, Json], value: str, path: str) -> Iterator[Cause]:
    if len(value) > rules.get("maxLength", len(value)):
        told = f"Too long: may not be more than {rules['maxLength']} bytes"
        yield Cause("FieldValueTooLong", told, path)
    if len(value) < rules.get("minLength", 0):
        yield wrong(path, value, f"{path} in body should be at least {rules['minLength']} chars long")
    if "pattern" in rules and not re.search(rules["pattern"], value):
        yield wrong(path, value, f"{path} in body should match '{rules['pattern']}'")


def _check_number(rules: Mapping[str, Json], value: float, path: str) -> Iterator[Cause]:
    if "maximum" in rules and (
        value > rules["maximum"] or (rules.get("exclusiveMaximum") and value == rules["maximum"])
    ):
        word = "less than" if rules.get("exclusiveMaximum") else "less than or equal to"
        yield wrong(path, value, f"{path} in body should be {word} {rules['maximum']}")
    if "minimum" in rules and (
        value < rules["minimum"] or (rules.get("exclusiveMinimum") and value == rules["minimum"])
    ):
        word = "greater than" if rules.get("exclusiveMinimum") else "greater than or equal to"
        yield wrong(path, value, f"{path} in body should be {word} {rules['minimum']}")
    if "multipleOf" in rules and value % rules["multipleOf"]:
        yield wrong(path, value, f"{path} in body should be a multiple of {rules['multipleOf']}")


def _check_size(rules: Mapping[str, Json], words: tuple[str, str, str], value: Json, path: str) -> Iterator[Cause]:
    most, least, things = words
    if len(value) > rules.get(most, len(value)):
        yield Cause("FieldValueTooMany", f"Too many: {len(value)}: must have at most {rules[most]} items", path)
    if len(value) < rules.get(least, 0):
        yield wrong(path, len(value), f"{path} in body should have at least {rules[least]} {things}")
