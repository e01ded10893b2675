"""`python -m agentd.cli.generate [--check]`: writes, or checks, every file that follows from the code."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from agentd.cli.chart import reference_text, rights_text, schema_text, values_text
from agentd.cli.permissions import needs
from agentd.cli.picture import with_picture
from agentd.cli.schema import azure_text, iam_text, rbac_text
from agentd.core import Permission
from agentd.dispatch import load_handlers
from agentd.events.schema import write_all
from agentd.settings import Settings, load, settings_reference
from agentd.telemetry import Metrics, metrics_reference
from proxy.generate import write_code, write_reference

_CHART = Path("deploy/helm/agentd")
_EXAMPLES = Path(__file__).parents[2] / "deploy" / "settings"
_EXAMPLE_SCOPE = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/conveyor"


def _granted(example: str, text: Callable[[Settings, Sequence[Permission]], str]) -> str:
    """What an installation with the example's settings is to be allowed."""
    settings = load(_EXAMPLES / example, {}).settings
    return text(settings, [need.permission for need in needs(settings, load_handlers())])


_ENVIRONMENTS = Path("docs/environments.md")
_TEXTS: Mapping[Path, Callable[[], str]] = {
    _ENVIRONMENTS: lambda: with_picture((Path(__file__).parents[2] / _ENVIRONMENTS).read_text()),
    Path("docs/metrics.md"): lambda: metrics_reference(Metrics()),
    Path("docs/settings.md"): settings_reference,
    _CHART / "README.md": reference_text,
    _CHART / "values.yaml": values_text,
    _CHART / "values.schema.json": schema_text,
    _CHART / "files" / "rights.json": lambda: rights_text(load_handlers()),
    Path("deploy/permissions/rbac.yaml"): lambda: _granted("aws.yaml", rbac_text),
    Path("deploy/permissions/iam-policy.json"): lambda: _granted("aws.yaml", iam_text),
    Path("deploy/permissions/azure-role.json"): lambda: _granted(
        "azure.yaml", lambda _settings, needed: azure_text(needed, _EXAMPLE_SCOPE)
    ),
}
# Folders that hold nothing else.
_FOLDERS: Mapping[Path, Callable[[Path], None]] = {
    Path("docs/events"): write_all,
    Path("docs/proxy"): write_reference,
    Path("proxy/generated"): write_code,
}


def generate(root: Path) -> None:
    """Write all of them below the folder."""
    for path, text in _TEXTS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text())
    for path, write in _FOLDERS.items():
        write(root / path)


def stale(root: Path) -> list[Path]:
    """Those that are not what the code makes of them, missing and left-over ones included."""
    with tempfile.TemporaryDirectory() as fresh:
        generate(Path(fresh))
        wanted = _contents(Path(fresh))
    found = _contents(root)
    return sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))


def _contents(root: Path) -> dict[Path, str]:
    return {path.relative_to(root): path.read_text() for path in _files(root)}


def _files(root: Path) -> Iterator[Path]:
    yield from (root / path for path in _TEXTS if (root / path).is_file())
    for folder in _FOLDERS:
        yield from (path for path in (root / folder).rglob("*") if path.is_file() and path.suffix != ".pyc")


if __name__ == "__main__":
    here = Path.cwd()
    if sys.argv[1:] == ["--check"]:
        if old := stale(here):
            sys.exit("not current, run `make generate`: " + ", ".join(map(str, old)))
    else:
        generate(here)
