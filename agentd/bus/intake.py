"""Whether messages are received at all."""

import asyncio
from typing import Literal, get_args

from agentd.telemetry import Metrics

Why = Literal["outbox_full", "draining", "operator"]


class Intake:
    """The valve before every receive. Open while nobody has a reason to keep it shut."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._reasons: set[Why] = set()
        self._opened = asyncio.Event()
        self._opened.set()
        for why in get_args(Why):
            metrics.intake_paused.labels(why=why).set(0)

    @property
    def reasons(self) -> frozenset[Why]:
        """Why it is shut; empty when it is open."""
        return frozenset(self._reasons)

    def pause(self, why: Why) -> None:
        """Shut it for one reason. An open poll still returns what it gets."""
        self._reasons.add(why)
        self._opened.clear()
        self._metrics.intake_paused.labels(why=why).set(1)

    def resume(self, why: Why) -> None:
        """Take the reason back; it opens when that was the last one."""
        self._reasons.discard(why)
        self._metrics.intake_paused.labels(why=why).set(0)
        if not self._reasons:
            self._opened.set()

    async def open(self) -> None:
        """Wait until it is open."""
        await self._opened.wait()
