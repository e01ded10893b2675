"""Several processes on one file, processes that are killed, and a disk that is full."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agentd.ledger import RecordState
from tests.conformance.ledger.rig import LEASE_S, NOW, Event, claimed, project
from tests.unit.ledger.conftest import Open

REPOSITORY = Path(__file__).parents[3]


@contextmanager
def child(what: str, path: Path, argument: str = "") -> Iterator[subprocess.Popen[str]]:
    """A child process at work. It is killed in the end if it still runs."""
    command = [sys.executable, "-m", "tests.unit.ledger.children", what, str(path), argument]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_what_was_acknowledged_survives_a_kill(open_ledger: Open, path: Path) -> None:
    acknowledged = []
    with child("finish_for_ever", path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged.append(int(line))
            if len(acknowledged) == 300:
                break
        process.kill()
        acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]

    ledger = await open_ledger()
    for number in acknowledged:
        record = await ledger.lookup(Event(number).key)
        assert record is not None, number
        assert record.state is RecordState.FINISHED
    stats = await ledger.stats()
    entries = await ledger.outbox(100_000)
    assert stats.outbox == stats.finished_events == len(entries), "each end with its report"
    assert {f"report-{number}-1" for number in acknowledged} <= {entry.report_id for entry in entries}
    # And the ledger goes on: what was under way is taken over.
    for number in range(1, 9):
        await claimed(ledger, Event(10**9 + number, generation=2, subject=project(number)), now=NOW + LEASE_S)


async def test_processes_that_open_and_claim_at_once(open_ledger: Open, path: Path) -> None:
    names = "abcd"
    with ExitStack() as stack:
        children = [stack.enter_context(child("claim_all", path, name)) for name in names]
        for process in children:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in children:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        results = [process.communicate(timeout=30) for process in children]
    assert [errors for _, errors in results] == [""] * len(names)
    won = {name: [int(line) for line in out.split()] for name, (out, _) in zip(names, results, strict=True)}
    assert sorted(number for numbers in won.values() for number in numbers) == list(range(1, 41))

    ledger = await open_ledger()
    for name, numbers in won.items():
        for number in numbers:
            state = await ledger.subject(project(number))
            assert state is not None
            assert state.held_by is not None
            assert (state.held_by.by_replica, state.token) == (name, 1)


def test_a_full_disk_is_a_passing_fault(path: Path) -> None:
    with child("fill_the_disk", path) as process:
        out, errors = process.communicate(timeout=30)
    assert errors == ""
    assert out.splitlines() == ["all transient", "1 0", "2 1"]
