"""The same daemon and the same commands on Azurite's queues and on those in a file."""

import json
import os
import random
import signal
from pathlib import Path

import pytest

from agentd.cli.azurite import run_azurite
from agentd.cli.control_plane import control_plane, event
from agentd.cli.demo import Teller
from agentd.cli.errors import StackError
from agentd.cli.stack import Stack, free_port, start_stack
from agentd.cli.stack_queues import QueueChoice
from agentd.cli.story import Stage, story
from agentd.core import system_runtime
from agentd.events import ProjectCreate
from tests.e2e.harness import agentd, running, settled, tell, uuid_of
from tests.e2e.test_replicas import once_reported

POINTS = 4
SEED = 20261124
OTHERS = (QueueChoice.AZURE, QueueChoice.EMBEDDED)


@pytest.mark.parametrize(
    ("choice", "fifo"),
    [(QueueChoice.AZURE, False), (QueueChoice.EMBEDDED, False), (QueueChoice.EMBEDDED, True)],
    ids=["azure", "embedded", "embedded-fifo"],
)
@pytest.mark.slow
async def test_the_story_is_the_same(tmp_path: Path, choice: QueueChoice, fifo: bool) -> None:
    runtime = system_runtime()
    async with (
        start_stack(tmp_path, queues=choice, fifo=fifo) as stack,
        running(stack),
        control_plane(stack, runtime) as plane,
    ):
        teller = Teller(Stage(stack, runtime), plane, once_reported(story(fifo=True)) if fifo else story())
        await teller.tell(lambda _told: None)
        assert [(told.telling.title, told.found) for told in teller.told.values() if not told.right] == []
        await settled(stack)


@pytest.mark.parametrize("choice", OTHERS)
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_kill_9_changes_neither_the_end_state_nor_the_reports(tmp_path: Path, choice: QueueChoice) -> None:
    counted = tmp_path / "points"
    reference, deaths = await tell(tmp_path / "reference", {"KILL_POINTS": str(counted)}, queues=choice)
    assert not deaths
    number = int(counted.read_text())
    died: list[int] = []
    chosen = random.Random(SEED)
    for slot in range(POINTS):
        point = int((slot + chosen.random()) / POINTS * number) + 1
        world, deaths = await tell(tmp_path / f"kill-{point}", {"KILL_AT": str(point)}, {}, queues=choice)
        assert world == reference, point
        died += deaths
    # The number of awaits varies a little between runs, so the last point may lie behind the end.
    assert died.count(-signal.SIGKILL) >= POINTS - 1


async def _run(stack: Stack, *arguments: str, code: int = 0) -> str:
    ran = await agentd(*arguments, environment=stack.environment())
    assert "Traceback" not in ran.err, ran.err
    assert ran.code == code, ran.out + ran.err
    return ran.out


@pytest.mark.parametrize("choice", OTHERS)
@pytest.mark.slow
async def test_commands_work_as_on_sqs(tmp_path: Path, choice: QueueChoice) -> None:
    runtime = system_runtime()
    project = ProjectCreate(project_id=uuid_of(f"others {choice}"), project_name="others")
    sent = tmp_path / "sent.json"
    sent.write_text(event(project, 1, event_id=uuid_of("sent")))
    async with (
        start_stack(tmp_path / "stack", queues=choice) as stack,
        running(stack),
        control_plane(stack, runtime) as plane,
    ):
        await _run(stack, "send", str(sent))
        assert (await plane.report(uuid_of("sent")))["data"]["outcome"] == "succeeded"
        await plane.send('{"no": "event"}')
        report = await plane.report(None)
        await settled(stack)
        (entry,) = json.loads(await _run(stack, "dlq", "list", "-o", "json"))
        assert (entry["reason"], entry["body"]) == ("malformed", '{"no": "event"}')
        assert report["data"]["key"] == entry["key"]
        redriven = json.loads(await _run(stack, "dlq", "redrive", entry["message_id"], "-o", "json"))
        assert len(redriven["redriven"]) == 1
        assert (await plane.report(None, count=2))["data"]["outcome"] == "rejected"
        found = json.loads(await _run(stack, "doctor", "--only", "queues", "-o", "json"))
        assert found["counts"]["failed"] == 0
        statuses = {finding["check"]: finding["status"] for finding in found["findings"]}
        assert statuses["queues.commands.redrive"] == "ok"
        assert statuses["queues.dead-letters.type"] == "ok"
        rights = {
            (row["service"], row["action"])
            for row in json.loads(await _run(stack, "schema", "permissions", "-o", "json"))
            if row["event"] == "agentd"
        }
        assert not any(action.startswith("sqs:") for _, action in rights)
        assert any(service == "azure" for service, _ in rights) == (choice is QueueChoice.AZURE)


@pytest.mark.slow
async def test_doctor_before_the_first_start_of_an_embedded_installation(tmp_path: Path) -> None:
    async with start_stack(tmp_path, queues=QueueChoice.EMBEDDED) as stack:
        (tmp_path / "queues.db").unlink()
        found = json.loads(await _run(stack, "doctor", "--only", "queues", "-o", "json"))
    assert {finding["status"] for finding in found["findings"]} == {"ok", "skipped"}
    assert not (tmp_path / "queues.db").exists()


async def test_missing_azurite_is_an_error_that_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr("agentd.cli.azurite._IN_THE_REPOSITORY", tmp_path)
    with pytest.raises(StackError, match="npm install --global azurite"):
        async with run_azurite(free_port(), tmp_path / "log"):
            pass
