"""What follows from the `.proto` files: the code in `proxy/generated/`, and the reference in `docs/proxy/`.

For `make generate` alone: needs grpcio-tools, which the daemon does not.
"""

import re
import sysconfig
import tempfile
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from proxy.reference import reference

_PROTOS = Path(__file__).parent / "protos"
_PACKAGE = "conveyor/proxy/v1"
_CODE = "proxy.generated.v1"
_PLUGIN = "protoc-gen-grpclib_python"
_INIT = '"""Made from `proxy/protos/` by `make generate`. Not to be edited."""\n'
# protoc names modules after the folders of the .proto files, counted from the import path; these live elsewhere.
_MODULE = re.compile(r"\bconveyor\.proxy\.v1(?=\.\w+_(?:pb2|grpc)\b|\s+import\b)")


def write_code(folder: Path) -> None:
    """Write the code of every message and service into the folder, as the package `proxy.generated`; nothing else stays."""
    with tempfile.TemporaryDirectory() as made:
        _protoc(f"--python_out={made}", f"--pyi_out={made}", f"--grpclib_python_out={made}")
        target = folder / _CODE.rpartition(".")[2]
        target.mkdir(parents=True, exist_ok=True)
        for package in (folder, target):
            (package / "__init__.py").write_text(_INIT)
        modules = {path.name: path.read_text() for path in (Path(made) / _PACKAGE).iterdir()}
    for stale in {path.name for path in target.glob("*_*.py*")} - modules.keys() - {"__init__.py"}:
        (target / stale).unlink()
    for name, code in modules.items():
        (target / name).write_text(_MODULE.sub(_CODE, code))


def write_reference(folder: Path) -> None:
    """Write the reference for people into the folder."""
    with tempfile.TemporaryDirectory() as made:
        described = Path(made) / "set"
        _protoc(f"--descriptor_set_out={described}", "--include_source_info")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "reference.md").write_text(reference(FileDescriptorSet.FromString(described.read_bytes())))


def _protoc(*outputs: str) -> None:
    from grpc_tools import protoc

    plugin = Path(sysconfig.get_path("scripts")) / _PLUGIN
    with as_file(files("grpc_tools") / "_proto") as well_known:
        status = protoc.main(
            ["protoc", f"-I{_PROTOS}", f"-I{well_known}", f"--plugin={_PLUGIN}={plugin}", *outputs, *_sources()]
        )
    if status:
        raise RuntimeError(f"protoc failed with status {status}; it has said why")


def _sources() -> Iterator[str]:
    return (path.relative_to(_PROTOS).as_posix() for path in sorted(_PROTOS.rglob("*.proto")))
