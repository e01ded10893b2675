"""The shape of a type, for built-in and custom resources alike. Pure data; types may refer to themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Form(StrEnum):
    """How a value is held together."""

    SCALAR = "scalar"
    STRUCT = "struct"
    """Named fields, each with a type of its own."""
    MAP = "map"
    """Any names, one type."""
    LIST = "list"
    ANY = "any"
    """Nothing is known: the value itself tells."""


class Scalar(StrEnum):
    """What a scalar is in JSON, and how it is read."""

    STRING = "string"
    BYTES = "bytes"
    TIME = "time"
    MICRO_TIME = "micro-time"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    INT_OR_STRING = "int-or-string"
    QUANTITY = "quantity"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct. The merge key and strategy are those of a strategic merge patch."""

    type: "Type" = field(repr=False)
    merge_key: str = ""
    strategies: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Type:
    """A type. It is filled once, when it is read, and not changed then."""

    form: Form
    name: str = ""
    """What the API's schemas call it: io.k8s.api.core.v1.Container. Empty for an inline one."""
    scalar: Scalar = Scalar.ANY
    bits: int = 64
    """Of an integer."""
    fields: dict[str, Field] = field(default_factory=dict, repr=False)
    element: "Type | None" = field(default=None, repr=False)
    """Of a list, or a map."""
    required: frozenset[str] = frozenset()
    present: dict[str, Any] = field(default_factory=dict, repr=False)
    """Fields that are there although nobody set them, and what they are then."""
    told_zeros: frozenset[str] | None = None
    """Scalars that are kept when they are zero; None for all."""
    atomic: bool = False
    """Owned and replaced as a whole."""
    keys: tuple[str, ...] = ()
    """Of a list whose items have an identity: the fields that make it."""
    is_set: bool = False
    """A list of distinct scalars."""
    open: bool = False
    """A struct that keeps fields it does not declare."""
    nullable: bool = False
    embedded: bool = False
    """A whole object within another, with apiVersion and kind."""
    rules: Mapping[str, Any] = field(default_factory=dict)
    """Further rules of JSON Schema, and defaults: of custom resources alone."""

    @property
    def short_name(self) -> str:
        """PodSpec."""
        return self.name.rpartition(".")[2]

    @property
    def is_associative(self) -> bool:
        """Whether the list's items have an identity apart from their place."""
        return bool(self.keys) or self.is_set

    def field_type(self, name: str) -> "Type | None":
        """The type of the field, or of any field of a map; None when it is not declared."""
        declared = self.fields.get(name)
        if declared is not None:
            return declared.type
        if self.form is Form.ANY or self.open:
            return ANY
        return self.element if self.form is Form.MAP else None


ANY = Type(Form.ANY)
_ANY_MAP = Type(Form.MAP, element=ANY)
_ANY_LIST = Type(Form.LIST, element=ANY, atomic=True)
_ANY_SCALAR = Type(Form.SCALAR)


def any_of(value: object) -> Type:
    """The type of a value of which nothing else is known: maps merge, lists are atomic."""
    if isinstance(value, dict):
        return _ANY_MAP
    return _ANY_LIST if isinstance(value, list) else _ANY_SCALAR
