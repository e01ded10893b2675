"""Whatever is sent, every message gets exactly one outcome, and the daemon lives."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentd.bus import QueueDepth
from agentd.cli.control_plane import ControlPlane, control_plane
from agentd.cli.stack import Stack, start_stack
from agentd.core import system_runtime
from tests.e2e.fuzz import messages
from tests.e2e.harness import depth, eventually, running, settled, sqs

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient

Json = dict[str, Any]  # a report's data

SEED = 20261125
SENDERS = 6
COLLECTORS = 3


async def send_all(stack: Stack, bodies: Iterable[str]) -> Mapping[str, str]:
    """Send all of them, past the code under test; the bodies by message id."""
    sent: dict[str, str] = {}
    waiting = iter(bodies)

    async def sender(client: "SQSClient") -> None:
        for body in waiting:
            answer = await client.send_message(QueueUrl=stack.commands_url, MessageBody=body)
            sent[answer["MessageId"]] = body

    async with sqs(stack) as client, asyncio.TaskGroup() as group:
        for _ in range(SENDERS):
            group.create_task(sender(client))
    return sent


def ends(plane: ControlPlane) -> Mapping[str, list[Json]]:
    """The different reports by the key that they are about. The same report twice is one."""
    found: dict[str, dict[str, Json]] = defaultdict(dict)
    for report in plane.outcomes:
        data = report["data"]
        known = found[data["key"]].setdefault(report["id"], data)
        assert (known["outcome"], known["reason"], known["changed"]) == (
            data["outcome"],
            data["reason"],
            data["changed"],
        )
    return {key: list(reports.values()) for key, reports in found.items()}


def key_of(message_id: str, body: str, found: Collection[str]) -> str:
    """What the report of a message is about: the message itself, or else the event in it."""
    if f"message/{message_id}" in found:
        return f"message/{message_id}"
    return f"event/{json.loads(body)['id']}"


async def survive(folder: Path, number: int, *, within_s: float) -> str:
    """Send so many messages to a daemon and hold it to what it promises; a line on how fast it was."""
    async with (
        start_stack(folder) as stack,
        control_plane(stack, system_runtime()) as plane,
        asyncio.TaskGroup() as group,
    ):
        collecting = [group.create_task(plane.collect()) for _ in range(COLLECTORS)]
        # What a delete pre-empts comes back after a lease and a wait in the lane.
        short = {"AGENTD_DISPATCH__LEASE_S": "5", "AGENTD_DISPATCH__LANE_WAIT_S": "1"}
        async with running(stack, **short) as daemon:
            assert daemon.process is not None
            pid = daemon.process.pid
            began_at = time.monotonic()
            sent = await send_all(stack, messages(number, seed=SEED, most_bytes=await most_bytes(stack)))
            sent_s = time.monotonic() - began_at
            assert len(sent) == number

            async def all_reported() -> bool:
                return len({report["data"]["key"] for report in plane.outcomes}) >= number

            await eventually(all_reported, within_s=within_s)
            await settled(stack)
            seconds = time.monotonic() - began_at
            assert daemon.process.returncode is None
            assert daemon.process.pid == pid
            assert (await daemon.get("/livez"))[0] == 200
        for task in collecting:
            task.cancel()
        found = ends(plane)
        # One report for each message, and one message for each report.
        assert {key_of(message_id, body, found) for message_id, body in sent.items()} == found.keys()
        assert len(found) == number
        assert [reports for reports in found.values() if len(reports) != 1] == []
        outcomes = Counter(reports[0]["outcome"] for reports in found.values())
        dead = outcomes["rejected"] + outcomes["failed"]
        assert await depth(stack, stack.dead_letters_url) == QueueDepth(visible=dead, in_flight=0, delayed=0)
        check_log(folder / "agentd.log")
    return f"{number} messages in {seconds:.1f} s ({number / seconds:.0f}/s; sent in {sent_s:.1f} s): {dict(outcomes)}"


async def most_bytes(stack: Stack) -> int:
    """The largest message that the commands queue takes."""
    async with sqs(stack) as client:
        answer = await client.get_queue_attributes(QueueUrl=stack.commands_url, AttributeNames=["MaximumMessageSize"])
    return int(answer["Attributes"]["MaximumMessageSize"])


def check_log(log: Path) -> None:
    """Bad input is no reason for a traceback, nor for an error of ours."""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    bad = [entry for entry in entries if "exception" in entry or entry["level"] in ("error", "critical")]
    assert bad[:3] == []


@pytest.mark.filterwarnings("ignore:Sending a large body directly")
@pytest.mark.slow
async def test_two_hundred_bad_messages_end_once_each(tmp_path: Path) -> None:
    print(await survive(tmp_path, 200, within_s=30))  # noqa: T201 - shown with -s


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore:Sending a large body directly")  # aiohttp's word on a message of a whole MiB
async def test_ten_thousand_bad_messages_end_once_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = await survive(tmp_path, 10_000, within_s=220)
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201 - the throughput, for whoever runs it


def test_the_same_seed_makes_the_same_messages() -> None:
    first, second = (list(messages(300, seed=SEED, most_bytes=262_144)) for _ in range(2))
    # The time is the only thing in them that is now's.
    assert [len(body) for body in first] == [len(body) for body in second]
    assert len(set(first)) > 250
