"""Label and field selectors, as the API's query parameters and LabelSelector objects spell them. Pure."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from agentd.embedded.kube.objects import Json, ObjectView, dig, labels_of
from agentd.embedded.kube.status import ApiError, bad_request

Test = Callable[[ObjectView], bool]
_Labels = Callable[[Mapping[str, str]], bool]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET = re.compile(rf"^({_NAME})\s+(in|notin)\s*\(([^()]*)\)$")
_EQUAL = re.compile(rf"^({_NAME})\s*(==|=|!=)\s*([-A-Za-z0-9_.]*)$")
_EXISTS = re.compile(rf"^(!?)\s*({_NAME})$")
_BETWEEN = re.compile(r",(?![^()]*\))")
_TERM = re.compile(r"^([^=!]+)(==|=|!=)(.*)$")

_COMMON_FIELDS = ("metadata.name", "metadata.namespace")
_EVENT_OBJECT = tuple(
    f"involvedObject.{name}"
    for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
)
_FIELDS = MappingProxyType(
    {
        ("", "pods"): (
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ),
        ("", "events"): (*_EVENT_OBJECT, "reason", "reportingComponent", "source", "type"),
        ("", "namespaces"): ("status.phase",),
        ("", "nodes"): ("spec.unschedulable",),
        ("", "secrets"): ("type",),
        ("", "services"): ("spec.clusterIP", "spec.type"),
        ("batch", "jobs"): ("status.successful",),
        ("apps", "replicasets"): ("status.replicas",),
    }
)


def by_labels(text: str) -> Test | None:
    """The test that a labelSelector parameter is; None when it lets everything through. ApiError 400."""
    tests = [_label_test(part.strip()) for part in _BETWEEN.split(text) if text.strip()]
    return (lambda item: all(test(labels_of(item)) for test in tests)) if tests else None


def by_fields(text: str, resource: tuple[str, str], custom_fields: tuple[str, ...] = ()) -> Test | None:
    """The test that a fieldSelector parameter is; None when it lets everything through. ApiError 400."""
    known = (*_COMMON_FIELDS, *_FIELDS.get(resource, ()), *custom_fields)
    tests = [_field_test(part.strip(), known, resource) for part in text.split(",") if part.strip()]
    return (lambda item: all(test(item) for test in tests)) if tests else None


def matches(selector: Mapping[str, Json], labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector object selects these labels; an empty one selects everything."""
    wanted = (selector.get("matchLabels") or {}).items()
    return all(labels.get(key) == value for key, value in wanted) and all(
        _expression_holds(rule, labels) for rule in selector.get("matchExpressions") or ()
    )


def spelled(selector: Mapping[str, Json]) -> str:
    """A LabelSelector object as a query parameter."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or ():
        key, values = rule["key"], ",".join(sorted(rule.get("values") or ()))
        parts.append(
            {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}.get(
                rule["operator"], f"!{key}"
            )
        )
    return ",".join(parts)


def _expression_holds(rule: Mapping[str, Json], labels: Mapping[str, str]) -> bool:
    value = labels.get(rule["key"])
    match rule["operator"]:
        case "In":
            return value in (rule.get("values") or ())
        case "NotIn":
            return value not in (rule.get("values") or ())
        case "Exists":
            return value is not None
        case _:
            return value is None


def _label_test(text: str) -> _Labels:
    if found := _SET.match(text):
        key, operator, listed = found.groups()
        values = frozenset(item.strip() for item in listed.split(","))
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(text):
        key, operator, value = found.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(text):
        absent, key = found.groups()
        return lambda labels: (key in labels) is not bool(absent)
    raise _unreadable(text)


def _unreadable(text: str) -> ApiError:
    return bad_request(
        f"unable to parse requirement: found '{text}', expected: in, notin, =, ==, !=, gt, lt, or a key alone"
    )


def _field_test(text: str, known: tuple[str, ...], resource: tuple[str, str]) -> Test:
    found = _TERM.match(text)
    if found is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    name, operator, value = found.groups()
    if name not in known:
        if resource in _FIELDS:
            raise bad_request(f"field label not supported: {name}")
        listed = ", ".join(f'"{field}"' for field in known)
        raise bad_request(f'"{name}" is not a known field selector: only {listed}')
    path = tuple(name.split("."))
    equal = operator != "!="
    return lambda item: (_field(item, path) == value) is equal


def _field(item: ObjectView, path: tuple[str, ...]) -> str:
    if path == ("source",):
        path = ("source", "component")
    value = dig(item, *path)
    if value is None:
        return "0" if path[-1] in ("successful", "replicas") else "false" if path[-1] == "hostNetwork" else ""
    return str(value).lower() if isinstance(value, bool) else str(value)
