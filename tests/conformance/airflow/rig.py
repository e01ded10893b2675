"""What the suite shares: the port as it is wired in the product, on one of the servers, and a team's two bundles."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from agentd.core import system_runtime
from agentd.embedded.airflow import DagFile, DagSpec, EmbeddedAirflow, Setup, Task
from agentd.platform.airflow import Airflow, AirflowAddress, Caller, DagRun
from agentd.platform.airflow_rest import DirectRoute, RestAirflows
from agentd.platform.config import AirflowApiConfig
from agentd.telemetry import Metrics
from tests.conformance.registry.support import RecordingFence, new_subject
from tests.servers.airflow import AirflowServer

T = TypeVar("T")

# What `sources` says to a real Airflow.
EMBEDDED = {
    "alpha": (
        DagFile(
            filename="good.py",
            dags=(
                DagSpec(
                    dag_id="good",
                    tasks=(
                        Task(task_id="first", lines=("hello from first",)),
                        Task(task_id="second", lines=("hello from second 1",)),
                    ),
                ),
                DagSpec(
                    dag_id="flaky",
                    tasks=(
                        Task(task_id="fails", failures=1, lines=("trying",)),
                        Task(task_id="after", lines=("after all",)),
                    ),
                ),
                DagSpec(dag_id="slow", tasks=(Task(task_id="waits", seconds=600, lines=("waiting",)),)),
            ),
        ),
    ),
    "beta": (DagFile(filename="bad.py", error="ModuleNotFoundError: No module named 'no_such_module'\n"),),
}
_SECRET = "a secret of the tests, and of them alone: of as many bytes as HS512 asks for"  # noqa: S105 - of no value
_PATIENCE_S = 120.0
_BETWEEN_LOOKS_S = 0.25


class CookieRoute(DirectRoute):
    """A way on which the Authorization header is lost, as the Kubernetes API server's is."""

    forwards_authorization = False


@dataclass(frozen=True, slots=True)
class Server:
    """A server to run against. `deploy` has the bundles of these names be there, and no others."""

    name: str
    url: str
    address: AirflowAddress
    deploy: Callable[..., Awaitable[None]]


@dataclass
class Bench:
    """The adapter on one server."""

    airflows: RestAirflows
    server: Server
    metrics: Metrics
    fence: RecordingFence

    @property
    def airflow(self) -> Airflow:
        """As the agent."""
        return self.airflows.of(self.server.address)

    def as_(self, caller: Caller) -> Airflow:
        """As somebody else."""
        return self.airflows.of(self.server.address, caller)

    async def until(self, look: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
        """What is seen once it is as it should be. A real Airflow takes seconds, and is not asked all the time meanwhile."""
        async with asyncio.timeout(_PATIENCE_S):
            while not good(found := await look()):
                await asyncio.sleep(_BETWEEN_LOOKS_S if self.server.name == "real" else 0)
        return found

    async def parsed(self) -> None:
        """Until both bundles have been seen."""

        async def look() -> tuple[set[str], int]:
            return {dag.dag_id for dag in await self.airflow.dags()}, len(await self.airflow.import_failures())

        await self.until(look, lambda seen: seen == ({"good", "flaky", "slow"}, 1))

    async def run(self, dag_id: str) -> DagRun:
        """A new run of a DAG that is not paused, with an id that nobody has used."""
        await self.airflow.set_paused([dag_id], False, fence=self.fence)
        return await self.airflow.trigger(dag_id, f"run-{uuid4()}", fence=self.fence)

    async def seen(self, run: DagRun) -> DagRun:
        """A run as it is now."""
        found = await self.airflow.dag_run(run.dag_id, run.dag_run_id)
        assert found is not None
        return found

    async def finished(self, run: DagRun) -> DagRun:
        """A run once it has ended."""
        return await self.until(lambda: self.seen(run), lambda found: found.finished)


@asynccontextmanager
async def embedded_server() -> AsyncIterator[Server]:
    """The embedded one, with an environment of its own."""
    async with EmbeddedAirflow.start() as embedded:

        async def deploy(*names: str) -> None:
            bundles = {name: EMBEDDED[name] for name in names}
            await embedded.be("test", Setup(jwt_secret=_SECRET, bundles=bundles))

        await deploy("alpha", "beta")
        yield Server("embedded", embedded.url, AirflowAddress("test", "/environments/test/airflow", _SECRET), deploy)


def real_server(running: AirflowServer, bundles: Mapping[str, Path]) -> Server:
    """A real one, with these folders as bundles."""

    async def deploy(*names: str) -> None:
        await asyncio.to_thread(running.deploy, {name: bundles[name] for name in names})

    return Server("real", running.url, AirflowAddress("test", running.prefix, running.jwt_secret), deploy)


@asynccontextmanager
async def bench(server: Server, route: DirectRoute | None = None, **settings: Any) -> AsyncIterator[Bench]:
    """The adapter, with settings and a route of the test's own."""
    metrics = Metrics()
    if server.name == "real":
        # Its API server answers nobody for ten seconds and more while its first task begins, and shares the machine.
        settings = {"call_timeout_s": 90.0, **settings}
    async with route or DirectRoute(server.url) as opened:
        airflows = RestAirflows(opened, AirflowApiConfig(**settings), metrics=metrics, runtime=system_runtime())
        yield Bench(airflows, server, metrics, RecordingFence(new_subject("environment"), "owner"))
