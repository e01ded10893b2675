"""A few questions to the daemon's proxy, for the demo: over gRPC, as any control plane would ask."""

from collections.abc import Sequence
from dataclasses import dataclass

from grpclib.client import Channel

from proxy.generated.v1 import agent_grpc, agent_pb2, cluster_grpc, cluster_pb2, environments_grpc, environments_pb2

_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What the proxy said. `deployments` are (environment, state, project, build, digest)."""

    version: str
    cluster: str
    deployments: Sequence[tuple[str, str, str, str, str]]
    verdicts: Sequence[str]


async def ask(port: int, event_id: str) -> Answers:
    """Ask the proxy on this machine who it is, how its cluster is, what is deployed where, and what became of an event."""
    async with Channel("127.0.0.1", port) as channel:
        agent = agent_grpc.AgentStub(channel)
        version = await agent.GetVersion(agent_pb2.GetVersionRequest(), timeout=_DEADLINE_S)
        explained = await agent.Explain(agent_pb2.ExplainRequest(name=event_id), timeout=_DEADLINE_S)
        health = await cluster_grpc.ClusterStub(channel).GetHealth(cluster_pb2.GetHealthRequest(), timeout=_DEADLINE_S)
        listed = await environments_grpc.EnvironmentsStub(channel).List(
            environments_pb2.EnvironmentsListRequest(), timeout=_DEADLINE_S
        )
    return Answers(
        version=f"{version.version}, replica {version.replica}",
        cluster=f"{health.version}, {health.nodes_ready} of {health.nodes_total} nodes ready",
        deployments=[row for environment in listed.environments for row in _deployments(environment)],
        verdicts=[event.verdict for event in explained.events],
    )


def _deployments(environment: environments_pb2.Environment) -> Sequence[tuple[str, str, str, str, str]]:
    state = environments_pb2.EnvironmentState.Name(environment.state).removeprefix("ENVIRONMENT_STATE_").lower()
    rows = [(environment.name, state, item.name, item.build_id, item.digest) for item in environment.projects]
    return rows or [(environment.name, state, "-", "-", "-")]
