"""The reference of the proxy's calls for people, made from the comments in the `.proto` files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

_HEAD = """# Calls of the proxy

Made from the comments in `proxy/protos/` by `make generate`. Package `conveyor.proxy.v1`. How to reach it, limits, errors:
[proxy.md](../proxy.md).
"""
# Numbers of fields in FileDescriptorProto and below it: how source locations spell a place in the file.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_FIELD = _METHOD = _VALUE = 2
_SCALARS = {
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
}

Place = tuple[int, ...]


def reference(described: FileDescriptorSet) -> str:
    """Markdown: every service with its calls, then every message and enum, as their comments say."""
    return _HEAD + "".join(part for file in described.file for part in _File(file).parts())


class _File:
    """One .proto file and its comments."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._comments: Mapping[Place, str] = {
            tuple(location.path): location.leading_comments for location in file.source_code_info.location
        }

    def parts(self) -> Iterator[str]:
        for index, service in enumerate(self._file.service):
            yield from self._service((_SERVICE, index), service)
        for index, message in enumerate(self._file.message_type):
            yield from self._message((_MESSAGE, index), message)
        for index, enum in enumerate(self._file.enum_type):
            yield from self._enum((_ENUM, index), enum)

    def _service(self, place: Place, service: ServiceDescriptorProto) -> Iterator[str]:
        yield f"\n## {service.name}\n\n{self._text(place)}\n\n"
        rows = [
            (f"`{method.name}`", _signature(method), self._line((*place, _METHOD, index)))
            for index, method in enumerate(service.method)
        ]
        yield _table(("call", "takes and gives", "meaning"), rows)

    def _message(self, place: Place, message: DescriptorProto) -> Iterator[str]:
        yield f"\n### {message.name}\n\n{self._text(place)}\n"
        maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
        rows = [
            (str(field.number), f"`{field.name}`", _type(field, maps), self._line((*place, _FIELD, index)))
            for index, field in enumerate(message.field)
        ]
        if rows:
            yield "\n" + _table(("no.", "field", "type", "meaning"), rows)

    def _enum(self, place: Place, enum: EnumDescriptorProto) -> Iterator[str]:
        yield f"\n### {enum.name}\n\n{self._text(place)}\n\n"
        rows = [
            (str(value.number), f"`{value.name}`", self._line((*place, _VALUE, index)))
            for index, value in enumerate(enum.value)
        ]
        yield _table(("no.", "value", "meaning"), rows)

    def _text(self, place: Place) -> str:
        return "\n".join(line.strip() for line in self._comments.get(place, "").strip().splitlines())

    def _line(self, place: Place) -> str:
        return " ".join(self._comments.get(place, "").split())


def _signature(method: MethodDescriptorProto) -> str:
    takes = _reference(method.input_type, many=method.client_streaming)
    return f"{takes} → {_reference(method.output_type, many=method.server_streaming)}"


def _type(field: FieldDescriptorProto, maps: Mapping[str, DescriptorProto]) -> str:
    entry = maps.get(field.type_name.rpartition(".")[2])
    if entry is not None:
        key, value = entry.field
        return f"map of {_type(key, {})} to {_type(value, {})}"
    many = field.label == FieldDescriptorProto.LABEL_REPEATED
    if field.type in _SCALARS:
        name = _SCALARS[field.type]
        return f"repeated {name}" if many else f"optional {name}" if field.proto3_optional else name
    return _reference(field.type_name, many=many, word="repeated")


def _reference(full_name: str, *, many: bool, word: str = "stream of") -> str:
    name = full_name.lstrip(".")
    short = name.rpartition(".")[2]
    shown = name if name.startswith("google.") else f"[{short}](#{short.lower()})"
    return f"{word} {shown}" if many else shown


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
