"""Everything that the daemon needs, on this machine: a cloud with its queues, a cluster, and the daemon as a process."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO

import aiohttp

from agentd.bus import Queue
from agentd.cli.cluster_owner import cluster_owner
from agentd.cli.errors import StackError
from agentd.cli.stack_airflow import play_airflows
from agentd.cli.stack_queues import QueueChoice, StackQueues, make_queues
from agentd.core import AwsConfig, Runtime
from agentd.embedded import EmbeddedCloud, EmbeddedKubernetes
from agentd.platform.config import ClusterConfig

TENANT_ID = "7e0a0000-0000-4000-8000-000000000001"
CLUSTER_ID = "c1050000-0000-4000-8000-000000000001"
_READY_S = 20.0
_STOP_S = 40.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A running cloud with the three queues, a cluster, and what a daemon must know of them.

    `kubernetes` is None when the cluster is not the embedded one.
    """

    cloud: EmbeddedCloud
    kubernetes: EmbeddedKubernetes | None
    folder: Path
    kubeconfig: Path
    aws: AwsConfig
    queues: StackQueues
    airflow_url: str
    """Where the Airflows of all environments are."""

    @property
    def commands_url(self) -> str:
        """Where events are sent."""
        return self.queues.commands_url

    @property
    def dead_letters_url(self) -> str:
        """Where events end that failed."""
        return self.queues.dead_letters_url

    @property
    def reports_url(self) -> str:
        """Where reports come."""
        return self.queues.reports_url

    def queue(self, url: str, name: str, runtime: Runtime) -> Queue:
        """One of the queues, not open."""
        return self.queues.queue(url, name, runtime)

    @property
    def cluster_url(self) -> str:
        """Where the cluster is, as far as is known."""
        return self.kubernetes.url if self.kubernetes else str(self.kubeconfig)

    async def reset_calls(self) -> None:
        """Count calls from nought again."""
        await self.cloud.reset_calls()
        if self.kubernetes is not None:
            await self.kubernetes.reset_calls()

    async def writes(self) -> Mapping[tuple[str, str], int]:
        """Calls since then that change something, but for those that belong to receiving and reporting."""
        counted = dict(self.cloud.writes(await self.cloud.calls()))
        if self.kubernetes is not None:
            counted |= self.kubernetes.writes(await self.kubernetes.calls())
        return {call: number for call, number in counted.items() if call[0] != "sqs"}

    def environment(self, **settings: str) -> Mapping[str, str]:
        """Environment of a daemon or command that works on this stack; `settings` are further `AGENTD_*` variables."""
        return {
            **self.cloud.environment,
            "AGENTD_TENANT_ID": TENANT_ID,
            "AGENTD_CLUSTER_ID": CLUSTER_ID,
            "AGENTD_AWS__REGION": self.cloud.region,
            **({"AGENTD_AWS__ENDPOINT_URL": self.aws.endpoint_url} if self.aws.endpoint_url else {}),
            "AGENTD_CLUSTER__ACCESS": "kubeconfig",
            "AGENTD_CLUSTER__KUBECONFIG": str(self.kubeconfig),
            "AGENTD_AIRFLOW__API__URL": self.airflow_url,
            **self.queues.environment(),
            "AGENTD_LEDGER__PATH": str(self.folder / "ledger.db"),
            # Polls cost nothing here, and a drain waits for the open ones.
            "AGENTD_BUS__WAIT_S": "1",
            "AGENTD_CLUSTER__DELETE_WAIT_S": "0.5",
            "AGENTD_DISPATCH__STEP_RETRY_CAP_S": "0.5",
            **settings,
        }


@asynccontextmanager
async def start_stack(
    folder: Path,
    *,
    fifo: bool = False,
    visibility_s: int = 30,
    port: int | None = None,
    kubeconfig: Path | None = None,
    sqs_endpoint_url: str | None = None,
    queues: QueueChoice = QueueChoice.SQS,
) -> AsyncIterator[Stack]:
    """Start the cloud (on a free port unless given) and a cluster, and make the queues.

    With a kubeconfig that cluster is used; with an endpoint that server's queues of SQS. Everything is gone when the block
    ends but the files in the folder.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with AsyncExitStack() as parts:
        async with asyncio.TaskGroup() as starting:  # side by side: each takes half a second
            clouds = starting.create_task(
                parts.enter_async_context(EmbeddedCloud.start(port=port, log=folder / "cloud.log")), name="start cloud"
            )
            clusters = None if kubeconfig else starting.create_task(_start_cluster(parts, folder), name="start cluster")
        cloud, kubernetes = clouds.result(), clusters.result() if clusters else None
        os.environ.update(cloud.environment)
        aws = AwsConfig(region=cloud.region, endpoint_url=cloud.endpoint_url)
        if sqs_endpoint_url is not None:
            # The SDK's own way to name another endpoint for one service.
            os.environ["AWS_ENDPOINT_URL_SQS"] = sqs_endpoint_url
            parts.callback(os.environ.pop, "AWS_ENDPOINT_URL_SQS")
            aws = AwsConfig(region=cloud.region)
        made = await make_queues(parts, queues, folder, aws, fifo=fifo, visibility_s=visibility_s, port=free_port())
        kubeconfig = kubeconfig or folder / "kubeconfig"
        async with cluster_owner(kubeconfig) as owner:
            await owner.make_namespace(ClusterConfig().system_namespace)  # as an installation does
        airflow = await parts.enter_async_context(play_airflows(kubeconfig, folder / "airflow.log"))
        yield Stack(cloud, kubernetes, folder, kubeconfig, aws, made, airflow.url)


async def _start_cluster(parts: AsyncExitStack, folder: Path) -> EmbeddedKubernetes:
    kubernetes = await parts.enter_async_context(EmbeddedKubernetes.start(log=folder / "cluster.log"))
    await asyncio.to_thread(kubernetes.kubeconfig, folder / "kubeconfig")
    return kubernetes


@dataclass(slots=True)
class DaemonProcess:
    """`agentd run` as a child process. Its output goes to `log`, or to this process's own when there is none.

    `module` is what Python is told to run with `run` as its argument.
    """

    environment: Mapping[str, str]
    log: Path | None = None
    module: str = "agentd"
    process: asyncio.subprocess.Process | None = field(default=None, init=False)
    http_url: str = field(default="", init=False)
    proxy_port: int = field(default=0, init=False)

    async def start(self) -> None:
        """Start it, and return once it is ready. StackError with the end of its output when it is not within 20 s."""
        await self.spawn()
        await self._wait_until_ready()

    async def spawn(self) -> None:
        """Start it, and wait for nothing."""
        output: IO[bytes] | None = self.log.open("ab") if self.log else None
        port, self.proxy_port = free_port(), free_port()
        self.http_url = f"http://127.0.0.1:{port}"
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.module,
                "run",
                stdout=output,
                stderr=output,
                env={
                    **os.environ,
                    "AGENTD_PROXY__LISTEN_PORT": str(self.proxy_port),
                    **self.environment,
                    "AGENTD_TELEMETRY__HTTP_PORT": str(port),
                },
                start_new_session=True,  # a Ctrl-C in the terminal is this process' to act upon: two signals would abort
            )
        finally:
            if output:
                output.close()

    async def stop(self) -> int:
        """Ask it to drain; its exit code. Killed when it takes too long."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """kill -9, as a crash would."""
        return await self._end(signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit code, once it ends by itself."""
        if self.process is None:
            raise StackError("the daemon was never started")
        return await self.process.wait()

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its HTTP pages."""
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(self.http_url + path) as answer:
            return answer.status, await answer.text()

    async def _end(self, number: signal.Signals) -> int:
        if self.process is None or self.process.returncode is not None:
            return self.process.returncode or 0 if self.process else 0
        self.process.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_S):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise StackError(f"the daemon did not stop within {_STOP_S:g} s{self._tail()}") from None

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(_READY_S):
                while not await self._ready():  # noqa: ASYNC110 - another process becomes ready: no event of ours
                    await asyncio.sleep(0.05)
        except TimeoutError:
            await self.kill()
            raise StackError(f"the daemon was not ready within {_READY_S:g} s{self._tail()}") from None

    async def _ready(self) -> bool:
        if self.process is not None and self.process.returncode is not None:
            raise StackError(f"the daemon ended with exit code {self.process.returncode}{self._tail()}")
        try:
            status, _ = await self.get("/readyz")
        except aiohttp.ClientError:
            return False
        return status == HTTPStatus.OK

    def _tail(self) -> str:
        if self.log is None or not self.log.exists():
            return ""
        return f"; the end of {self.log}:\n{self.log.read_text(errors='replace')[-3000:]}"


@asynccontextmanager
async def open_queues(*queues: Queue) -> AsyncIterator[None]:
    """The queues are open until the block ends."""
    async with AsyncExitStack() as stack:
        for queue in queues:
            stack.push_async_callback(queue.close)
            await queue.open()
        yield


def free_port() -> int:
    """A TCP port on loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
