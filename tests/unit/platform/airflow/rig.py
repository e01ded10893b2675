"""The adapter on an embedded Airflow in this process, with faults, and with clocks that may differ."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agentd.embedded.airflow import DagFile, DagSpec, EmbeddedAirflow, Setup, Task
from agentd.platform.airflow import Airflow, AirflowAddress
from agentd.platform.airflow_rest import DirectRoute, RestAirflows
from agentd.platform.config import AirflowApiConfig
from agentd.platform.routes import Route
from agentd.telemetry import Metrics
from tests.conformance.registry.support import RecordingFence, new_subject
from tests.virtual_time import WallClock, virtual_runtime

SECRET = "s" * 64
ADDRESS = AirflowAddress("test", "/environments/test/airflow", SECRET)


@dataclass
class Rig:
    """One adapter, its server, and the metrics that it counts in."""

    airflows: RestAirflows
    server: EmbeddedAirflow
    metrics: Metrics
    fence: RecordingFence

    @property
    def airflow(self) -> Airflow:
        """The environment's, as the agent."""
        return self.airflows.of(ADDRESS)

    def counted(self, operation: str, code: str) -> int:
        """How often an operation ended so, by the metric."""
        labels = {"port": "airflow", "operation": operation, "code": code}
        return int(self.metrics.registry.get_sample_value("agentd_platform_call_duration_seconds_count", labels) or 0)


def two_dags(**more: Any) -> Setup:
    """An environment with DAGs `a` and `b` in bundle `one`; the task of `a` fails at first."""
    failing = Task(task_id="task", failures=1, lines=("one", "two"))
    file = DagFile(filename="f.py", dags=(DagSpec(dag_id="a", tasks=(failing,)), DagSpec(dag_id="b")))
    return Setup(jwt_secret=SECRET, bundles={"one": (file,)}, **more)


def adapter(route: Route, metrics: Metrics | None = None, **settings: Any) -> RestAirflows:
    """As it is wired in the product."""
    return RestAirflows(route, AirflowApiConfig(**settings), metrics=metrics or Metrics(), runtime=virtual_runtime())


@asynccontextmanager
async def rig(
    *, server_clock: WallClock | None = None, setup: Setup | None = None, **settings: Any
) -> AsyncIterator[Rig]:
    """An environment with two DAGs, unless it is set up otherwise."""
    metrics = Metrics()
    async with (
        EmbeddedAirflow.start_here(virtual_runtime(server_clock)) as server,
        DirectRoute(server.url) as route,
    ):
        await server.be("test", setup or two_dags())
        fence = RecordingFence(new_subject("environment"), "owner")
        yield Rig(adapter(route, metrics, **settings), server, metrics, fence)
