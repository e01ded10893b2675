"""The type that an openAPIV3Schema describes, with its rules beside it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agentd.embedded.kube.schema import ANY, Field, Form, Scalar, Type, definitions

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_SCALARS: Mapping[str, Scalar] = MappingProxyType(
    {"string": Scalar.STRING, "integer": Scalar.INTEGER, "number": Scalar.NUMBER, "boolean": Scalar.BOOLEAN}
)
_STRING = Type(Form.SCALAR, scalar=Scalar.STRING)


def custom_type(schema: Mapping[str, Any]) -> Type:
    """The type of a whole object: metadata is the API's own."""
    made = _of(schema)
    made.form = Form.STRUCT
    made.fields["apiVersion"] = made.fields["kind"] = Field(_STRING)
    made.fields["metadata"] = Field(definitions().type(_META))
    return made


def _of(schema: Mapping[str, Any]) -> Type:
    made = Type(Form.ANY, rules=schema, nullable=bool(schema.get("nullable")))
    if schema.get("x-kubernetes-int-or-string"):
        made.form, made.scalar = Form.SCALAR, Scalar.INT_OR_STRING
        return made
    told = str(schema.get("type", ""))
    match told:
        case "object":
            _fill_object(made, schema)
        case "array":
            _fill_list(made, schema)
        case _ if told in _SCALARS:
            made.form, made.scalar = Form.SCALAR, _SCALARS[told]
        case _:
            made.open = True
    return made


def _fill_object(made: Type, schema: Mapping[str, Any]) -> None:
    made.atomic = schema.get("x-kubernetes-map-type") == "atomic"
    made.required = frozenset(schema.get("required", ()))
    made.embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    made.open = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    values = schema.get("additionalProperties")
    if values and "properties" not in schema:
        made.form, made.element = Form.MAP, _of(values) if isinstance(values, Mapping) else ANY
        return
    made.form = Form.STRUCT
    made.fields = {name: Field(_of(below)) for name, below in schema.get("properties", {}).items()}
    if made.embedded:
        made.fields["apiVersion"] = made.fields["kind"] = Field(_STRING)
        made.fields["metadata"] = Field(definitions().type(_META))


def _fill_list(made: Type, schema: Mapping[str, Any]) -> None:
    made.form = Form.LIST
    made.element = _of(schema["items"]) if "items" in schema else ANY
    made.is_set = schema.get("x-kubernetes-list-type") == "set"
    if schema.get("x-kubernetes-list-type") == "map":
        made.keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
    made.atomic = not made.is_associative
