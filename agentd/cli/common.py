"""What the commands share: settings, the event loop, and how errors are shown."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

import click
import uvloop

from agentd.app.stopping import ExitCode, Misconfigured
from agentd.cli.errors import StackError
from agentd.core import AgentError
from agentd.embedded import EmbeddedServerError
from agentd.settings import Loaded, SettingsError, load

T = TypeVar("T")
P = ParamSpec("P")


class Unusable(click.ClickException):
    """What was given cannot be used; exit code 2, one line a problem."""

    exit_code = int(ExitCode.MISCONFIGURED)

    def show(self, file: IO[Any] | None = None) -> None:  # the base class's own signature
        """One line a problem on standard error."""
        for line in self.message.splitlines():
            click.echo(f"error: {line}", err=True, file=file)


def load_settings(context: click.Context) -> Loaded:
    """The settings that the command line's `--config`, the environment and the defaults make. Raises Unusable."""
    file: Path | None = context.find_root().params.get("config")
    try:
        return load(file, os.environ)
    except SettingsError as error:
        raise Unusable(str(error)) from error


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work on the daemon's own kind of event loop. Errors of ours become one line."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except Misconfigured as error:
        raise Unusable(str(error)) from error
    except AgentError as error:
        raise click.ClickException(f"{error.reason.value}: {error.message}") from error
    except (EmbeddedServerError, StackError) as error:
        raise click.ClickException(str(error)) from error
    except ExceptionGroup as errors:
        ours, others = errors.split((EmbeddedServerError, StackError))
        if ours is None or others is not None:
            raise
        raise click.ClickException("; ".join(sorted({str(error) for error in leaves(ours)}))) from errors


def leaves(error: Exception) -> list[Exception]:
    """The errors of a group, however deep they are in it."""
    if isinstance(error, ExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def asynchronous(command: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    """Let a command be a coroutine function."""

    @wraps(command)
    def synchronous(*args: P.args, **kwargs: P.kwargs) -> T:
        async def work() -> T:
            return await command(*args, **kwargs)

        return run(work())

    return synchronous


def fail(code: ExitCode) -> None:
    """End with an exit code, when it is not nought."""
    if code:
        sys.exit(int(code))
