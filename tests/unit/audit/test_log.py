"""What is written, and when it is durable."""

import asyncio
import json
import stat
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pytest

from agentd.audit import Head
from agentd.audit.report import Verdict
from agentd.audit.verification import verify
from agentd.core import AuditKind, PermanentError, Reason, TransientError, system_runtime
from tests.unit.audit.rig import EVENT, SMALL, entries, files, kinds, on_virtual_time, opened, written
from tests.virtual_time import virtual_runtime


async def test_an_entry_is_one_line_with_everything_in_its_place(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        rig.log.append(AuditKind.EVENT_CLAIMED, event_id=EVENT, attempt=1, step=None, message="é")
        await rig.log.flush()
        _, line = (tmp_path / "replica-1" / "000001.jsonl").read_bytes().splitlines(keepends=True)
    found = json.loads(line)
    assert list(found) == ["seq", "replica", "prev", "time", "kind", "facts", "hash"]
    assert (found["seq"], found["replica"], found["kind"]) == (2, "replica-1", "event.claimed")
    assert found["facts"] == {"event_id": EVENT, "attempt": 1, "message": "é"}, "what is None is left out"
    assert found["time"].endswith("Z")
    assert found["hash"] == sha256(line[: line.index(b',"hash":')]).hexdigest()
    assert line == json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


async def test_a_closed_log_says_what_it_is_from_its_first_to_its_last_line(tmp_path: Path) -> None:
    await written(tmp_path, 2)
    first, one, two, last = entries(tmp_path)
    assert (first["kind"], first["prev"], first["facts"]) == ("log.opened", "0" * 64, {"format": 1, "segment": 1})
    assert [one["prev"], two["prev"], last["prev"]] == [first["hash"], one["hash"], two["hash"]]
    assert (last["kind"], last["facts"]) == ("log.closed", {"segment": 1, "entries": 4, "final": True})


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    await written(tmp_path / "deep" / "audit", 1)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in [tmp_path / "deep" / "audit", *(tmp_path / "deep" / "audit").rglob("*")]
    }
    assert modes == {"audit": 0o700, "replica-1": 0o700, "stored": 0o700, "000001.jsonl": 0o600}


async def test_a_flush_returns_when_everything_before_it_is_on_disk(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        for number in range(1, 4):
            rig.append(number)
            await rig.log.flush()
            assert entries(tmp_path)[-1]["facts"]["attempt"] == number
            assert rig.log.head == Head("replica-1", number + 1, entries(tmp_path)[-1]["hash"])
        before = rig.value("flush_duration_seconds_count")
        await rig.log.flush()
        assert rig.value("flush_duration_seconds_count") == before, "nothing was left to write"


async def test_many_who_wait_share_a_write(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:

        async def event(number: int) -> None:
            rig.append(number)
            await rig.log.flush()

        before = rig.value("flush_duration_seconds_count")
        async with asyncio.TaskGroup() as group:
            for number in range(500):
                group.create_task(event(number))
        assert len(entries(tmp_path)) == 501
        assert rig.value("flush_duration_seconds_count") - before <= 3
        assert rig.value("entries_total", kind="event.claimed") == 500


async def test_one_who_gives_up_takes_nothing_along(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        rig.append(1)
        one = asyncio.create_task(rig.log.flush())
        other = asyncio.create_task(rig.log.flush())
        await asyncio.sleep(0)
        one.cancel()
        await other
        assert one.cancelled()
        assert entries(tmp_path)[-1]["facts"]["attempt"] == 1


async def test_segments_are_closed_at_their_size_and_follow_each_other(tmp_path: Path) -> None:
    await written(tmp_path, 100, segment_bytes=SMALL)
    assert len(files(tmp_path)) > 5
    assert all(file.stat().st_size < SMALL + 1024 for file in files(tmp_path))
    found = entries(tmp_path)
    assert [entry["seq"] for entry in found] == list(range(1, len(found) + 1))
    assert [entry["prev"] for entry in found[1:]] == [entry["hash"] for entry in found[:-1]]
    assert sum(entry["kind"] == "event.claimed" for entry in found) == 100
    finals = [entry["facts"]["final"] for entry in found if entry["kind"] == "log.closed"]
    assert finals == [False] * (len(finals) - 1) + [True]


def test_a_segment_is_closed_at_its_age_and_only_when_it_holds_something(tmp_path: Path) -> None:
    async def work() -> None:
        runtime = virtual_runtime()
        async with opened(tmp_path, runtime=runtime, segment_age_s=600) as rig, asyncio.TaskGroup() as group:
            running = group.create_task(rig.audit.run())
            await runtime.sleep(3600)
            assert kinds(tmp_path) == ["log.opened"]
            rig.append()
            await runtime.sleep(590)
            assert kinds(tmp_path)[1:] == ["event.claimed"], "written although nobody waited for it"
            await runtime.sleep(20)
            assert kinds(tmp_path)[2:] == ["log.closed", "log.opened"]
            running.cancel()

    on_virtual_time(work)


async def test_secrets_do_not_get_in(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        rig.log.append(
            AuditKind.CONTROL,
            cookie="hunter2",
            token=7,
            message="the server said: Authorization: Bearer abcdefgh12345678",
            nested={"api_key": "x", "names": ["https://user:pass@host/"]},
        )
    facts = entries(tmp_path)[1]["facts"]
    assert facts["token"] == 7, "a fencing token is a number"
    for secret in ("hunter2", "abcdefgh12345678", "user:pass", '"x"'):
        assert secret not in json.dumps(facts)


@pytest.mark.parametrize(
    "facts",
    [
        {"event_id": "\ud800", "other": "é"},
        {"ratio": float("nan"), "limit": float("inf")},
        {"text": 'a\n"b"\r\x00\u2028,"hash":"'},
        {"object": object(), "several": {"b", "a"}, "kind_of": AuditKind.CONTROL},
        {f"fact_{number}": "x" * 5000 for number in range(40)},
        {"deep": [[[[[[[[["x"]]]]]]]]]},
    ],
    ids=["surrogate", "not finite", "control characters", "objects", "large", "deep"],
)
async def test_whatever_is_told_becomes_an_entry_of_bounded_size(tmp_path: Path, facts: dict[str, object]) -> None:
    async with opened(tmp_path) as rig:
        rig.log.append(AuditKind.CONTROL, **facts)
        rig.append()
    assert verify([tmp_path]).verdict is Verdict.INTACT
    assert set(entries(tmp_path)[1]["facts"]) == set(facts)
    assert all(len(line) < 20_000 for line in files(tmp_path)[0].read_bytes().splitlines())


async def test_too_many_that_wait_are_refused_and_leave_no_gap(tmp_path: Path) -> None:
    async with opened(tmp_path, queue_limit=100) as rig:
        for number in range(100):
            rig.append(number)
        with pytest.raises(TransientError, match="100 entries wait for the disk") as caught:
            rig.append(100)
        assert caught.value.reason is Reason.UNAVAILABLE
        await rig.log.flush()
        rig.append(1000)
    assert verify([tmp_path]).verdict is Verdict.INTACT
    assert [entry["facts"]["attempt"] for entry in entries(tmp_path)[1:-1]] == [*range(100), 1000]


async def test_nothing_comes_after_the_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        pass
    with pytest.raises(TransientError, match="has been closed"):
        rig.append()


async def test_a_name_that_could_lead_elsewhere_does_not(tmp_path: Path) -> None:
    await written(tmp_path / "audit", 1, replica="../../a host/é")
    (file,) = files(tmp_path)
    assert file.parent.parent == tmp_path / "audit"
    assert verify([tmp_path]).verdict is Verdict.INTACT


async def test_a_name_is_used_once(tmp_path: Path) -> None:
    await written(tmp_path, 1)
    with pytest.raises(PermanentError, match="the audit log cannot be kept in"):
        await written(tmp_path, 1)
    assert len(entries(tmp_path)) == 3


async def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "audit").touch()
    with pytest.raises(PermanentError, match=r"audit: .*exists") as caught:
        await written(tmp_path / "audit", 1)
    assert caught.value.reason is Reason.ACCESS_DENIED


async def test_times_are_the_runtimes(tmp_path: Path) -> None:
    runtime = system_runtime()
    before = runtime.now()
    await written(tmp_path, 1)
    times = [datetime.fromisoformat(entry["time"]).timestamp() for entry in entries(tmp_path)]
    assert times == sorted(times)
    assert before - 0.001 <= times[0] <= times[-1] <= runtime.now()
