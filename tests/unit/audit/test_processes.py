"""Processes that are killed, two in one folder, and a disk that is full or gone."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agentd.audit.reading import Entry, lines, parse
from agentd.audit.report import Verdict
from agentd.audit.verification import verify
from agentd.core import TransientError
from tests.unit.audit.rig import entries, files, opened, written

REPOSITORY = Path(__file__).parents[3]


@contextmanager
def child(what: str, folder: Path, replica: str = "child") -> Iterator[subprocess.Popen[str]]:
    """A child process at work. It is killed in the end if it still runs."""
    command = [sys.executable, "-m", "tests.unit.audit.children", what, str(folder), replica]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _killed_after(process: subprocess.Popen[str], count: int) -> list[int]:
    """Numbers that the child has said until it was killed, in the middle of its work."""
    assert process.stdout is not None
    said = [int(next(process.stdout)) for _ in range(count)]
    process.kill()
    return said + [int(line) for line in process.stdout if line.endswith("\n")]


async def test_what_was_flushed_survives_a_kill(tmp_path: Path) -> None:
    for round_ in range(3):
        with child("append_for_ever", tmp_path, f"child-{round_}") as process:
            durable = _killed_after(process, 200)
        report = verify([tmp_path])
        assert report.verdict is not Verdict.TAMPERED, report
        there = [entry.facts.get("attempt") for entry in _whole_entries(tmp_path / f"child-{round_}")]
        assert set(durable) <= set(there)
        assert len(files(tmp_path / f"child-{round_}")) > 1
    # And the next start goes on beside it, and vouches for what it found.
    await written(tmp_path, 3, "next")
    first = next(entry for entry in _whole_entries(tmp_path) if entry.replica == "next")
    assert len(first.facts["found"]) == 3
    assert verify([tmp_path]).verdict is not Verdict.TAMPERED


def _whole_entries(folder: Path) -> list[Entry]:
    found = []
    for path in files(folder):
        with path.open("rb") as file:
            found += [entry for line in lines(file) if (entry := parse(line.data)) is not None]
    return found


def test_two_replicas_share_a_folder(tmp_path: Path) -> None:
    with ExitStack() as stack:
        children = [stack.enter_context(child("append_for_ever", tmp_path, name)) for name in ("one", "two")]
        said = [_killed_after(process, 100) for process in children]
    report = verify([tmp_path])
    assert report.verdict is not Verdict.TAMPERED
    assert [chain.chain for chain in report.chains] == ["one", "two"]
    assert all(chain.entries > len(numbers) for chain, numbers in zip(report.chains, said, strict=True))


def test_a_full_disk_is_a_passing_fault_and_leaves_no_trace(tmp_path: Path) -> None:
    with child("fill_the_disk", tmp_path) as process:
        out, errors = process.communicate(timeout=30)
    assert out.splitlines() == [
        "unavailable: 000001.jsonl: File too large",
        "unavailable: 000001.jsonl: File too large",
        "not ready: True, head 2",
        "meanwhile incomplete",
        "not ready: False, head 5",
        "intact 6 True",
    ]
    assert [json.loads(line)["event"] for line in errors.splitlines()] == ["audit.unwritable", "audit.writable"]


def test_an_end_on_a_full_disk_leaves_half_of_nothing(tmp_path: Path) -> None:
    with child("stop_on_a_full_disk", tmp_path) as process:
        out, _ = process.communicate(timeout=30)
    assert out.splitlines() == ["intact 1 False True"]


async def test_a_folder_that_is_gone_is_a_passing_fault(tmp_path: Path) -> None:
    async with opened(tmp_path, segment_bytes=4096) as rig:
        shutil.move(tmp_path / "replica-1", tmp_path / "elsewhere")
        for number in range(30):
            rig.append(number)
        with pytest.raises(TransientError, match=r"000002\.jsonl: No such file") as caught:
            await rig.log.flush()
        assert rig.health.unready()["audit"] is not None
        assert str(tmp_path) in caught.value.message
        shutil.move(tmp_path / "elsewhere", tmp_path / "replica-1")
        await rig.log.flush()
        assert rig.health.unready()["audit"] is None
    assert verify([tmp_path]).verdict is Verdict.INTACT
    assert sum(entry["kind"] == "event.claimed" for entry in entries(tmp_path)) == 30
