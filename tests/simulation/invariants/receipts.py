"""I9 between a row and its message: the row knows how long it may go on, and by which receipt."""

from collections.abc import Sequence

from agentd.bus.table import Row
from agentd.core import Phase
from tests.simulation.process import Process
from tests.simulation.queues import Message, QueueServer
from tests.simulation.scene import COMMANDS, Checker, Scene

_NOTICED_S = 1.5
_AWAKE_S = 4.0
_SETTLED_S = 30.0
_ANSWERED_S = 0.5


class Receipts(Checker):
    """Nobody goes on with a message whose lease is over, and a receipt that an extension has changed is the one that counts."""

    name = "I9"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._touched: dict[str, tuple[str, float]] = {}

    def on_received(self, queue: QueueServer, messages: Sequence[Message], by: str) -> None:
        if queue.name == COMMANDS:
            self._touched.update({message.id: (by, self.scene.now) for message in messages})

    def on_visibility(self, queue: QueueServer, message: Message, seconds: float, by: str) -> None:
        if queue.name == COMMANDS:
            self._touched[message.id] = (by, self.scene.now)

    def on_commit(self, process: Process, result: object) -> None:
        self.on_look(process)

    def on_look(self, process: Process) -> None:
        if process.parts is None or process.owner.held or process.was_paused_within(_AWAKE_S):
            return
        for row in process.parts.consumer.table.rows(Phase.BUFFERED, Phase.RUNNING, Phase.REPORTING):
            if row.stop is None:
                self._is_in_time(process, row)
                self._knows_its_receipt(process, row)

    def _is_in_time(self, process: Process, row: Row) -> None:
        over_s = self.scene.now - row.visible_until
        if over_s > float(self.scene.plan.setup.bus["lease_tick_s"]) + _NOTICED_S:
            self.violated(f"{process.name} goes on with {row.message_id}, whose lease has ended {over_s:.1f} s ago")

    def _knows_its_receipt(self, process: Process, row: Row) -> None:
        message = self.scene.commands.messages.get(row.message_id)
        by, at = self._touched.get(row.message_id, ("", 0.0))
        is_answered = self.scene.now - at > _ANSWERED_S and row.extension is None
        is_answered = is_answered and not process.was_paused_within(_SETTLED_S)
        if message is None or by != process.name or not is_answered or self.scene.has_trouble_with("change_visibility"):
            return
        if row.receipt != message.receipt and not self.scene.has_trouble_with("receive"):
            self.violated(
                f"{process.name} holds {message.id} by {row.receipt}, and has been given {message.receipt} since"
            )
