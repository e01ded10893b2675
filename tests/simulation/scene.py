"""What checkers see of a run: the truth, of which every replica knows only its part."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentd.bus import Received
from agentd.core import Subject
from agentd.ledger import LedgerStats, OutboxEntry, Record, SubjectState
from agentd.ledger.sqlite import queries
from agentd.ledger.sqlite.connection import Database
from agentd.ledger.sqlite.rows import current_record, record_of_epoch
from tests.simulation.book import Book
from tests.simulation.disk import DiskFault
from tests.simulation.loop import SimLoop
from tests.simulation.plan import Act, Intent, Mishap, Plan
from tests.simulation.process import Process
from tests.simulation.queues import Message, QueueFault, QueueFaultKind, QueueServer
from tests.simulation.trace import Trace
from tests.simulation.world import World, Write

COMMANDS, DEAD_LETTERS, REPORTS = "commands", "dead-letters", "reports"

_AFTERMATH_S = 45.0
_TWICE = frozenset({QueueFaultKind.DUPLICATED, QueueFaultKind.RISEN})
_OF_MESSAGES = _TWICE | {QueueFaultKind.SHORT}


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


@dataclass(eq=False)
class Scene:
    """One run. `processes` are all that were ever started.

    `done` is when somebody beside the agent has done something to an environment, `pushed` when a build was pushed.
    """

    plan: Plan
    loop: SimLoop
    trace: Trace
    world: World
    commands: QueueServer
    dead_letters: QueueServer
    reports: QueueServer
    ledger: Database
    book: Book
    owner_id: str
    processes: list[Process] = field(default_factory=list)
    done: dict[tuple[str, str], float] = field(default_factory=dict)
    pushed: dict[str, float] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    @property
    def now(self) -> float:
        """The loop's clock."""
        return self.loop.time()

    @property
    def intents(self) -> Mapping[str, list[Intent]]:
        """What was meant, by event id."""
        return self.book.intents

    @property
    def skew_s(self) -> float:
        """How much farther apart than the settings say two clocks of the run may ever be."""
        clocks = [0.0, *self.plan.setup.skew_s, *(mishap.skew_s for mishap in self.plan.of(Mishap))]
        return max(0.0, max(clocks) - min(clocks) - float(self.plan.setup.dispatch["clock_skew_s"]))

    @property
    def most_skew_s(self) -> float:
        """How far from the truth a clock of the run may be."""
        return max(map(abs, [0.0, *self.plan.setup.skew_s, *(mishap.skew_s for mishap in self.plan.of(Mishap))]))

    def lock_lasts(self, environment: str) -> float | None:
        """For how long somebody has locked an environment, if the plan says so."""
        locks = [dict(act.arguments) for act in self.plan.of(Act) if act.what == "lock"]
        return next((lock["lasts_s"] for lock in locks if lock["environment_name"] == environment), None)

    @property
    def has_queue_trouble(self) -> bool:
        """Whether calls to queues may just have gone wrong."""
        now = self.now
        return any(fault.start_s <= now < fault.end_s + _AFTERMATH_S for fault in self.plan.of(QueueFault))

    @property
    def has_disk_trouble(self) -> bool:
        """Whether calls to the ledger may just have been slow, or failed."""
        now = self.now
        return any(fault.start_s <= now < fault.end_s + _AFTERMATH_S for fault in self.plan.of(DiskFault))

    @property
    def is_undisturbed(self) -> bool:
        """Whether nothing ever goes wrong with replicas, queues and disk; the world may be slow."""
        plan = self.plan
        return not plan.of(Mishap) and not plan.of(QueueFault) and not plan.of(DiskFault)

    def has_trouble_with(self, operation: str) -> bool:
        """Whether calls of one kind to the commands queue may just have gone wrong, or any were refused for good."""
        now = self.now
        return any(
            fault.start_s <= now < fault.end_s + _AFTERMATH_S
            and fault.queue in (None, COMMANDS)
            and (fault.operation in (None, operation) or fault.kind is QueueFaultKind.DENIED)
            and fault.kind not in _OF_MESSAGES
            for fault in self.plan.of(QueueFault)
        )

    def shows_twice(self, queue: str) -> bool:
        """Whether a queue may just have shown to others what it has handed out, or what was deleted."""
        return any(
            fault.kind in _TWICE
            and fault.queue in (None, queue)
            and fault.start_s <= self.now < fault.end_s + _AFTERMATH_S
            for fault in self.plan.of(QueueFault)
        )

    def meant_by(self, message: Message) -> Intent | None:
        """What the sender of a message meant."""
        return self.book.meant(message.body)

    def first_received(self, key: str, epoch: int) -> float | None:
        """When a message for an epoch of an event was first handed out."""
        return self.book.received.get((key, epoch))

    def outbox(self) -> Sequence[OutboxEntry]:
        """Reports that the ledger's file holds to be sent."""
        return queries.outbox(self.ledger, 10_000)

    @property
    def is_quiet(self) -> bool:
        """Whether all troubles are over."""
        return self.now >= self.plan.healthy_from_s

    def living(self) -> list[Process]:
        """The processes that have not ended."""
        return [process for process in self.processes if process.alive]

    def process(self, name: str) -> Process | None:
        """A process by its name."""
        return next((process for process in reversed(self.processes) if process.name == name), None)

    def record(self, key: str) -> Record | None:
        """What the ledger's file says of an event."""
        return current_record(self.ledger, key)

    def record_of_epoch(self, key: str, epoch: int) -> Record | None:
        """The same, of one epoch."""
        return record_of_epoch(self.ledger, key, epoch)

    def subject(self, subject: str) -> SubjectState | None:
        """What the ledger's file says of a subject."""
        return queries.subject_state(self.ledger, Subject.parse(subject))

    def succeeded(self, intent: Intent) -> bool:
        """Whether an event has ended well, in its newest epoch."""
        end = self.book.end_of(f"event/{intent.event_id}")
        return end is not None and end.record.outcome is not None and end.record.outcome.kind == "succeeded"

    def stats(self) -> LedgerStats:
        """The counts of the ledger's file."""
        return queries.stats(self.ledger)

    def later(self, seconds: float, check: Callable[[], None]) -> None:
        """Look again."""
        self.loop.call_later(seconds, check, context=self.loop.server_context)

    def tell(self, who: str, what: str) -> None:
        """Add to the trace."""
        self.trace.add(self.loop.time(), self.loop.steps, who, what)

    def violated(self, invariant: str, what: str) -> None:
        """An invariant does not hold: the run ends after this step."""
        self.tell("!", f"{invariant}: {what}")
        self.violations.append(Violation(invariant, what))


class Checker:
    """One invariant, or a part of one. Hooks are called at the moment when something happens."""

    name = "?"

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def violated(self, what: str) -> None:
        """The invariant does not hold."""
        self.scene.violated(self.name, what)

    def on_step(self, process: Process) -> None:
        """A process has taken a step."""

    def on_commit(self, process: Process, result: object) -> None:
        """An operation of the ledger has been done for a process; it has not heard of it yet."""

    def on_sent(self, queue: QueueServer, message: Message, by: str) -> None:
        """A queue has taken a message."""

    def on_received(self, queue: QueueServer, messages: Sequence[Message], by: str) -> None:
        """A queue has handed messages out."""

    def on_delete(self, queue: QueueServer, message: Message, by: str) -> None:
        """A message is about to go, on its holder's word."""

    def on_left(self, queue: QueueServer, message: Message, by: str) -> None:
        """A delete by an older receipt was answered as done, and has deleted nothing."""

    def on_visibility(self, queue: QueueServer, message: Message, seconds: float, by: str) -> None:
        """A holder has changed how long a message is hidden."""

    def on_moved(self, queue: QueueServer, message: Message) -> None:
        """A queue has given a message up."""

    def on_delivered(self, process: Process, queue: QueueServer, received: Sequence[Received]) -> None:
        """What a queue has handed out has reached the process."""

    def on_lost(self, queue: QueueServer, message_id: str, by: str) -> None:
        """A holder was told that his receipt is not good any more."""

    def on_look(self, process: Process) -> None:
        """Some seconds have gone by."""

    def on_asked(self, process: Process, queue: str, operation: str) -> None:
        """A process begins a call to a queue."""

    def on_intended(self, process: Process, event_id: str, obj: str) -> None:
        """A process has announced a write to an object; the call comes next."""

    def on_write(self, write: Write) -> None:
        """A mutating call has reached a cloud or the cluster."""

    def on_started(self, process: Process) -> None:
        """A process begins."""

    def on_told_to_stop(self, process: Process) -> None:
        """A process has been sent SIGTERM."""

    def on_ended(self, process: Process) -> None:
        """A process has ended by itself."""

    def on_killed(self, process: Process) -> None:
        """A process has ended without a word."""

    def on_rest(self) -> None:
        """The troubles are over, and everything that was sent has come to rest."""


HOOKS = tuple(name for name in vars(Checker) if name.startswith("on_"))


def listeners(checkers: Sequence[Checker], hook: str) -> list[Callable[..., None]]:
    """Of the checkers that do something at a hook, that."""
    return [
        getattr(checker, hook) for checker in checkers if getattr(type(checker), hook) is not getattr(Checker, hook)
    ]


def document_of(message: Message) -> dict[str, Any]:
    """The JSON of a report."""
    document: dict[str, Any] = json.loads(message.body)
    return document


def is_outcome(document: dict[str, Any]) -> bool:
    """Whether a report tells of an outcome."""
    return str(document["type"]).startswith("conveyor.report.")
