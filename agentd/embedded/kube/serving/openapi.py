"""The API's own description, as far as clients look at it: schemas of the kinds, and a path for each."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from agentd.embedded.kube.kinds import Kind, Kinds
from agentd.embedded.kube.objects import Json, Object
from agentd.embedded.kube.schema import definitions
from agentd.embedded.kube.schema.definitions import VERSION
from agentd.embedded.kube.status import unknown_path

_INFO = {"title": "Kubernetes", "version": f"v{VERSION}"}
_OURS = "#/$defs/"
_OF_LISTS = MappingProxyType({"get": "list", "post": "post"})
_OF_ITEMS = MappingProxyType({"get": "get", "put": "put", "patch": "patch", "delete": "delete"})
_VERBS = MappingProxyType({"post": "create", "put": "update"})
_WRITES = ("post", "put", "patch")
_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string"}, "type": "string"}
    for name in ("dryRun", "fieldManager", "fieldValidation")
]


def openapi_v2(kinds: Kinds) -> Object:
    """/openapi/v2."""
    schemas = dict(_with_parts(_names(list(kinds)), "#/definitions/"))
    return {"swagger": "2.0", "info": _INFO, "paths": _paths(list(kinds)), "definitions": schemas}


def openapi_v3_index(kinds: Kinds) -> Object:
    """/openapi/v3."""
    groups = {kind.api_version: "api/v1" if not kind.group else f"apis/{kind.api_version}" for kind in kinds}
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in groups.values()}}


def openapi_v3(kinds: Kinds, group: str, version: str) -> Object:
    """/openapi/v3/apis/GROUP/VERSION. ApiError 404."""
    found = [kind for kind in kinds if (kind.group, kind.version) == (group, version)]
    if not found:
        raise unknown_path()
    schemas = dict(_with_parts(_names(found), "#/components/schemas/"))
    schemas |= {_custom_name(kind): dict(kind.type.rules) for kind in found if kind.custom}
    return {"openapi": "3.0.0", "info": _INFO, "paths": _paths(found), "components": {"schemas": schemas}}


def _names(kinds: list[Kind]) -> list[str]:
    known = definitions()
    return [known.kind_name(kind.group, kind.version, kind.kind) for kind in kinds if not kind.custom]


def _custom_name(kind: Kind) -> str:
    return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])


def _with_parts(names: list[str], prefix: str) -> Iterator[tuple[str, Json]]:
    """The schemas of these names, and of everything that they refer to."""
    known, waiting, seen = definitions(), list(names), set(names)
    while waiting:
        name = waiting.pop()
        schema = known.schema(name)
        for below in _references(schema):
            if below not in seen:
                seen.add(below)
                waiting.append(below)
        yield name, _pointed(schema, prefix)


def _references(schema: Json) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for name, value in schema.items():
            if name == "$ref" and isinstance(value, str):
                yield value.removeprefix(_OURS)
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


def _pointed(schema: Json, prefix: str) -> Json:
    """The same schema, with references as the version of OpenAPI spells them, and without what it does not know."""
    if isinstance(schema, list):
        return [_pointed(item, prefix) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    told: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "$ref" and isinstance(value, str):
            told[name] = prefix + value.removeprefix(_OURS)
        elif name == "type" and isinstance(value, list):
            told[name] = next(one for one in value if one != "null")
        elif name != "additionalProperties" or value is not False:
            told[name] = _pointed(value, prefix)
    return told


def _paths(kinds: list[Kind]) -> Object:
    found: Object = {}
    for kind in kinds:
        found[_path(kind)] = _operations(kind, _OF_LISTS)
        if "get" in kind.verbs:
            found[f"{_path(kind)}/{{name}}"] = _operations(kind, _OF_ITEMS)
    return found


def _path(kind: Kind) -> str:
    base = f"/apis/{kind.api_version}" if kind.group else "/api/v1"
    return f"{base}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"


def _operations(kind: Kind, verbs: Mapping[str, str]) -> Object:
    """What clients look for: which kind it is about, and that fields can be validated."""
    about = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    return {
        method: {
            "x-kubernetes-action": verb,
            "x-kubernetes-group-version-kind": about,
            "parameters": _PARAMETERS if method in _WRITES else [],
            "responses": {"200": {"description": "OK"}},
        }
        for method, verb in verbs.items()
        if _VERBS.get(verb, verb) in kind.verbs
    }
