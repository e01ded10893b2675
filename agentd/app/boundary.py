"""The customer's side of the boundary: whom to believe, what to let in, how much may be destroyed, a brake."""

import asyncio
from dataclasses import dataclass
from typing import Any

from agentd.app.controls import Controls
from agentd.app.documents import Document
from agentd.core import Runtime
from agentd.dispatch.policy import Judge, Spend
from agentd.events import Sign, Verify


@dataclass(frozen=True, slots=True)
class Boundary:
    """What the dispatcher and the reports ask. `seal` signs an event of the agent's own, `sign` a report.

    `run` must be running: intake is shut until controls have been looked at.
    """

    verify: Verify
    judge: Judge
    spend: Spend
    sign: Sign
    seal: Sign
    controls: Controls
    documents: tuple[Document[Any], ...]  # of one type each

    async def run(self, runtime: Runtime) -> None:
        """Look at controls and documents for ever."""
        async with asyncio.TaskGroup() as group:
            runtime.spawn(group, self.controls.run(), "controls")
            for document in self.documents:
                runtime.spawn(group, document.run(), document.loop)

    def warnings(self) -> tuple[str, ...]:
        """What somebody on the customer's side should look at, for status and heartbeat."""
        told = [self.controls.warnings(), *(document.warnings() for document in self.documents)]
        return tuple(warning for warnings in told for warning in warnings)
