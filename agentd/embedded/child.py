"""A server in a child process of this one: started, known to be up, and ended whatever happens. The parent's half.

The other half is `agentd.embedded.child_side`. The child writes its port as one line to standard output when it is ready.
"""

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, TypeVar

Pipe = TypeVar("Pipe", asyncio.StreamReader, asyncio.StreamWriter)

_START_S = 20.0
_STOP_S = 5.0
_OUTPUT_BYTES = 4000
# The child sees nothing else of this process' environment, so that no setting meant for another server changes it.
_INHERITED = ("PATH", "HOME", "TMPDIR", "PYTHONPATH")


class EmbeddedServerError(RuntimeError):
    """An embedded server is not installed, did not start, or does not answer; with the end of its output where there is one."""


@asynccontextmanager
async def run_child(
    what: str, module: str, arguments: Sequence[str], *, environment: Mapping[str, str], log: Path | None
) -> AsyncIterator[int]:
    """Run a module until the block ends; yields its port. EmbeddedServerError when it does not come up.

    The child's output goes to the end of the file `log`, or nowhere.
    """
    with _output(log) as output:
        process = await _spawn(module, arguments, environment, output)
        try:
            yield await _ready_port(what, process, output)
        finally:
            await _stop(process)


def _output(log: Path | None) -> IO[bytes]:
    """Where the child's output goes; readable, for its last lines are part of the error when it does not come up."""
    if log is None:
        return tempfile.TemporaryFile()
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("a+b")


async def _spawn(module: str, arguments: Sequence[str], environment: Mapping[str, str], output: IO[bytes]) -> Process:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,  # never written to: its end tells the child that this process is gone
        stdout=asyncio.subprocess.PIPE,
        stderr=output,
        env={**inherited, "PYTHONUNBUFFERED": "1", **environment},
        start_new_session=True,  # a Ctrl-C in the terminal is this process' to act upon
    )


async def _ready_port(what: str, process: Process, output: IO[bytes]) -> int:
    stdout = _opened(process.stdout)
    try:
        async with asyncio.timeout(_START_S):
            line = await stdout.readline()
    except TimeoutError:
        raise EmbeddedServerError(f"{what} is not up after {_START_S:g} s; {_tail(output)}") from None
    if not line:
        raise EmbeddedServerError(f"{what} ended with code {await process.wait()}; {_tail(output)}")
    return int(line)


async def _stop(process: Process) -> None:
    _opened(process.stdin).close()
    try:
        async with asyncio.timeout(_STOP_S):
            await _opened(process.stdout).read()
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _opened(pipe: Pipe | None) -> Pipe:
    if pipe is None:
        raise EmbeddedServerError("the child process was started without its pipes")
    return pipe


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _OUTPUT_BYTES))
    return f"its output ends with: {output.read().decode(errors='replace').strip() or 'nothing'}"
