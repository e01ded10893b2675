"""I6 inside a process: one subject does not take all that there is for all."""

from collections import Counter

from tests.simulation.process import Process
from tests.simulation.scene import Checker


class Shares(Checker):
    """Of one subject no more events are held than its lane has room for; the others are given back."""

    name = "I6"

    def on_commit(self, process: Process, result: object) -> None:
        if process.parts is None:
            return
        most = self.scene.plan.setup.dispatch["lane_depth"]
        waiting = Counter(
            (str(ticket.subject), str(subject))
            for subject, lane in process.parts.dispatcher._lanes._lanes.items()
            for ticket in lane
        )
        for (own, lane), count in waiting.items():
            if own == lane and count > most:
                self.violated(f"{process.name} holds {count} events of {own}; {most} is the most")
