"""What is told of handlers, as installed packages offer them."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.cli.doctor import handlers
from agentd.cli.doctor.findings import Status
from agentd.dispatch import load_handlers
from tests.unit.cli.doctor.rig import examined


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose packages are installed; one offers a handler module that is not there."""
    information = tmp_path / "broken-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[agentd.handlers]\nbroken = nowhere_at_all:HANDLERS\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    importlib.invalidate_caches()


async def test_handlers_that_can_be_loaded() -> None:
    first, _ = await examined(*handlers.CHECKS)
    assert (first.check, first.status) == ("handlers.load", Status.OK)


async def test_handlers_that_cannot_be_loaded(installed: Path) -> None:
    first, second = await examined(*handlers.CHECKS)
    assert first.status is Status.FAILED
    assert "nowhere_at_all" in first.found
    assert "agentd run" in first.mend
    assert (second.check, second.status) == ("handlers.events", Status.SKIPPED)


def test_events_without_a_handler_are_named() -> None:
    found = load_handlers()
    assert handlers.events(found).status is Status.OK
    less = {event: handler for event, handler in found.items() if event != "conveyor.project.create.v1"}
    finding = handlers.events(less)
    assert finding.status is Status.WARNING
    assert "conveyor.project.create.v1" in finding.found
