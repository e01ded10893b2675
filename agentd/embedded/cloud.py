"""The emulated cloud: SQS, ECR, S3 and more on this machine, in a child process that ends with this one."""

import asyncio
import importlib.util
import os
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, TypeVar

import aiohttp

from agentd.embedded.calls import is_write
from agentd.embedded.faults import Fault

# The answers of the control routes, each with a shape of its own.
Json = Any
Pipe = TypeVar("Pipe", asyncio.StreamReader, asyncio.StreamWriter)

_START_S = 20.0
_STOP_S = 5.0
_CONTROL_S = 10.0
_OUTPUT_BYTES = 4000
_ACCOUNT = "111122223333"
_REGION = "eu-west-1"
# The child sees nothing else of this process' environment, so that no setting meant for another server changes it.
_INHERITED = ("PATH", "HOME", "TMPDIR", "PYTHONPATH")
_CHILD_ENVIRONMENT = MappingProxyType(
    {
        "AUTH": "false",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": _REGION,
        "MINISTACK_ACCOUNT_ID": _ACCOUNT,
        # It would look for containers of its own otherwise, and remove them.
        "DOCKER_HOST": "unix:///nonexistent",
        "PYTHONUNBUFFERED": "1",
    }
)


class EmbeddedCloudError(RuntimeError):
    """The emulated cloud is not installed, did not start, or does not answer."""


class EmbeddedCloud:
    """A running emulated cloud. Make one with `EmbeddedCloud.start`."""

    def __init__(self, endpoint_url: str, control: aiohttp.ClientSession) -> None:
        self.endpoint_url = endpoint_url
        """For `AwsConfig.endpoint_url`."""
        self._control = control

    @classmethod
    @asynccontextmanager
    async def start(cls, port: int | None = None, log: Path | None = None) -> AsyncIterator["EmbeddedCloud"]:
        """Run it on a loopback port (any free one unless given) until the block ends.

        The child's output goes to the end of the file `log`, or nowhere. EmbeddedCloudError carries it when the child does not
        come up.
        """
        if importlib.util.find_spec("ministack") is None:
            raise EmbeddedCloudError(
                "the emulated cloud is not installed: it comes with the extra 'embedded' (pip install 'agentd[embedded]')"
            )
        with _output(log) as output:
            process = await _spawn(port or 0, output)
            try:
                endpoint_url = f"http://127.0.0.1:{await _ready_port(process, output)}"
                timeout = aiohttp.ClientTimeout(total=_CONTROL_S)
                async with aiohttp.ClientSession(endpoint_url, timeout=timeout) as control:
                    yield cls(endpoint_url, control)
            finally:
                await _stop(process)

    @property
    def environment(self) -> Mapping[str, str]:
        """The AWS_* variables with which any SDK talks to it. The access key is the account's number."""
        return {
            "AWS_ACCESS_KEY_ID": _ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "embedded",
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def region(self) -> str:
        """The region that `environment` names."""
        return _REGION

    async def inject(self, fault: Fault) -> str:
        """Put a fault in force, and return its id."""
        answer = await self._ask("POST", "faults", json=fault.model_dump(mode="json"))
        return str(answer["id"])

    async def clear(self, *fault_ids: str) -> None:
        """Lift these faults, or all."""
        await self._ask("DELETE", "faults", params=[("id", fault_id) for fault_id in fault_ids])

    async def hits(self, fault_id: str) -> int:
        """How many calls a fault has met; 0 once it is lifted."""
        return int((await self._ask("GET", "faults")).get(fault_id, 0))

    async def calls(self) -> Mapping[tuple[str, str], int]:
        """Calls by (service, operation) since the start or the last reset, refused ones included."""
        return {(service, operation): number for service, operation, number in await self._ask("GET", "calls")}

    @staticmethod
    def writes(calls: Mapping[tuple[str, str], int], service: str | None = None) -> Mapping[tuple[str, str], int]:
        """Those of the calls that change something, of one service or of all; empty when there are none."""
        return {
            (name, operation): number
            for (name, operation), number in calls.items()
            if is_write(operation) and service in (None, name)
        }

    async def reset_calls(self) -> None:
        """Count from nought again."""
        await self._ask("DELETE", "calls")

    async def _ask(
        self, method: str, what: str, *, json: object = None, params: list[tuple[str, str]] | None = None
    ) -> Json:
        async with self._control.request(method, f"/_embedded/{what}", json=json, params=params) as response:
            if response.status != HTTPStatus.OK:
                raise EmbeddedCloudError(f"{method} {what}: {response.status}: {await response.text()}")
            return await response.json()


def _output(log: Path | None) -> IO[bytes]:
    """Where the child's output goes; readable, for its last lines are part of the error when it does not come up."""
    if log is None:
        return tempfile.TemporaryFile()
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("a+b")


async def _spawn(port: int, output: IO[bytes]) -> Process:
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | _CHILD_ENVIRONMENT
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agentd.embedded.cloud_server", str(port)),
        stdin=asyncio.subprocess.PIPE,  # never written to: its end tells the child that this process is gone
        stdout=asyncio.subprocess.PIPE,
        stderr=output,
        env=environment,
        start_new_session=True,  # a Ctrl-C in the terminal is this process' to act upon
    )


async def _ready_port(process: Process, output: IO[bytes]) -> int:
    stdout = _opened(process.stdout)
    try:
        async with asyncio.timeout(_START_S):
            line = await stdout.readline()
    except TimeoutError:
        raise EmbeddedCloudError(f"the emulated cloud is not up after {_START_S:g} s; {_tail(output)}") from None
    if not line:
        raise EmbeddedCloudError(f"the emulated cloud ended with code {await process.wait()}; {_tail(output)}")
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
        raise EmbeddedCloudError("the emulated cloud was started without its pipes")
    return pipe


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _OUTPUT_BYTES))
    return f"its output ends with: {output.read().decode(errors='replace').strip() or 'nothing'}"
