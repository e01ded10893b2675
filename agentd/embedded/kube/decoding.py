"""Reading what a client sent: fields that are not declared are dropped and noted, values take their canonical spelling."""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from agentd.embedded.kube import quantities
from agentd.embedded.kube.objects import Json, Object, micro_timestamp
from agentd.embedded.kube.schema import Form, Scalar, Type

_NOTED = 100
_NOTHING: Mapping[Scalar, Json] = MappingProxyType({Scalar.QUANTITY: "0", Scalar.INT_OR_STRING: 0})
_WITH_ZERO = (Scalar.STRING, Scalar.INTEGER, Scalar.NUMBER, Scalar.BOOLEAN)


class WrongType(ValueError):
    """A value that its field cannot hold, in the words of the API's own decoder."""


class Decoder:
    """Reads one object. `notes` says what was dropped.

    The types of custom resources are checked by their own rules: with `trusting`, wrong types pass.
    """

    def __init__(self, *, trusting: bool = False) -> None:
        self._trusting = trusting
        self.notes: list[str] = []

    def read(self, kind: Type, raw: Json) -> Object:
        """The object of this type. Raises WrongType."""
        if not isinstance(raw, dict):
            raise WrongType(f"json: cannot unmarshal {_json_name(raw)} into Go value of type {kind.short_name}")
        read: Object = self._struct(kind, raw, "")
        return read

    def _value(self, kind: Type, raw: Json, path: str, owner: str) -> Json:
        match kind.form:
            case Form.ANY:
                return raw
            case Form.SCALAR:
                return self._scalar(kind, raw, path, owner)
            case Form.LIST if isinstance(raw, list):
                element = kind.element or kind
                return [self._value(element, item, f"{path}[{index}]", owner) for index, item in enumerate(raw)]
            case Form.MAP if isinstance(raw, dict):
                element = kind.element or kind
                return {name: self._entry(element, item, path, owner) for name, item in raw.items()}
            case Form.STRUCT if isinstance(raw, dict):
                return self._struct(kind, raw, path)
            case _:
                return self._mismatch(kind, raw, path, owner)

    def _entry(self, kind: Type, raw: Json, path: str, owner: str) -> Json:
        if raw is None:
            return _NOTHING.get(kind.scalar, "") if kind.form is Form.SCALAR else None
        return self._value(kind, raw, path, owner)

    def _struct(self, kind: Type, raw: dict[str, Json], path: str) -> Json:
        read: Object = {}
        for name, item in raw.items():
            below = f"{path}.{name}" if path else name
            field = kind.fields.get(name)
            if field is None:
                self._undeclared(kind, name, item, below, read)
                continue
            if item is None and not (self._trusting and field.type.nullable):
                continue
            value = self._value(field.type, item, below, kind.short_name)
            if not _is_dropped(kind, name, field.type, value):
                read[name] = value
        return read

    def _undeclared(self, kind: Type, name: str, item: Json, path: str, read: Object) -> None:
        if kind.open:
            read[name] = item
        elif len(self.notes) < _NOTED:
            self.notes.append(f'unknown field "{path}"')

    def _scalar(self, kind: Type, raw: Json, path: str, owner: str) -> Json:
        if not _FITS[kind.scalar](raw):
            return self._mismatch(kind, raw, path, owner)
        match kind.scalar:
            case Scalar.INTEGER:
                return int(raw)
            case Scalar.QUANTITY:
                return self._quantity(raw)
            case Scalar.BYTES | Scalar.TIME | Scalar.MICRO_TIME:
                return self._text(kind.scalar, raw)
            case _:
                return raw

    def _quantity(self, raw: str | float) -> Json:
        try:
            return quantities.canonical(raw)
        except quantities.BadQuantity as error:
            if self._trusting:
                return raw
            raise WrongType(str(error)) from error

    def _text(self, scalar: Scalar, raw: str) -> str:
        if self._trusting:
            return raw
        if scalar is Scalar.BYTES:
            return _bytes(raw)
        return _time(raw, micro=scalar is Scalar.MICRO_TIME)

    def _mismatch(self, kind: Type, raw: Json, path: str, owner: str) -> Json:
        if self._trusting:
            return raw
        place = f"{owner}.{_without_indexes(path)}"
        raise WrongType(
            f"json: cannot unmarshal {_json_name(raw)} into Go struct field {place} of type {_go_name(kind)}"
        )


def _is_dropped(kind: Type, name: str, of: Type, value: Json) -> bool:
    """Whether the API's own types cannot tell the value from none. Custom resources tell everything."""
    if kind.told_zeros is None or name in kind.told_zeros:
        return False
    if of.form in (Form.MAP, Form.LIST):
        return not value
    return of.form is Form.SCALAR and of.scalar in _WITH_ZERO and not value


def _bytes(raw: str) -> str:
    try:
        base64.b64decode(raw.replace("\n", "").replace("\r", ""), validate=True)
    except binascii.Error as error:
        raise WrongType("illegal base64 data at input byte 0") from error
    return raw


def _time(raw: str, *, micro: bool) -> str:
    try:
        moment = datetime.fromisoformat(raw)
    except ValueError as error:
        raise WrongType(f'parsing time "{raw}" as "2006-01-02T15:04:05Z07:00": cannot parse "{raw}"') from error
    moment = moment.astimezone(UTC)
    return micro_timestamp(moment.timestamp()) if micro else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_whole(raw: Json) -> bool:
    return not isinstance(raw, bool) and (isinstance(raw, int) or (isinstance(raw, float) and raw.is_integer()))


def _is_number(raw: Json) -> bool:
    return isinstance(raw, int | float) and not isinstance(raw, bool)


def _is_text(raw: Json) -> bool:
    return isinstance(raw, str)


_FITS: Mapping[Scalar, Callable[[Json], bool]] = MappingProxyType(
    {
        Scalar.ANY: lambda _raw: True,
        Scalar.STRING: _is_text,
        Scalar.BYTES: _is_text,
        Scalar.TIME: _is_text,
        Scalar.MICRO_TIME: _is_text,
        Scalar.INTEGER: _is_whole,
        Scalar.NUMBER: _is_number,
        Scalar.BOOLEAN: lambda raw: isinstance(raw, bool),
        Scalar.INT_OR_STRING: lambda raw: _is_text(raw) or _is_whole(raw),
        Scalar.QUANTITY: lambda raw: _is_text(raw) or _is_number(raw),
    }
)


def _without_indexes(path: str) -> str:
    return ".".join(part.partition("[")[0] for part in path.split("."))


def _json_name(raw: Json) -> str:
    if isinstance(raw, bool):
        return "bool"
    if isinstance(raw, dict):
        return "object"
    if isinstance(raw, list):
        return "array"
    return "string" if isinstance(raw, str) else "number"


def _go_name(kind: Type) -> str:
    if kind.form is Form.SCALAR:
        return (
            f"int{kind.bits}" if kind.scalar is Scalar.INTEGER else {Scalar.BOOLEAN: "bool"}.get(kind.scalar, "string")
        )
    if kind.form is Form.LIST:
        return f"[]{_go_name(kind.element or kind)}"
    if kind.form is Form.MAP:
        return f"map[string]{_go_name(kind.element or kind)}"
    *_, group, version, name = ("", "", *kind.name.split("."))
    return f"{version}.{name}" if group else name
