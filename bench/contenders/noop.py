"""Handlers that do nothing, in place of the agent's own: what is left is what the agent itself costs.

They are an installation's handlers, found through the entry-point group `agentd.handlers`. BENCH_TIMES: where to write,
when the process ends, when each handler started. BENCH_HOLD: a file; while it exists, handlers wait.
"""

import asyncio
import atexit
import os
from pathlib import Path

from agentd.core import Context, handler
from agentd.events import EnvironmentCreate, EnvironmentUnlock, ProjectCreate
from bench.contenders.ending import Tally

_LONG_S = 600.0
_TALLY = Tally()
_HOLD = Path(os.environ["BENCH_HOLD"]) if "BENCH_HOLD" in os.environ else None
_WORK_S = float(os.environ.get("BENCH_WORK_S", "0"))

_TIMED = "BENCH_TIMES" in os.environ

if _TIMED:
    atexit.register(_TALLY.tell)


@handler(ProjectCreate, steps=(), timeout_s=_LONG_S)
async def create_project(ctx: Context, _data: ProjectCreate) -> None:
    """Nothing, at once."""
    if _TIMED:
        _TALLY.handled(ctx.subject.uuid)
    while _HOLD is not None and _HOLD.exists():  # noqa: ASYNC110 - another process takes the file away
        await asyncio.sleep(0.1)


@handler(EnvironmentCreate, steps=(), timeout_s=_LONG_S)
async def create_environment(_ctx: Context, _data: EnvironmentCreate) -> None:
    """Nothing, at once."""


@handler(EnvironmentUnlock, steps=(), timeout_s=_LONG_S)
async def unlock_environment(_ctx: Context, _data: EnvironmentUnlock) -> None:
    """As much waiting as is asked for."""
    if _WORK_S:
        await asyncio.sleep(_WORK_S)


HANDLERS = (create_project, create_environment, unlock_environment)
