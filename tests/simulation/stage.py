"""Where runs are played: a folder in memory with an empty ledger, in a process of their own.

A run that has ended leaves tasks behind that are never to take another step; so runs are played in forked processes that
end without cleaning up, and nothing of them is ever collected while they last.
"""

import gc
import logging
import multiprocessing
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import structlog
from structlog.contextvars import merge_contextvars
from structlog.typing import EventDict, WrappedLogger

from agentd.ledger import LedgerConfig
from agentd.ledger.sqlite.connection import open_for_writing
from tests.simulation.plan import Plan
from tests.simulation.process import ledger_path
from tests.simulation.simulation import Result, simulate, tell_on_stage

T = TypeVar("T")

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory, where there is one


class Stage:
    """One process's place for runs, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = ledger_path(folder)
        open_for_writing(LedgerConfig(path=self._template)).close()
        _quieten()

    def play(self, plan: Plan, *, logs: bool = False) -> Result:
        """One run. Nothing of it is collected while the process lives. With `logs` the trace tells what replicas log, too."""
        if logs:
            structlog.configure(
                processors=[merge_contextvars, _into_the_trace],
                wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
                cache_logger_on_first_use=True,
            )
        folder = self._folder / "run"
        folder.mkdir()
        try:
            shutil.copyfile(self._template, ledger_path(folder))
            return simulate(plan, folder)
        finally:
            shutil.rmtree(folder)


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage in this process, which should end soon after."""
    folder = Path(tempfile.mkdtemp(prefix="agentd-simulation-", dir=_MEMORY if _MEMORY.is_dir() else None))
    gc.disable()
    try:
        yield Stage(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_a_process(work: Callable[[Stage], T]) -> T:
    """The result of work on a stage in a forked process. RuntimeError with its traceback when it fails."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(work, there))
    child.start()
    there.close()
    try:
        done, answer = here.recv()
    except EOFError:
        child.join()
        raise RuntimeError(f"the process of a simulation has ended with {child.exitcode}") from None
    child.join()
    if not done:
        raise RuntimeError(answer)
    result: T = answer
    return result


def _work(work: Callable[[Stage], object], answer: Connection) -> None:
    try:
        with stage() as made:
            answer.send((True, work(made)))
    except BaseException:
        answer.send((False, traceback.format_exc()))
    answer.close()
    os._exit(0)


def _into_the_trace(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The end of a log line: an entry of the trace."""
    said = {key: value for key, value in event.items() if key not in ("event", "room", "trace_id", "exc_info")}
    if isinstance(event.get("exc_info"), BaseException) or event.get("exc_info") is True:
        said["error"] = traceback.format_exc(limit=-3)
    words = ", ".join(f"{key} {value}" for key, value in said.items())
    tell_on_stage(f"{method} {event['event']}: {words}")
    raise structlog.DropEvent


def _quieten() -> None:
    """Logs cost time, and a trace says more."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True
    )
    logging.disable(logging.CRITICAL)
