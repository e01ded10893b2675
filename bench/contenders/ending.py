"""How a contender keeps count of what it handled, and how it ends."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any


class Tally:
    """What was handled, by the transport's id or the event's, and when first, on the machine's monotonic clock."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._handled = 0

    def handled(self, name: str, at: float | None = None) -> None:
        """One was handled, or its handler started."""
        self._handled += 1
        self._first.setdefault(name, time.monotonic() if at is None else at)

    def tell(self) -> None:
        """Say how many there were, and write the times to BENCH_TIMES, if that is set."""
        sys.stdout.write(json.dumps({"handled": self._handled, "unique": len(self._first)}) + "\n")
        sys.stdout.flush()
        if path := os.environ.get("BENCH_TIMES"):
            Path(path).write_text(json.dumps(self._first))


async def until_stopped(*work: Coroutine[Any, Any, None]) -> None:
    """Do the work until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part) for part in work]
        await stopped.wait()
        for task in tasks:
            task.cancel()
