"""I8: what a process does from SIGTERM on, and what it leaves behind."""

from collections.abc import Sequence
from functools import partial

from agentd.app.stopping import ExitCode
from agentd.bus.table import Stop
from agentd.core import Phase
from agentd.ledger import Claimed
from tests.simulation.process import Process
from tests.simulation.queues import Message, QueueServer
from tests.simulation.scene import COMMANDS, Checker, Scene

_NO_RECEIVE_AFTER_S = 0.1
_RELEASED_WITHIN_S = 2.0
_NETWORK_S = 0.3
_EARLY_S = 0.5
_BEGUN_WITHIN_S = 1.0


class HandOver(Checker):
    """From SIGTERM on nothing is begun, what runs may finish, and everything unfinished is given back."""

    name = "I8"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._holders: dict[str, tuple[str, int]] = {}
        self._running: dict[str, set[str]] = {}
        self._unbegun: set[tuple[str, str]] = set()

    def on_told_to_stop(self, process: Process) -> None:
        if process.parts is not None:
            rows = process.parts.consumer.table.rows(Phase.RUNNING)
            self._running[process.name] = {row.message_id for row in rows if row.stop is None}
            for row in process.parts.consumer.table.rows(Phase.BUFFERED):
                if row.stop is None:
                    self._unbegun.add((process.name, row.message_id))
                if (message := self.scene.commands.messages.get(row.message_id)) is not None:
                    within_s = _RELEASED_WITHIN_S + _NETWORK_S
                    self.scene.later(within_s, partial(self._was_released, process, message, message.receipts))

    def on_commit(self, process: Process, result: object) -> None:
        """What waits for its turn when the drain begins is not begun any more."""
        told_at = process.told_to_stop_at
        if not isinstance(result, Claimed) or told_at is None or self.scene.has_disk_trouble:
            return
        late_s = self.scene.now - max(told_at, process.paused_until)
        if late_s > _BEGUN_WITHIN_S:
            self.violated(f"{process.name} claims {result.claim.key} {late_s:.1f} s after it was told to stop")

    def on_asked(self, process: Process, queue: str, operation: str) -> None:
        told_at = process.told_to_stop_at
        if told_at is None or (queue, operation) != (COMMANDS, "receive"):
            return
        late_s = self.scene.now - max(told_at, process.paused_until)
        if late_s > _NO_RECEIVE_AFTER_S:
            self.violated(f"{process.name} begins to receive {late_s:.3f} s after it was told to stop")

    def on_received(self, queue: QueueServer, messages: Sequence[Message], by: str) -> None:
        if queue.name != COMMANDS:
            return
        process = self.scene.process(by)
        for message in messages:
            self._holders[message.id] = (by, message.receipts)
            if process is None or process.told_to_stop_at is None:
                continue
            if process.alive:
                within_s = _RELEASED_WITHIN_S + _NETWORK_S
                self.scene.later(within_s, partial(self._was_released, process, message, message.receipts))
            elif process.exit is ExitCode.DRAINED and not self._is_disturbed(process):
                self.violated(f"{by} has ended and left a poll open, which was handed {message.id}")

    def on_visibility(self, queue: QueueServer, message: Message, seconds: float, by: str) -> None:
        """What is not an extension gives the message back, now or later."""
        if queue.name != COMMANDS or not message.put_off:
            return
        self._holders.pop(message.id, None)
        process = self.scene.process(by)
        if process is not None and process.told_to_stop_at is not None:
            self._is_shown(process, message, seconds)
            if seconds < 1.0:
                self._had_its_grace(process, message)
            self._running.get(process.name, set()).discard(message.id)

    def on_ended(self, process: Process) -> None:
        told_at = process.told_to_stop_at
        if told_at is None or process.exit is not ExitCode.DRAINED:
            return
        if not self._is_disturbed(process):
            for message in self.scene.commands.held():
                if self._holders.get(message.id) == (process.name, message.receipts):
                    self.violated(f"{process.name} has ended, and {message.id} is hidden from the others")
        if not self.scene.has_disk_trouble and not process.was_paused:
            self._has_let_go(process)
            self._was_in_time(process, told_at)

    def on_killed(self, process: Process) -> None:
        if process.killed and not self._is_disturbed(process) and not self.scene.has_disk_trouble:
            self.violated(f"{process.name} had to be stopped hard: its drain has not come to its end")
        dispatch = self.scene.plan.setup.dispatch
        for subject in self._subjects(process):
            left_s = self._held_s(process, subject)
            if left_s > dispatch["lease_s"] + dispatch["clock_skew_s"] + 2 * self.scene.most_skew_s + 0.001:
                self.violated(f"{process.name} was killed, and keeps {subject} for {left_s:.1f} s more")

    def _is_shown(self, process: Process, message: Message, seconds: float) -> None:
        """What had not begun when the drain began may be handed to others at once."""
        row = process.parts.consumer.table.get(message.id) if process.parts is not None else None
        has_not_begun = (process.name, message.id) in self._unbegun and row is not None and row.stop is Stop.RELEASED
        if has_not_begun and seconds > 1.0:
            self.violated(f"{process.name}, told to stop, hides {message.id}, which has not begun, for {seconds:.0f} s")

    def _had_its_grace(self, process: Process, message: Message) -> None:
        """What ran when the drain began is not given back before the grace period is over."""
        told_at = process.told_to_stop_at or 0.0
        early_s = told_at + self.scene.plan.setup.grace_s - self.scene.now
        ran = message.id in self._running.get(process.name, ())
        if ran and early_s > _EARLY_S and not process.aborts and not self._is_disturbed(process):
            self.violated(f"{process.name} gives {message.id} back, {early_s:.1f} s before its grace is over")

    def _has_let_go(self, process: Process) -> None:
        for subject in self._subjects(process):
            if (left_s := self._held_s(process, subject)) > 0:
                self.violated(f"{process.name} has ended, and keeps {subject} for {left_s:.1f} s more")

    def _was_in_time(self, process: Process, told_at: float) -> None:
        config = self.scene.plan.setup
        most_s = config.grace_s + max(config.bus["release_timeout_s"], config.bus["wait_s"] + 5.0) + 2.0 + _NETWORK_S
        if self.scene.now - told_at > most_s + _RELEASED_WITHIN_S:
            self.violated(
                f"{process.name} has taken {self.scene.now - told_at:.1f} s to stop; {most_s:.1f} s is the most"
            )

    def _was_released(self, process: Process, message: Message, receipts: int) -> None:
        if self._holders.get(message.id) != (process.name, receipts) or message.deleted:
            return
        row = process.parts.consumer.table.get(message.id) if process.parts else None
        has_begun = row is not None and row.phase is not Phase.BUFFERED and row.stop is None
        if (
            process.alive
            and not has_begun
            and not self._is_disturbed(process)
            and message in self.scene.commands.held()
        ):
            self.violated(
                f"{process.name}, told to stop, holds {message.id}, which has not begun, {_RELEASED_WITHIN_S:.0f} s later"
            )

    def _subjects(self, process: Process) -> list[str]:
        return sorted({grant.subject for grant in self.scene.book.grants if grant.process is process})

    def _held_s(self, process: Process, subject: str) -> float:
        """For how long a process keeps a subject from the others."""
        state = self.scene.subject(subject)
        if state is None or state.held_by is None or state.held_by.by_replica != process.name:
            return 0.0
        return state.held_by.until - process.clock.now()

    def _is_disturbed(self, process: Process) -> bool:
        return self.scene.has_queue_trouble or process.was_paused
