"""Whether a value is of its type, as strictly as an apply wants it."""

from collections.abc import Iterator

from agentd.embedded.kube.objects import Json
from agentd.embedded.kube.schema import Form, Scalar, Type
from agentd.embedded.kube.typed.paths import element_type, item_element, resolved, shown_path


class TypedError(ValueError):
    """The value is not of the type; the message has a line for every fault, in the API's own words."""


def check(kind: Type, value: Json) -> None:
    """Raises TypedError for fields that are not declared, wrong types, and items that are there twice."""
    faults = list(_faults(kind, value))
    if faults:
        raise TypedError(faults[0] if len(faults) == 1 else "errors:\n" + "\n".join(f"  {line}" for line in faults))


def _faults(kind: Type, value: Json) -> Iterator[str]:
    kind = resolved(kind, value)
    if value is None:
        return
    if kind.form is Form.SCALAR:
        yield from _scalar_faults(kind.scalar, value)
    elif kind.form is Form.LIST:
        yield from _list_faults(kind, value)
    elif not isinstance(value, dict):
        yield f": expected map, got &{{{_go(value)}}}"
    else:
        for name, item in value.items():
            declared = kind.field_type(name)
            if declared is not None:
                yield from _under(f".{name}", _faults(declared, item))
        undeclared = next((name for name in value if kind.field_type(name) is None), None)
        if undeclared is not None:  # the API says no more of this structure
            yield f".{undeclared}: field not declared in schema"


def _list_faults(kind: Type, value: Json) -> Iterator[str]:
    if not isinstance(value, list):
        yield f": expected list, got &{{{_go(value)}}}"
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        element = f"[{index}]"
        if kind.is_associative:
            identity = item_element(kind, item)
            element = shown_path((identity,))
            if identity in seen:
                yield f": duplicate entries for key {element}"
            seen.add(identity)
        yield from _under(element, _faults(element_type(kind), item))


def _under(element: str, faults: Iterator[str]) -> Iterator[str]:
    return (f"{element}{fault}" for fault in faults)


def _scalar_faults(scalar: Scalar, value: Json) -> Iterator[str]:
    if isinstance(value, dict | list):
        yield f": expected {_WORDS.get(scalar, 'any scalar')}, got {_go(value)}"
        return
    match scalar:
        case Scalar.STRING | Scalar.BYTES | Scalar.TIME | Scalar.MICRO_TIME if not isinstance(value, str):
            yield f": expected string, got &value.valueUnstructured{{Value:{_go(value)}}}"
        case Scalar.INTEGER | Scalar.NUMBER if isinstance(value, bool | str):
            yield f": expected numeric (int or float), got {'bool' if isinstance(value, bool) else 'string'}"
        case Scalar.BOOLEAN if not isinstance(value, bool):
            yield f": expected boolean, got &{{{_go(value)}}}"
        case _:
            return


_WORDS = {
    Scalar.STRING: "string",
    Scalar.INTEGER: "numeric (int or float)",
    Scalar.NUMBER: "numeric (int or float)",
    Scalar.BOOLEAN: "boolean",
}


def _go(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)
