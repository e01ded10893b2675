"""What the conformance suite cannot see of a queue in a file: time that passes, the file itself, and other processes."""

import asyncio
import sqlite3
import stat
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from subprocess import PIPE
from typing import Any, TypeVar

import pytest

from agentd.bus import Done, EntryRefused, Outgoing, QueueDepth
from agentd.bus.embedded import Attributes, EmbeddedQueue
from agentd.core import PermanentError, Reason, Runtime, system_runtime
from tests.virtual_time import START, VirtualTimeLoop, virtual_runtime

T = TypeVar("T")
DAY_S = 86_400.0


def run(work: Coroutine[Any, Any, T]) -> T:
    """On a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


@asynccontextmanager
async def opened(
    folder: Path, name: str = "commands", *, runtime: Runtime | None = None, attributes: Attributes | None = None
) -> AsyncIterator[EmbeddedQueue]:
    """A queue of that name in the folder's file."""
    queue = EmbeddedQueue(
        f"file://{folder}/queues.db?name={name}",
        name="commands",
        runtime=runtime or virtual_runtime(),
        create=True,
        attributes=attributes,
    )
    await queue.open()
    try:
        yield queue
    finally:
        await queue.close()


def test_messages_and_attributes_outlive_the_process(tmp_path: Path) -> None:
    async def before() -> None:
        async with opened(tmp_path, attributes=Attributes(retention_s=777)) as queue:
            await queue.send([Outgoing("kept", {"colour": "red"})])

    async def after() -> tuple[str, dict[str, str], float]:
        async with opened(tmp_path) as queue:
            (message,) = await queue.receive(1, wait_s=0, visibility_s=1)
            return message.body, message.attributes, queue.limits.retention_s

    run(before())
    assert run(after()) == ("kept", {"colour": "red"}, 777)


def test_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    async def make() -> None:
        async with opened(tmp_path / "new"):
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
            assert set(modes.values()) == {0o600}

    run(make())
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_dedupe_id_is_forgotten_after_five_minutes(tmp_path: Path) -> None:
    async def play() -> list[int]:
        runtime = virtual_runtime()
        counts = []
        async with opened(tmp_path, "q.fifo", runtime=runtime) as queue:
            for pause_s in (0, 299, 2):
                await runtime.sleep(pause_s)
                assert await queue.send([Outgoing("again", group="g", dedupe_id="d")]) == [Done()]
                counts.append((await queue.depth()).visible)
        return counts

    assert run(play()) == [1, 1, 2]


def test_message_past_its_retention_is_gone_and_leaves_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        runtime = virtual_runtime()
        async with opened(tmp_path, runtime=runtime, attributes=Attributes(retention_s=3600)) as queue:
            await queue.send([Outgoing("old")])
            await runtime.sleep(3590)
            await queue.send([Outgoing("young")])
            assert (await queue.depth()).visible == 2
            await runtime.sleep(20)
            assert (await queue.depth()).visible == 1
            received = await queue.receive(10, wait_s=0, visibility_s=1)
            assert [message.body for message in received] == ["young"]

    run(play())
    with closing(sqlite3.connect(tmp_path / "queues.db")) as file:
        assert file.execute("SELECT body FROM messages").fetchall() == [("young",)]


@pytest.mark.parametrize(("name", "sent_at"), [("q", START), ("q.fifo", START + 100)])
def test_retention_of_a_moved_message_counts_as_on_sqs(tmp_path: Path, name: str, sent_at: float) -> None:
    async def play() -> float | None:
        runtime = virtual_runtime()
        letters = name.replace("q", "letters")
        wanted = Attributes(dead_letters=letters, max_receive_count=1)
        async with (
            opened(tmp_path, name, runtime=runtime, attributes=wanted) as queue,
            opened(tmp_path, letters, runtime=runtime) as dead,
        ):
            await queue.send([Outgoing("poison", group="g", dedupe_id="d")])
            await queue.receive(1, wait_s=0, visibility_s=1)
            await runtime.sleep(100)
            assert await queue.receive(1, wait_s=0, visibility_s=1) == []
            (moved,) = await dead.receive(1, wait_s=0, visibility_s=1)
            assert moved.receive_count == 1
            return moved.sent_at

    assert run(play()) == pytest.approx(sent_at, abs=1)


def test_message_is_hidden_for_twelve_hours_from_its_receive_on_at_most(tmp_path: Path) -> None:
    async def play() -> None:
        runtime = virtual_runtime()
        async with opened(tmp_path, runtime=runtime) as queue:
            await queue.send([Outgoing("long")])
            (message,) = await queue.receive(1, wait_s=0, visibility_s=36_000)
            await runtime.sleep(35_000)
            assert await queue.change_visibility([(message.receipt, 8_200)]) == [Done()]
            (result,) = await queue.change_visibility([(message.receipt, 8_201)])
            assert isinstance(result, EntryRefused)

    run(play())


def test_many_of_a_blocked_group_do_not_hide_another_group(tmp_path: Path) -> None:
    async def play() -> str:
        async with opened(tmp_path, "q.fifo") as queue:
            for start in range(0, 320, 32):
                await queue.send([Outgoing(str(n), group="a", dedupe_id=str(n)) for n in range(start, start + 32)])
            await queue.send([Outgoing("other", group="b", dedupe_id="other")])
            await queue.receive(1, wait_s=0, visibility_s=30)
            (message,) = await queue.receive(32, wait_s=0, visibility_s=30)
            return message.body

    assert run(play()) == "other"


def _foreign(path: Path) -> None:
    path.write_text("this is no database, and is long enough to look like one " * 20)


def _of_others(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE theirs (id)")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA application_id = 1634165873")
        file.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize(
    ("spoil", "reason", "why"),
    [
        (_foreign, Reason.INVALID_REQUEST, "not a database"),
        (_of_others, Reason.INVALID_REQUEST, "no file of queues"),
        (_newer, Reason.UNSUPPORTED, "version 2"),
        (Path.mkdir, Reason.INVALID_REQUEST, "there is no file"),
    ],
)
def test_file_that_is_no_file_of_queues_is_refused_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], None], reason: Reason, why: str
) -> None:
    path = tmp_path / "queues.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None

    async def play() -> None:
        async with opened(tmp_path):
            pass

    with pytest.raises(PermanentError, match=f"open on queue commands: .*(?:{why})") as caught:
        run(play())
    assert caught.value.reason is reason
    assert before is None or path.read_bytes() == before


@pytest.mark.asyncio
async def test_another_reader_sees_a_message_within_tens_of_milliseconds(tmp_path: Path) -> None:
    runtime = system_runtime()
    async with opened(tmp_path, runtime=runtime) as sender, opened(tmp_path, runtime=runtime) as reader:
        waited: list[float] = []
        for _ in range(5):
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                poll = group.create_task(reader.receive(1, wait_s=20, visibility_s=30))
                await sender.send([Outgoing("wake")])
                sent_at = runtime.monotonic()
                await poll
            waited.append(runtime.monotonic() - sent_at)
    assert sorted(waited)[2] < 0.1, waited


@asynccontextmanager
async def process(url: str, what: str, number: int) -> AsyncIterator[Process]:
    """Another process at the queue, ready."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.unit.bus.embedded_process", url, what, str(number)), stdin=PIPE, stdout=PIPE
    )
    try:
        assert child.stdout is not None
        assert (await child.stdout.readline()).strip() == b"ready"
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


@pytest.mark.slow
@pytest.mark.asyncio
async def test_another_process_wakes_a_reader(tmp_path: Path) -> None:
    async with opened(tmp_path, runtime=system_runtime()) as queue, process(queue.url, "send", 1) as child:
        poll = asyncio.create_task(queue.receive(1, wait_s=20, visibility_s=30))
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"go\n")
        _, sent_at = (await child.stdout.readline()).split()
        await poll
        assert time.time() - float(sent_at) < 0.2


@pytest.mark.slow
@pytest.mark.asyncio
async def test_processes_share_a_queue_and_one_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    number = 200
    async with opened(tmp_path, runtime=system_runtime()) as queue:
        for start in range(0, number, 20):
            await queue.send([Outgoing(str(n)) for n in range(start, start + 20)])
        outputs = []
        async with process(queue.url, "take", 7) as killed, asyncio.timeout(60):
            outputs += [await killed.communicate(b"go\n")]
        assert killed.returncode == -9
        async with (
            process(queue.url, "take", -1) as first,
            process(queue.url, "take", -1) as second,
            asyncio.timeout(60),
        ):
            outputs += await asyncio.gather(*(child.communicate(b"go\n") for child in (first, second)))
        taken = [line.split()[1] for output, _ in outputs for line in output.splitlines()]
        while (await queue.depth()) != QueueDepth(visible=0, in_flight=0, delayed=0):
            rest = await queue.receive(10, wait_s=5, visibility_s=30)
            taken += [message.body.encode() for message in rest]
            await queue.delete([message.receipt for message in rest])
    assert sorted(taken, key=int) == [str(n).encode() for n in range(number)]
