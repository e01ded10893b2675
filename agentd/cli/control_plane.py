"""The other side of the queues, for the demo and for tests: sends events and collects reports."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from agentd.bus import Done, Outgoing, Queue
from agentd.cli.errors import StackError
from agentd.cli.stack import CLUSTER_ID, TENANT_ID, Stack, open_queues
from agentd.core import Runtime, Subject, TransientError
from agentd.events import EventData, encode
from agentd.telemetry import get_logger

log = get_logger("cli")

Json = dict[str, Any]  # a CloudEvent as it travels
_PAUSE_S = 0.5  # after a call that failed


@dataclass(slots=True)
class ControlPlane:
    """Sends to the commands queue and reads the reports queue until it is closed."""

    commands: Queue
    reports: Queue
    runtime: Runtime
    outcomes: list[Json] = field(default_factory=list)
    progress: list[Json] = field(default_factory=list)
    drifts: list[Json] = field(default_factory=list)
    heartbeats: int = 0
    states: dict[str, Json] = field(default_factory=dict)
    """The newest state of each subject."""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def send(self, body: str) -> None:
        """Put a message on the commands queue, whatever it is."""
        subject = _subject_of(body)
        outgoing = Outgoing(body=body, group=subject, dedupe_id=str(uuid4()))
        (answer,) = await self.commands.send([outgoing])
        if not isinstance(answer, Done):
            raise StackError(f"the commands queue did not take the message: {answer.message}")

    async def report(self, event_id: str | None, *, epoch: int = 1, count: int = 1, timeout_s: float = 60.0) -> Json:
        """The `count`-th report of an event's epoch, once it is there; None: about a message without a readable id."""
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: len(self.about(event_id, epoch)) >= count)
            return self.about(event_id, epoch)[count - 1]

    async def drift(self, count: int, *, timeout_s: float = 60.0) -> Json:
        """The `count`-th report of drift, once it is there."""
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: len(self.drifts) >= count)
            return self.drifts[count - 1]

    def about(self, event_id: str | None, epoch: int) -> Sequence[Json]:
        """The reports of an event's epoch so far."""
        return [
            report
            for report in self.outcomes
            if (report["data"]["event_id"], report["data"]["epoch"]) == (event_id, epoch)
        ]

    def doing(self, event_id: str | None) -> str:
        """What the newest progress of an event says; nothing before there is any."""
        for report in reversed(self.progress):
            data = report["data"]
            if data["event_id"] == event_id:
                return f"step {data['step_number']} of {data['steps']}, {data['step']} {data['message']}".strip()
        return ""

    async def collect(self) -> None:
        """Read reports for ever."""
        while True:
            try:
                await self._take()
            except TransientError as error:
                log.warning("reports.not_taken", error=error.message)
                await self.runtime.sleep(_PAUSE_S)

    async def _take(self) -> None:
        messages = await self.reports.receive(10, wait_s=1, visibility_s=30)
        if not messages:
            return
        async with self._news:
            for message in messages:
                self._file(json.loads(message.body))
            self._news.notify_all()
        await self.reports.delete([message.receipt for message in messages])

    def _keep(self, report: Json) -> None:
        """The newest state of a subject; a late one is dropped."""
        before = self.states.get(report["subject"])
        if before is None or before["sequence"] < report["sequence"]:
            self.states[report["subject"]] = report

    def _file(self, report: Json) -> None:
        match report["type"]:
            case "conveyor.progress.v1":
                self.progress.append(report)
            case "conveyor.drift.v1":
                self.drifts.append(report)
            case "conveyor.agent.heartbeat.v1":
                self.heartbeats += 1
            case state if state.startswith("conveyor.state."):
                self._keep(report)
            case _:
                self.outcomes.append(report)


@asynccontextmanager
async def control_plane(stack: Stack, runtime: Runtime) -> AsyncIterator[ControlPlane]:
    """A control plane at work on the stack's queues."""
    commands = stack.queue(stack.commands_url, "commands", runtime)
    reports = stack.queue(stack.reports_url, "reports", runtime)
    async with open_queues(commands, reports), asyncio.TaskGroup() as group:
        plane = ControlPlane(commands, reports, runtime)
        collecting = runtime.spawn(group, plane.collect(), "collect-reports")
        yield plane
        collecting.cancel()


def event(data: EventData, generation: int, *, event_id: str | None = None, **attributes: object) -> str:
    """A CloudEvent for the stack's own agent, ready to be sent."""
    _, own_id = data.own_id()
    envelope: Mapping[str, Any] = {
        "specversion": "1.0",
        "id": event_id or str(uuid4()),
        "source": "https://control-plane.example",
        "type": data.type,
        "subject": str(Subject(data.kind(), own_id)),
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "tenantid": TENANT_ID,
        "clusterid": CLUSTER_ID,
        "generation": generation,
        "actor": "demo",
        **attributes,
    }
    return encode(envelope, data.model_dump(mode="json", exclude_defaults=True))


def _subject_of(body: str) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return "unknown"
    return str(document.get("subject", "unknown")) if isinstance(document, dict) else "unknown"
