"""What a daemon costs that has nothing to do: next to nothing, counted on the wire."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from agentd.cli.control_plane import control_plane, event
from agentd.cli.stack import start_stack
from agentd.core import system_runtime
from agentd.events import ProjectCreate
from tests.e2e.harness import eventually, replicas, running, settled, uuid_of
from tests.e2e.tap import Seen

pytestmark = pytest.mark.slow

MOST_CALLS_A_SECOND = 0.2


def request(call: Seen) -> dict[str, object]:
    """What an SQS call asks for."""
    asked: dict[str, object] = json.loads(call.text.partition("\n")[2])
    return asked


async def test_idle_daemon_asks_each_queue_at_most_once_in_five_seconds(tmp_path: Path) -> None:
    async with start_stack(tmp_path) as stack, replicas(stack, 1, AGENTD_BUS__WAIT_S="10") as (replica,):
        began_at, window_s = time.time(), 40.0

        async def over() -> bool:
            return time.time() - began_at >= window_s

        await eventually(over, within_s=window_s + 5)
        calls = [call for call in replica.tap.calls if began_at <= call.began_at <= began_at + window_s]
    by_queue = Counter(str(request(call)["QueueUrl"]) for call in calls)
    assert by_queue.keys() <= {stack.commands_url, stack.dead_letters_url, stack.reports_url}
    assert by_queue[stack.commands_url] >= 3, "it does not poll at all"
    assert {url: n / window_s for url, n in by_queue.items() if n / window_s > MOST_CALLS_A_SECOND} == {}


async def test_a_restart_reads_the_world_and_says_nothing_but_that_it_is_there_and_what_it_sees(tmp_path: Path) -> None:
    async with start_stack(tmp_path) as stack, control_plane(stack, system_runtime()) as plane:
        async with running(stack):
            for number in range(20):
                data = ProjectCreate(project_id=uuid_of(f"idle {number}"), project_name=f"idle-{number}")
                await plane.send(event(data, 1, event_id=uuid_of(f"create idle {number}")))
            for number in range(20):
                await plane.report(uuid_of(f"create idle {number}"))
            await settled(stack)
        async with replicas(stack, 1) as (replica,):

            async def at_work() -> bool:
                polls = [call for call in replica.tap.of("ReceiveMessage") if call.ended_at is not None]
                return len(polls) >= 2 and bool(replica.tap.of("SendMessageBatch"))

            await eventually(at_work)
            calls = list(replica.tap.calls)
    assert {(call.service, call.operation) for call in calls if call.is_write} == {("sqs", "SendMessageBatch")}
    sends = [json.loads(call.text.partition("\n")[2]) for call in calls if call.operation == "SendMessageBatch"]
    sent = {json.loads(entry["MessageBody"])["type"] for send in sends for entry in send["Entries"]}
    assert "conveyor.agent.heartbeat.v1" in sent
    assert {type_ for type_ in sent if not type_.startswith("conveyor.state.")} == {"conveyor.agent.heartbeat.v1"}
