"""`python -m tests.e2e.killable run`: the daemon, unchanged, in a process that kills itself at a chosen await.

Every time that a task concerned with a delivery goes on after an await (its handler, its row, the batches that acknowledge it,
the outbox that reports it) is one point. With KILL_AT=N the process gets SIGKILL at the N-th; at its end it writes how
many there were to KILL_POINTS.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import uvloop

from agentd.cli import main

_CONCERNED = ("delivery-", "handle-", "batch-", "outbox")
_make_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop


class _Points:
    def __init__(self, kill_at: int) -> None:
        self.seen = 0
        self._kill_at = kill_at

    def pass_one(self) -> None:
        self.seen += 1
        if self.seen == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class _Watched(Coroutine[Any, Any, Any]):
    """A coroutine that passes a point each time it is resumed."""

    def __init__(self, inner: Coroutine[Any, Any, Any], points: _Points) -> None:
        self._inner = inner
        self._points = points

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    def send(self, value: Any, /) -> Any:
        task = asyncio.current_task()
        if task is not None and task.get_name().startswith(_CONCERNED):
            self._points.pass_one()
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()


def _watched_loop(points: _Points) -> asyncio.AbstractEventLoop:
    loop = _make_loop()

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(_Watched(work, points), loop=loop, **options)

    loop.set_task_factory(factory)
    return loop


if __name__ == "__main__":
    passed = _Points(int(os.environ.get("KILL_AT", "0")))
    uvloop.new_event_loop = lambda: _watched_loop(passed)  # type: ignore[assignment,return-value] # the library's, for this process
    try:
        main(prog_name="agentd")
    finally:
        if "KILL_POINTS" in os.environ:
            Path(os.environ["KILL_POINTS"]).write_text(str(passed.seen))
