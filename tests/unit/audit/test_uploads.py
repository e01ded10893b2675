"""Copies: what is sent when, what dead replicas leave behind, and what goes from the disk."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agentd.audit import AuditConfig
from agentd.audit.report import Verdict
from agentd.audit.verification import verify
from agentd.core import PermanentError, Reason, TransientError
from agentd.platform.local.audit import FolderAuditStore
from tests.unit.audit.rig import SMALL, MemoryStore, Rig, entries, files, on_virtual_time, opened, written
from tests.virtual_time import virtual_runtime


def _names(folder: Path) -> list[str]:
    return [str(file.relative_to(folder)) for file in files(folder)]


async def _round(rig: Rig) -> bool:
    assert rig.audit.uploads is not None
    return await rig.audit.uploads.round()


async def test_closed_segments_are_sent_once_and_the_open_one_is_not(tmp_path: Path) -> None:
    store = MemoryStore()
    async with opened(tmp_path, store=store, segment_bytes=SMALL) as rig:
        for number in range(30):
            rig.append(number)
        await rig.log.flush()
        last = rig.log.first_open_segment
        assert await _round(rig)
        assert sorted(store.kept) == [f"replica-1/{number:06d}.jsonl" for number in range(1, last)]
        assert _names(tmp_path) == [
            f"replica-1/{last:06d}.jsonl",
            *(f"replica-1/stored/{number:06d}.jsonl" for number in range(1, last)),
        ]
        assert await _round(rig)
        assert rig.value("uploads_total", result="ok") == last - 1
        assert rig.value("upload_age_seconds") == 0
    assert f"replica-1/{last:06d}.jsonl" in store.kept, "the end is sent too"
    assert verify([tmp_path]).verdict is Verdict.INTACT


def test_entries_reach_the_store_within_the_interval_and_an_idle_replica_sends_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        runtime, store = virtual_runtime(), MemoryStore()
        settings: dict[str, Any] = {"upload_interval_s": 60, "copy_directory": "/somewhere"}
        async with opened(tmp_path, store=store, runtime=runtime, **settings) as rig, asyncio.TaskGroup() as group:
            running = group.create_task(rig.audit.run())
            await runtime.sleep(600)
            assert store.kept == {}
            rig.append()
            await runtime.sleep(122)
            assert list(store.kept) == ["replica-1/000001.jsonl"]
            await runtime.sleep(600)
            assert len(store.kept) == 1
            assert rig.health.ailments() == ()
            running.cancel()

    on_virtual_time(work)


def test_a_store_that_is_away_is_asked_less_and_less_and_its_lack_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        runtime = virtual_runtime()
        away: list[Exception] = [TransientError(Reason.UNAVAILABLE, "s3 PutObject: no answer") for _ in range(12)]
        store = MemoryStore(errors=away)
        settings: dict[str, Any] = {"upload_interval_s": 10, "copy_directory": "/somewhere"}
        async with (
            opened(tmp_path, store=store, runtime=runtime, **settings) as rig,
            asyncio.TaskGroup() as group,
        ):
            running = group.create_task(rig.audit.run())
            rig.append()
            await runtime.sleep(700)
            assert 5 <= rig.value("uploads_total", result="failed") <= 9
            assert store.kept == {}
            os.utime(files(tmp_path)[0], (runtime.now() - 700, runtime.now() - 700))
            await runtime.sleep(400)
            assert rig.value("upload_age_seconds") > 700
            rig.append()
            await rig.log.flush()
            assert rig.health.unready()["audit"] is None, "the agent goes on"
            store.errors.clear()
            await runtime.sleep(301)
            assert len(store.kept) == 2
            assert rig.value("upload_age_seconds") == 0
            running.cancel()

    on_virtual_time(work)


async def test_what_the_store_refuses_holds_up_nothing_else(tmp_path: Path) -> None:
    store = MemoryStore(errors=[PermanentError(Reason.CONFLICT, "holds something else")])
    async with opened(tmp_path, store=store, segment_bytes=SMALL) as rig:
        for number in range(30):
            rig.append(number)
        await rig.log.flush()
        assert not await _round(rig)
        assert rig.value("uploads_total", result="refused") == 1
        assert "replica-1/000002.jsonl" in store.kept
        assert "replica-1/000001.jsonl" in _names(tmp_path), "it stays where it is"


async def test_a_start_sends_what_a_dead_replica_has_left(tmp_path: Path) -> None:
    async with opened(tmp_path / "audit", "dead", segment_bytes=SMALL) as rig:
        for number in range(15):
            rig.append(number)
        await rig.log.flush()
        shutil.copytree(tmp_path / "audit", tmp_path / "left")
    left, store = tmp_path / "left", MemoryStore()
    torn = files(left)[-1]
    torn.write_bytes(torn.read_bytes()[:-5])
    async with opened(left, "next", store=store) as rig:
        rig.append()
        assert await _round(rig)
        assert sorted(store.kept) == ["dead/000001.jsonl", "dead/000002.jsonl"]
        assert store.kept["dead/000002.jsonl"] == (left / "dead" / "stored" / "000002.jsonl").read_bytes()
    report = verify([left])
    assert report.verdict is Verdict.INCOMPLETE
    assert [problem.what[:8] for chain in report.chains for problem in chain.problems] == ["torn end"]


async def test_a_replica_that_still_runs_keeps_its_own(tmp_path: Path) -> None:
    store = MemoryStore()
    async with opened(tmp_path, "other") as other, opened(tmp_path, "one", store=store) as one:
        other.append()
        await other.log.flush()
        assert await _round(one)
        assert store.kept == {}


async def test_old_segments_go_once_they_have_a_copy_and_never_before(tmp_path: Path) -> None:
    store = MemoryStore()
    await written(tmp_path, 3, "older")
    async with opened(tmp_path, "one", store=store, segment_bytes=SMALL, keep_s=3600) as rig:
        for number in range(30):
            rig.append(number)
        await rig.log.flush()
        for file in files(tmp_path)[:-2]:
            os.utime(file, (0, 0))
        store.errors.append(TransientError(Reason.UNAVAILABLE, "away"))
        before = _names(tmp_path)
        await _round(rig)
        assert _names(tmp_path) == before
        await _round(rig)
        assert _names(tmp_path) == ["one/000003.jsonl", "one/stored/000002.jsonl"]
        assert not (tmp_path / "older").exists()
    assert {"one/000001.jsonl", "older/000001.jsonl"} <= set(store.kept)


async def test_without_a_place_for_copies_nothing_goes(tmp_path: Path) -> None:
    await written(tmp_path, 3, "older")
    os.utime(files(tmp_path)[0], (0, 0))
    await written(tmp_path, 3, "newer", keep_s=0)
    assert len(entries(tmp_path)) == 10


async def test_copies_in_a_folder_are_a_log_of_their_own(tmp_path: Path) -> None:
    store = FolderAuditStore(tmp_path / "copies", timeout_s=10)
    async with opened(tmp_path / "audit", store=store, segment_bytes=SMALL) as rig:
        for number in range(30):
            rig.append(number)
    assert verify([tmp_path / "copies"]).verdict is Verdict.INTACT
    assert verify([tmp_path / "copies", tmp_path / "audit"]).verdict is Verdict.INTACT
    assert entries(tmp_path / "copies") == entries(tmp_path / "audit")


@pytest.mark.parametrize("settings", [{"bucket": "b", "copy_directory": "/c"}])
def test_there_is_one_place_for_copies(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="set bucket or copy_directory, not both"):
        AuditConfig.model_validate(settings)
