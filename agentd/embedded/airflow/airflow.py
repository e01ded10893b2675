"""The embedded Airflow: the API servers of any number of environments, in a child process that ends with this one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from agentd.core import Runtime
from agentd.embedded.airflow.setup import Setup
from agentd.embedded.child import run_child
from agentd.embedded.control import ControlClient
from agentd.embedded.faults import Fault

_MODULE = "agentd.embedded.airflow.server"


class EmbeddedAirflow:
    """A running server. Make one with `EmbeddedAirflow.start`.

    It schedules nothing on machines and parses no Python: environments are what `be` says, and tasks take the time that they
    are said to take. Tokens, paging, states, refusals and what is shown of them are as Airflow's own.
    """

    def __init__(self, url: str, control: ControlClient) -> None:
        self.url = url
        """Where it listens: plain HTTP on loopback. Environments are told apart by their prefixes."""
        self._control = control

    @classmethod
    @asynccontextmanager
    async def start(cls, port: int | None = None, log: Path | None = None) -> AsyncIterator["EmbeddedAirflow"]:
        """Run it on a loopback port (any free one unless given) until the block ends.

        The child's output goes to the end of the file `log`, or nowhere; EmbeddedServerError carries it when the child does
        not come up.
        """
        arguments = (str(port or 0),)
        async with run_child("the embedded Airflow", _MODULE, arguments, environment={}, log=log) as taken:
            url = f"http://127.0.0.1:{taken}"
            async with ControlClient.session(url) as session:
                yield cls(url, ControlClient(session))

    @classmethod
    @asynccontextmanager
    async def start_here(cls, runtime: Runtime) -> AsyncIterator["EmbeddedAirflow"]:
        """Run it in this process, on a free loopback port, until the block ends: with a clock of the caller's."""
        from agentd.embedded.airflow.here import serve_here

        async with serve_here(runtime) as url, ControlClient.session(url) as session:
            yield cls(url, ControlClient(session))

    async def be(self, environment: str, setup: Setup) -> None:
        """Have an environment's Airflow be like this, from now on; runs and pauses that it has stay."""
        await self._control.ask("PUT", f"environments/{environment}", json=setup.model_dump(mode="json"))

    async def remove(self, environment: str) -> None:
        """Have no Airflow for an environment."""
        await self._control.ask("DELETE", f"environments/{environment}")

    async def inject(self, fault: Fault) -> str:
        """Put a fault in force, and return its id. Its service is the last word of a path (dags, dagRuns, taskInstances, logs,

        importErrors, clearTaskInstances, health, version), its operation the HTTP method.
        """
        return await self._control.inject(fault)

    async def clear(self, *fault_ids: str) -> None:
        """Lift these faults, or all."""
        await self._control.clear(*fault_ids)

    async def hits(self, fault_id: str) -> int:
        """How many calls a fault has met; 0 once it is lifted."""
        return await self._control.hits(fault_id)

    async def calls(self) -> Mapping[tuple[str, str], int]:
        """Calls by (method, service) since the start or the last reset, refused ones included."""
        return {(method, service): number for (service, method), number in (await self._control.calls()).items()}

    @staticmethod
    def writes(calls: Mapping[tuple[str, str], int]) -> Mapping[tuple[str, str], int]:
        """Those of the calls that are no GET; dry runs of clearing are among them. Empty when there are none."""
        return {(method, service): number for (method, service), number in calls.items() if method != "GET"}

    async def reset_calls(self) -> None:
        """Count from nought again."""
        await self._control.reset_calls()
