"""Azurite's queue server on this machine: Azure Storage Queues without an account."""

import asyncio
import base64
import os
import shutil
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import agentd
from agentd.cli.errors import StackError

_PROGRAM = "azurite-queue"
_IN_THE_REPOSITORY = Path(agentd.__file__).parents[1] / "tests" / "servers" / "azurite" / "node_modules" / ".bin"
_ACCOUNT = "agentd"
_KEY = base64.b64encode(b"embedded").decode()
_START_S = 20.0
_STOP_S = 5.0
_PROBE_S = 0.05


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running server, with one account."""

    port: int

    @property
    def account_url(self) -> str:
        """Where the account's queues are, as settings name it."""
        return f"azure+http://127.0.0.1:{self.port}/{_ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """With the account's key."""
        endpoint = f"http://127.0.0.1:{self.port}/{_ACCOUNT}"
        return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};QueueEndpoint={endpoint};"


@asynccontextmanager
async def run_azurite(port: int, log: Path) -> AsyncIterator[Azurite]:
    """The server until the block ends, everything in memory. StackError: it is not installed, or does not come up."""
    azurite = Azurite(port)
    with await asyncio.to_thread(log.open, "ab") as output:
        process = await _spawn(_program(), azurite.port, output)
        try:
            await _until_it_listens(azurite.port, process, log)
            yield azurite
        finally:
            await _end(process)


def _program() -> str:
    found = shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path=_IN_THE_REPOSITORY)
    if found is None:
        raise StackError(
            f"{_PROGRAM} is not on the path: Azurite comes from npm (npm install --global azurite, with node 20 or newer), or "
            "with `make servers` in a checkout"
        )
    return found


async def _spawn(program: str, port: int, output: IO[bytes]) -> Process:
    return await asyncio.create_subprocess_exec(
        *(program, "--queueHost", "127.0.0.1", "--queuePort", str(port), "--inMemoryPersistence", "--silent"),
        *("--disableTelemetry", "--skipApiVersionCheck"),  # the SDK speaks newer versions than it knows by name
        stdout=output,
        stderr=output,
        env={**os.environ, "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_KEY}"},
        start_new_session=True,  # a Ctrl-C in the terminal is this process' to act upon
    )


async def _until_it_listens(port: int, process: Process, log: Path) -> None:
    try:
        async with asyncio.timeout(_START_S):
            while not await _listens(port):
                if process.returncode is not None:
                    raise StackError(f"Azurite ended with exit code {process.returncode}; its output is in {log}")
                await asyncio.sleep(_PROBE_S)
    except TimeoutError:
        raise StackError(f"Azurite is not up after {_START_S:g} s; its output is in {log}") from None


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
