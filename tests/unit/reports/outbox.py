"""The reports room on a real ledger, and a reports queue in memory that fails when it is told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentd.core import Outcome, OutcomeKind, PermanentError, Reason, Runtime, Subject, TransientError
from agentd.events import Heartbeat, moment, report_id
from agentd.ledger import Admission, Claimed, ClaimRequest, Ending, LedgerConfig, Record
from agentd.ledger.sqlite import SqliteLedger
from agentd.reports import Identity, Message, Reports, ReportsConfig
from agentd.telemetry import Health, Metrics
from tests.unit.dispatch.events import AUDIENCE, key, uuid
from tests.virtual_time import START, virtual_runtime

IDENTITY = Identity("urn:conveyor:agent:tests", AUDIENCE, owner_id="owner", replica="a", version="1.2.3")
REJECTED = Outcome(OutcomeKind.REJECTED, reason=Reason.MALFORMED, message="$: no JSON")
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED)


@dataclass(slots=True)
class Wire:
    """A reports queue. `down`: it does not answer. `refused`: ids of messages that it does not take.

    Heartbeats, of which the first goes out at once, are kept apart from the rest.
    """

    down: bool = False
    refused: set[str] = field(default_factory=set)
    tried: list[tuple[float, list[str]]] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    heartbeats: list[Message] = field(default_factory=list)

    async def send(self, messages: Sequence[Message]) -> Sequence[str | None]:
        beats = messages[0].group.startswith("agent/")
        if not beats:
            self.tried.append((asyncio.get_running_loop().time(), [message.id for message in messages]))
        if self.down:
            raise TransientError(Reason.UNAVAILABLE, "SQS does not answer")
        answers = ["too large" if message.id in self.refused else None for message in messages]
        (self.heartbeats if beats else self.taken).extend(
            message for message, problem in zip(messages, answers, strict=True) if problem is None
        )
        return answers

    def of_type(self, *types: str) -> list[dict[str, Any]]:
        """What was taken, as CloudEvents, of these types."""
        return [event for message in self.taken if (event := json.loads(message.body))["type"] in types]


@dataclass(slots=True)
class Room:
    """One replica's reports, not running until a test begins them."""

    path: Path
    ledger: SqliteLedger
    wire: Wire
    runtime: Runtime
    metrics: Metrics
    health: Health
    group: asyncio.TaskGroup
    stack: AsyncExitStack
    full: list[bool] = field(default_factory=list)
    sick: bool = False
    _running: list[asyncio.Task[None]] = field(default_factory=list)

    def reports(self, **config: float) -> Reports:
        """The room, at work. Without a word about it nothing but outcomes goes out for hours."""
        quiet = {"heartbeat_interval_s": 1e6, "progress_interval_s": 1e6}
        reports = Reports(
            identity=IDENTITY,
            ledger=self.ledger,
            outbound=self.wire,
            heartbeat=self._heartbeat,
            on_full=self.full.append,
            runtime=self.runtime,
            metrics=self.metrics,
            health=self.health,
            config=ReportsConfig.model_validate({**quiet, **config}),
        )
        self._running.append(self.begin(reports.run()))
        return reports

    def crash(self) -> None:
        """The rooms at work stop where they are; those that begin later are of another process."""
        for running in self._running:
            running.cancel()
        self.health = Health(self.runtime)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Some work in the background, until the test ends at most."""
        task = self.group.create_task(work)
        self.stack.callback(task.cancel)
        return task

    async def _heartbeat(self, number: int) -> Heartbeat:
        if self.sick:
            raise PermanentError(Reason.INTERNAL_ERROR, "no heartbeat today")
        return Heartbeat(
            replica="a",
            agent_version="1.2.3",
            tenant_id=AUDIENCE.tenant_id,
            cluster_id=AUDIENCE.cluster_id,
            owner_id="owner",
            number=number,
            started_at=moment(START),
            interval_s=30,
        )

    async def outbox(self) -> int:
        """Reports that the ledger holds."""
        return (await self.ledger.stats()).outbox

    async def rejected(self, number: int) -> Record:
        """A finished record of a message that was no event."""
        message_key = f"message/{number}"
        return await self.ledger.finish(
            Ending(
                key=message_key,
                epoch=1,
                outcome=REJECTED,
                report_id=report_id(message_key, 1),
                now=self.runtime.now(),
            )
        )

    async def succeeded(self, number: int, *, of: int = 1) -> Record:
        """A finished record of an event."""
        now, subject = self.runtime.now(), Subject("project", uuid(of))
        await self.ledger.admit(
            Admission(
                key(number), uuid(number), "sha256:0", "conveyor.project.create.v1", subject, number, "{}", None, now
            )
        )
        claimed = await self.ledger.claim(
            ClaimRequest(
                key=key(number),
                epoch=1,
                event_id=uuid(number),
                subject=subject,
                generation=number,
                facets=frozenset({"spec"}),
                requires=frozenset(),
                creates=True,
                deletes=False,
                names=(),
                locks=(),
                desired={},
                replica="a",
                max_attempts=1,
                now=now,
                until=now + 60,
            )
        )
        assert isinstance(claimed, Claimed)
        return await self.ledger.finish(
            Ending(key(number), 1, SUCCEEDED, report_id(key(number), 1), now, claim=claimed.claim)
        )


def id_of(record: Record) -> str:
    """The id of a record's report."""
    return report_id(record.key, record.epoch)


@asynccontextmanager
async def new_room(path: Path) -> AsyncIterator[Room]:
    """Reports on a ledger file; what still runs when the block ends is stopped."""
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        ledger = await SqliteLedger.open(
            LedgerConfig(path=path, busy_timeout_s=0.01), observe=lambda _what, _result, _seconds: None
        )
        stack.push_async_callback(ledger.close)
        runtime, metrics = virtual_runtime(), Metrics()
        room = Room(path, ledger, Wire(), runtime, metrics, Health(runtime), group, stack)
        yield room
