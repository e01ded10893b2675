"""How the process is told to stop, and what it ends with."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process ends with."""

    DRAINED = 0
    """Everything that was held has been finished or given back."""
    FAILED = 1
    """A part ended that must not end; the log names it."""
    MISCONFIGURED = 2
    """A setting, the ledger or a queue cannot be used as it is; one line says what to mend."""
    ABORTED = 3
    """A second signal, or a drain that did not come to its end: leases run out by themselves."""


class Stop:
    """The wish to stop: asked once it drains, asked twice it aborts."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.abort = asyncio.Event()

    def ask(self) -> None:
        """Ask once for a drain, twice for an abort."""
        if self.drain.is_set():
            self.abort.set()
        self.drain.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask, until the block ends."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.ask)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


class Misconfigured(Exception):
    """The daemon cannot work with what it was given; the message is one line that says what to mend."""


async def for_ever(work: Awaitable[None], name: str) -> None:
    """Wait for what must not end by itself. Raises RuntimeError when it does."""
    await work
    raise RuntimeError(f"{name} has ended, which it must not")


def exit_hard_after(seconds: float) -> None:
    """The last resort against a drain that hangs: what is held becomes visible to others when its lease ends."""

    def leave() -> None:
        os.write(2, b"the drain did not come to its end: leaving\n")
        os._exit(ExitCode.ABORTED)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
