"""Starting a server, knowing when it is up, and ending it whatever happens."""

import base64
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agentd.core import AwsConfig

REGION = "eu-west-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "111122223333",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_FAUXQS = Path(__file__).parent / "fauxqs"
_AZURITE = Path(__file__).parent / "azurite"
_AZURE_ACCOUNT = "agentdtests"
_AZURE_KEY = base64.b64encode(b"a key for tests").decode()
_START_S = 30.0
_STOP_S = 5.0
_PROBE_S = 0.05
_OUTPUT_BYTES = 4000
# Nothing else of this process' environment reaches a server: no setting meant for another one changes it.
_INHERITED = ("PATH", "HOME", "TMPDIR", "VIRTUAL_ENV")


class ServerError(RuntimeError):
    """The server is not installed, or did not start; with the end of its output."""


@dataclass(frozen=True, slots=True)
class AwsServer:
    """A running server that speaks some of AWS."""

    name: str
    endpoint_url: str

    @property
    def aws(self) -> AwsConfig:
        """How adapters reach it."""
        return AwsConfig(region=REGION, endpoint_url=self.endpoint_url)


@dataclass(frozen=True, slots=True)
class AzureServer:
    """A running server of Azure's queues and tables, for one storage account with a key."""

    account: str
    key: str
    queue_url: str
    """The account's address for queues; `table_url` is the one for tables."""
    table_url: str

    @property
    def connection_string(self) -> str:
        """All of it, as Azure's SDKs take it."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.key};"
            f"QueueEndpoint={self.queue_url};TableEndpoint={self.table_url};"
        )


@contextmanager
def run_ministack() -> Iterator[AwsServer]:
    """The best SQS of all emulators, and the fastest."""
    port = free_port()
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "0",
        "DOCKER_HOST": "unix:///nonexistent",  # it would look for containers of its own otherwise
    }
    url = f"http://127.0.0.1:{port}"
    probe = f"{url}/_ministack/health"
    with _running("ministack", [sys.executable, "-m", "ministack"], [probe], settings):
        yield AwsServer("ministack", url)


@contextmanager
def run_moto() -> Iterator[AwsServer]:
    """A second opinion on function; slow under load."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with _running("moto", command, [f"{url}/moto-api/"], {}):
        yield AwsServer("moto", url)


@contextmanager
def run_fauxqs() -> Iterator[AwsServer]:
    """A third SQS server, from npm. ServerError when `make servers` has not installed it."""
    if not (_FAUXQS / "node_modules" / "fauxqs").is_dir():
        raise ServerError("fauxqs is not installed: run `make servers` (it needs node 20 or newer and npm)")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with _running("fauxqs", ["node", str(_FAUXQS / "start.mjs"), str(port)], [f"{url}/health"], {}):
        yield AwsServer("fauxqs", url)


@contextmanager
def run_azurite() -> Iterator[AzureServer]:
    """Azure's queues and tables, from npm, all in memory. ServerError when `make servers` has not installed it."""
    program = _AZURITE / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    if not program.is_file():
        raise ServerError("Azurite is not installed: run `make servers` (it needs node 20 or newer and npm)")
    ports = {"blob": free_port(), "queue": free_port(), "table": free_port()}
    places = [f"--{kind}Host=127.0.0.1 --{kind}Port={port}" for kind, port in ports.items()]
    # SDKs speak newer versions of the protocol than it knows by name.
    manners = "--silent --inMemoryPersistence --skipApiVersionCheck --disableTelemetry"
    command = ["node", str(program), *manners.split(), *" ".join(places).split()]
    urls = {kind: f"http://127.0.0.1:{port}/{_AZURE_ACCOUNT}" for kind, port in ports.items()}
    settings = {"AZURITE_ACCOUNTS": f"{_AZURE_ACCOUNT}:{_AZURE_KEY}"}
    with _running("azurite", command, [urls["queue"], urls["table"]], settings):
        yield AzureServer(_AZURE_ACCOUNT, _AZURE_KEY, queue_url=urls["queue"], table_url=urls["table"])


@contextmanager
def _running(name: str, command: Sequence[str], probes: Sequence[str], settings: Mapping[str, str]) -> Iterator[None]:
    """The server as a child process, for as long as the block lasts; it is up once all its probes answer."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment(settings))
        try:
            for probe in probes:
                _wait_until_up(name, process, probe, output)
            yield
        finally:
            _end(process)


def _wait_until_up(name: str, process: subprocess.Popen[bytes], probe: str, output: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while not _answers(probe):
        if process.poll() is not None:
            raise ServerError(f"{name} ended with code {process.returncode}; {tail(output)}")
        if time.monotonic() > deadline:
            raise ServerError(f"{name} is not up after {_START_S:g} s; {tail(output)}")
        time.sleep(_PROBE_S)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - a fixed loopback URL
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What a server is started with: its own settings, and what any program needs."""
    return {key: os.environ[key] for key in _INHERITED if key in os.environ} | dict(settings)


def free_port() -> int:
    """A port on loopback that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(output: IO[bytes]) -> str:
    """The end of a server's output, for the message of an error."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _OUTPUT_BYTES))
    return f"its output ends with: {output.read().decode(errors='replace').strip() or 'nothing'}"
