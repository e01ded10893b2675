"""Checks that many kinds share."""

import re
from collections.abc import Collection, Iterator

from agentd.embedded.kube.objects import Json, ObjectView, child
from agentd.embedded.kube.rules.names import label_value_faults, qualified_name_faults
from agentd.embedded.kube.selectors import matches
from agentd.embedded.kube.status import Cause, forbidden_field, required, shown_value, unsupported, wrong

_LARGEST_PORT = 65535
_KEY = re.compile(r"^[-._a-zA-Z0-9]+$")
_LONGEST_KEY = 253
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def not_found_value(path: str, value: Json) -> Cause:
    """A name that nothing has."""
    return Cause("FieldValueNotFound", f"Not found: {shown_value(value)}", path)


def too_long(path: str, most: int) -> Cause:
    """More than may be."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {most} bytes", path)


def check_enum(value: Json, allowed: Collection[str], path: str) -> Iterator[Cause]:
    """A value that is there is one of those."""
    if value is not None and value not in allowed:
        yield unsupported(path, value, list(allowed))


def check_port(value: int, path: str) -> Iterator[Cause]:
    """A port's number."""
    if not 1 <= value <= _LARGEST_PORT:
        yield wrong(path, value, "must be between 1 and 65535, inclusive")


def check_not_negative(spec: ObjectView, names: Collection[str], path: str) -> Iterator[Cause]:
    """Numbers that may be nought."""
    for name in names:
        value = spec.get(name)
        if value is not None and value < 0:
            yield wrong(f"{path}.{name}", value, "must be greater than or equal to 0")


def check_immutable(new: ObjectView, live: ObjectView, *path: str) -> Iterator[Cause]:
    """A field that stays as it was created."""
    asked, there = _at(new, path), _at(live, path)
    if asked != there:
        yield wrong(".".join(path), asked, "field is immutable")


def check_keys(data: ObjectView, path: str) -> Iterator[Cause]:
    """Keys of a config map or a secret."""
    for key in data:
        if len(key) > _LONGEST_KEY:
            yield wrong(f"{path}[{key}]", key, f"must be no more than {_LONGEST_KEY} characters")
        elif key in (".", ".."):
            yield wrong(f"{path}[{key}]", key, f"must not be '{key}'")
        elif not _KEY.match(key):
            yield wrong(f"{path}[{key}]", key, _KEY_TEXT)


def check_frozen(new: ObjectView, live: ObjectView, names: Collection[str]) -> Iterator[Cause]:
    """What may not change while `immutable` is set, nor may that be unset."""
    if not live.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden_field("immutable", "field is immutable when `immutable` is set")
    for name in names:
        if new.get(name) != live.get(name):
            yield forbidden_field(name, "field is immutable when `immutable` is set")


def check_selector(selector: ObjectView, path: str) -> Iterator[Cause]:
    """A LabelSelector."""
    for key, value in child(selector, "matchLabels").items():
        for fault in qualified_name_faults(key):
            yield wrong(f"{path}.matchLabels", key, fault)
        for fault in label_value_faults(value):
            yield wrong(f"{path}.matchLabels", value, fault)
    for index, rule in enumerate(selector.get("matchExpressions") or ()):
        place = f"{path}.matchExpressions[{index}]"
        operator, values = rule.get("operator"), rule.get("values") or ()
        if operator not in _OPERATORS:
            yield wrong(f"{place}.operator", operator, "not a valid selector operator")
        elif operator in ("In", "NotIn") and not values:
            yield required(f"{place}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist") and values:
            yield forbidden_field(
                f"{place}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            )


def check_own_template(spec: ObjectView, path: str) -> Iterator[Cause]:
    """A selector that selects what the template makes."""
    selector = spec.get("selector")
    if selector is None:
        yield required(f"{path}.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield wrong(f"{path}.selector", selector, "empty selector is invalid for deployment")
    else:
        yield from check_selector(selector, f"{path}.selector")
    labels = child(spec, "template", "metadata", "labels")
    if selector is None or not matches(selector, labels):
        yield wrong(f"{path}.template.metadata.labels", labels or None, "`selector` does not match template `labels`")


def _at(item: ObjectView, path: tuple[str, ...]) -> Json:
    here: Json = item
    for name in path:
        here = here.get(name) if isinstance(here, dict) else None
    return here
