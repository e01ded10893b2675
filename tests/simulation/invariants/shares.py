"""I6 inside a process: nobody has more than his share of the running places."""

import math

from agentd.ledger import Claimed
from tests.simulation.process import Process
from tests.simulation.scene import Checker


class Shares(Checker):
    """Of the running places one flow never has more than its share, so that others find one free."""

    name = "I6"

    def on_commit(self, process: Process, result: object) -> None:
        if not isinstance(result, Claimed) or process.parts is None:
            return
        dispatch = self.scene.plan.setup.dispatch
        most = max(1, math.ceil(dispatch["max_running"] * dispatch["flow_share"]))
        for name, flow in process.parts.dispatcher._places._flows.items():
            if len(flow.holders) > most:
                self.violated(f"{process.name} runs {len(flow.holders)} events of {name} at once; its share is {most}")
