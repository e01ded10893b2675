"""I2 between an end and its report: whatever becomes of the process, the report waits in the ledger until it has been sent."""

from agentd.ledger import Record
from tests.simulation.process import Process
from tests.simulation.queues import Message, QueueServer
from tests.simulation.scene import REPORTS, Checker, Scene, document_of, is_outcome

_SLACK_S = 6.0

Epoch = tuple[str, int]


class Outbox(Checker):
    """A report leaves the ledger once the queue has it, and what a process has left behind is sent by the others."""

    name = "I2"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._unsent: dict[Epoch, Process] = {}
        self._ended_at: dict[Process, float] = {}
        self._started_at: dict[Process, float] = {}

    def on_started(self, process: Process) -> None:
        self._started_at[process] = self.scene.now

    def on_commit(self, process: Process, result: object) -> None:
        if isinstance(result, Record) and result.outcome is not None:
            end = (result.key, result.epoch)
            if self.scene.book.ends[end].record is result:
                self._unsent[end] = process
        if self._unsent and result is None:
            self._is_kept()

    def on_sent(self, queue: QueueServer, message: Message, by: str) -> None:
        if queue.name == REPORTS and is_outcome(document := document_of(message)):
            self._unsent.pop((document["data"]["key"], document["data"]["epoch"]), None)

    def on_ended(self, process: Process) -> None:
        self._ended_at[process] = self.scene.now

    def on_killed(self, process: Process) -> None:
        self._ended_at[process] = self.scene.now

    def on_look(self, process: Process) -> None:
        scene, config = self.scene, self.scene.plan.setup.reports
        if scene.has_queue_trouble or scene.has_disk_trouble or process.told_to_stop_at is not None:
            return
        most_s = config["sweep_interval_s"] + config["left_behind_s"] + _SLACK_S + scene.skew_s
        for end, ended_by in self._unsent.items():
            since = max(self._ended_at.get(ended_by, scene.now), self._started_at[process], process.paused_until)
            if scene.now - since > most_s:
                self.violated(
                    f"{end[0]} e{end[1]}: {ended_by.name} has ended without a report, and nobody has sent it since"
                )

    def _is_kept(self) -> None:
        waiting = {(row[0], row[1]) for row in self.scene.ledger.all("SELECT key, epoch FROM reports")}
        for key, epoch in sorted(self._unsent.keys() - waiting):
            self.violated(f"the report of {key} e{epoch} has left the ledger, and was not sent")
