"""`python -m agentd.cli.generate [--check]`: writes, or checks, every file that follows from the code."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from agentd.events.schema import write_all
from agentd.settings import settings_reference
from agentd.telemetry import Metrics, metrics_reference

_TEXTS: Mapping[Path, Callable[[], str]] = {
    Path("docs/metrics.md"): lambda: metrics_reference(Metrics()),
    Path("docs/settings.md"): settings_reference,
}
_SCHEMAS = Path("docs/events")


def generate(root: Path) -> None:
    """Write all of them below the folder."""
    for path, text in _TEXTS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text())
    write_all(root / _SCHEMAS)


def stale(root: Path) -> list[Path]:
    """Those that are not what the code makes of them, missing and left-over ones included."""
    with tempfile.TemporaryDirectory() as fresh:
        generate(Path(fresh))
        wanted = _contents(Path(fresh))
    found = {path: text for path, text in _contents(root).items() if path in _TEXTS or path.parent == _SCHEMAS}
    return sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))


def _contents(root: Path) -> dict[Path, str]:
    return {path.relative_to(root): path.read_text() for path in (root / "docs").rglob("*") if path.is_file()}


if __name__ == "__main__":
    here = Path.cwd()
    if sys.argv[1:] == ["--check"]:
        if old := stale(here):
            sys.exit("not current, run `make generate`: " + ", ".join(map(str, old)))
    else:
        generate(here)
