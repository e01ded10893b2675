"""I9 and what else must be in order inside a process."""

from collections.abc import Sequence
from functools import partial

from agentd.app.stopping import ExitCode
from agentd.bus import Received
from agentd.core import Phase, TransientError
from tests.simulation.disk import DiskFault
from tests.simulation.process import Process
from tests.simulation.queues import Message, QueueServer
from tests.simulation.scene import COMMANDS, Checker, Scene

_LOOK_AT_BOOKS_EVERY = 16
_ARRIVED_S = 0.5
_ENDED_S = 3.0


class Books(Checker):
    """I9: every slot belongs to one row, every row to one task; nothing is left over."""

    name = "I9"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._seen: dict[Process, int] = {}

    def on_step(self, process: Process) -> None:
        """After every step that has changed the table, and now and then besides."""
        parts = process.parts
        if parts is None:
            return
        table = parts.consumer.table
        seen = table.free * 1000 + len(table)
        if seen != self._seen.get(process) or process.owner.steps % _LOOK_AT_BOOKS_EVERY == 0:
            self._seen[process] = seen
            if wrong := table.check():
                self.violated(f"{process.name}: {wrong}")

    def on_asked(self, process: Process, queue: str, operation: str) -> None:
        """Whatever shuts the intake, an outbox that is full say, holds for the very next receive."""
        if (queue, operation) in ((COMMANDS, "delete"), (COMMANDS, "change_visibility")):
            self._has_no_cancellation_left(process)
        if (queue, operation) == (COMMANDS, "receive") and (why := process.replica.intake.reasons):
            self.violated(f"{process.name} begins to receive, and its intake is shut: {', '.join(sorted(why))}")

    def on_look(self, process: Process) -> None:
        """Neither a fault of queue, cloud or disk nor a long wait makes a process ill."""
        if process.owner.held or process.is_closing:
            return
        self._reserves_for_polls(process)
        for ailment in process.replica.health.look().ailments:
            # A poll that hangs while other calls are answered is told; it is the queue's fault all the same.
            if not (self.scene.has_queue_trouble and ailment.startswith("receivers: ")):
                self.scene.violated("health", f"{process.name}: {ailment}")

    def on_ended(self, process: Process) -> None:
        if process.is_closing and isinstance(process.failure, TransientError) and self.scene.plan.of(DiskFault):
            return  # the disk is so far behind that the ledger could not be put away in time
        if process.failure is not None or process.exit is ExitCode.FAILED:
            self.scene.violated("alive", f"{process.name} has ended by itself: {process.failure!r}")
            return
        left = [task.get_name() for task in process.owner.tasks if not task.done()]
        if left:
            self.violated(f"{process.name} has ended, and leaves tasks behind: {', '.join(left[:5])}")
        parts = process.parts
        if parts is not None and (len(parts.consumer.table) or parts.consumer.table.check()):
            self.violated(f"{process.name} has ended with rows in its table")

    def on_rest(self) -> None:
        for process in self.scene.living():
            self._is_empty(process)
        stats = self.scene.stats()
        if stats.leases or stats.open_events or stats.outbox:
            self.violated(
                f"at rest the ledger has {stats.leases} leases, {stats.open_events} open events, {stats.outbox} reports "
                "to be sent"
            )

    def _reserves_for_polls(self, process: Process) -> None:
        """Slots are reserved by open receives alone."""
        if process.parts is None:
            return
        consumer = process.parts.consumer
        reserved, open_polls = len(consumer.table._reservations), len(consumer._receivers._polling)
        if reserved > open_polls:
            self.violated(f"{process.name} has {reserved} reservations of slots, and {open_polls} open receives")

    def _has_no_cancellation_left(self, process: Process) -> None:
        """A task that was cancelled from within has taken that back: else no deadline around it knows its own."""
        if process.parts is None or process.was_paused_within(30.0) or self.scene.has_trouble_with("change_visibility"):
            return  # a release that took too long is being cut, this very moment
        for row in process.parts.consumer.table.rows(Phase.DELETING):
            if row.stop is None and row.delivery_task is not None and row.delivery_task.cancelling():
                self.violated(f"{process.name}: the delivery of {row.message_id} has a cancellation that is nobody's")

    def _is_empty(self, process: Process) -> None:
        parts = process.parts
        if parts is None:
            return
        dispatcher = parts.dispatcher
        left = {
            "places": dispatcher._places.used,
            "lanes": len(dispatcher._lanes),
            "leases": len(dispatcher._leases),
            "works": len(dispatcher._works),
            "reports": len(parts.reports._pending),
            "progress": len(parts.reports._progress),
            "rows": len(parts.consumer.table),
        }
        if any(left.values()):
            self.violated(f"{process.name}, at rest, still has {left}")


class Held(Checker):
    """I9: what a process was handed has a row with the newest receipt, and is extended until it is given back or gone."""

    name = "I9"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._delivered: dict[str, tuple[Process, int, float]] = {}
        self._last: dict[tuple[str, str], float] = {}

    def on_delivered(self, process: Process, queue: QueueServer, received: Sequence[Received]) -> None:
        if queue.name != COMMANDS:
            return
        for one in received:
            message, receipts = queue.messages.get(one.message_id), int(one.receipt.rpartition("#")[2])
            if message is not None:
                self._last[process.name, message.id] = self.scene.now
                self._delivered[message.id] = (process, receipts, self.scene.now)
                self.scene.later(_ARRIVED_S, partial(self._has_newest_receipt, process, message, receipts))

    def on_received(self, queue: QueueServer, messages: Sequence[Message], by: str) -> None:
        """Nobody is handed what somebody else holds and should have extended."""
        if (
            queue.name != COMMANDS
            or self.scene.has_trouble_with("change_visibility")
            or self.scene.shows_twice(COMMANDS)
        ):
            return
        for message in messages:
            for process in self.scene.living():
                row = process.parts.consumer.table.get(message.id) if process.parts else None
                if row is None or row.stop is not None or not row.leased or process.was_paused_within(60.0):
                    continue
                if self.scene.now < row.cap_at - float(self.scene.plan.setup.bus["visibility_s"]):
                    self.violated(
                        f"{by} is handed {message.id}, which {process.name} holds ({row.phase}) and has let run out"
                    )

    def on_left(self, queue: QueueServer, message: Message, by: str) -> None:
        process = self.scene.process(by)
        if queue.name == COMMANDS and process is not None:
            self.scene.later(_ARRIVED_S, partial(self._is_still_held, process, message))

    def on_lost(self, queue: QueueServer, message_id: str, by: str) -> None:
        process = self.scene.process(by)
        if queue.name == COMMANDS and process is not None and not self._holds_by_a_newer(process, message_id):
            self.scene.later(_ENDED_S, partial(self._was_cut_short, process, message_id))

    def _holds_by_a_newer(self, process: Process, message_id: str) -> bool:
        """Whether it has been handed the message again: then a call by the older receipt was long on its way."""
        message = self.scene.commands.messages.get(message_id)
        holder, receipts, _ = self._delivered.get(message_id, (None, 0, 0.0))
        is_newest = message is not None and receipts == message.receipts and message in self.scene.commands.held()
        return holder is process and is_newest

    def on_look(self, process: Process) -> None:
        """What is in flight in a process's name is somewhere in its table."""
        scene, parts = self.scene, process.parts
        if (
            parts is None
            or process.owner.held
            or process.was_paused_within(30.0)
            or process.told_to_stop_at is not None
        ):
            return
        if scene.has_trouble_with("change_visibility"):
            return
        for message in scene.commands.held():
            holder, receipts, at = self._delivered.get(message.id, (None, 0, 0.0))
            is_newest = holder is process and receipts == message.receipts and not message.put_off
            if is_newest and scene.now - at > _ENDED_S and parts.consumer.table.get(message.id) is None:
                self.violated(f"{message.id} is in flight for {process.name}, and nobody there holds it")

    def _is_still_held(self, process: Process, message: Message) -> None:
        """What was deleted by an older receipt alone, and has come again to the same process, is still in its hands."""
        holder, receipts, _ = self._delivered.get(message.id, (None, 0, 0.0))
        is_its = holder is process and receipts == message.receipts and message in self.scene.commands.held()
        if not is_its or message.put_off or not process.alive or process.owner.held or process.was_paused_within(10.0):
            return
        if process.parts is not None and process.parts.consumer.table.get(message.id) is None:
            self.violated(
                f"{process.name} has deleted {message.id} by an older receipt, and holds it by the newest no more"
            )

    def _has_newest_receipt(self, process: Process, message: Message, receipts: int) -> None:
        row = process.parts.consumer.table.get(message.id) if process.parts else None
        if row is None or not process.alive or process.owner.held or message.receipts != receipts or message.deleted:
            return
        if process.was_paused_within(30.0) or self.scene.commands.settings.changes_receipts:
            return
        if row.receipt != message.receipt:
            self.violated(f"{process.name} was handed {message.id} again, and keeps the receipt {row.receipt}")

    def _was_cut_short(self, process: Process, message_id: str) -> None:
        """A process that was told that a message is somebody else's by now."""
        row = process.parts.consumer.table.get(message_id) if process.parts else None
        if row is None or not process.alive or process.owner.held or process.was_paused_within(10.0):
            return
        if self.scene.has_trouble_with("change_visibility"):
            return  # it may not have been told after all
        again = self.scene.now - self._last.get((process.name, message_id), 0.0) < _ENDED_S + _ARRIVED_S
        if row.stop is None and row.phase in (Phase.BUFFERED, Phase.RUNNING) and not again:
            self.violated(f"{process.name} goes on with {message_id}, whose receipt was lost {_ENDED_S:.0f} s ago")
