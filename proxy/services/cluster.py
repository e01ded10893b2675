"""`Cluster`: how the Kubernetes cluster is."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from grpclib.server import Stream

from agentd.core import AgentError
from agentd.platform import ClusterReader, Node
from proxy.errors import text
from proxy.generated.v1 import cluster_pb2 as pb
from proxy.generated.v1.cluster_grpc import ClusterBase
from proxy.messages import request_of, timestamp_of_text
from proxy.paging import Key, Paging
from proxy.services.presence import present
from proxy.validation import Check

T = TypeVar("T")

_NODES = Paging(default=100, most=500, key=(str,))


@dataclass(slots=True)
class _Answers:
    """What a cluster that may be ill still answers; what it does not is in the complaints."""

    complaints: list[str] = field(default_factory=list)

    async def of(self, question: Coroutine[Any, Any, T], otherwise: T) -> T:
        """The answer; `otherwise` when there is none."""
        try:
            return await question
        except AgentError as error:
            if error.message not in self.complaints:
                self.complaints.append(error.message)
            return otherwise


class ClusterService(ClusterBase):
    """Answers from the cluster's API, each time anew."""

    def __init__(self, cluster: ClusterReader | None) -> None:
        self._cluster = cluster

    async def GetHealth(self, stream: Stream[pb.GetHealthRequest, pb.GetHealthResponse]) -> None:
        await request_of(stream)
        cluster = present(self._cluster)
        answers = _Answers()
        none: Sequence[Node] = ()
        async with asyncio.TaskGroup() as group:
            healthy = group.create_task(answers.of(cluster.healthy(), ""), name="proxy cluster health")
            version = group.create_task(answers.of(cluster.version(), ""), name="proxy cluster version")
            nodes = group.create_task(answers.of(cluster.nodes(), none), name="proxy cluster nodes")
        ailment = healthy.result()
        await stream.send_message(
            pb.GetHealthResponse(
                api_server_ready=ailment is None,
                version=version.result(),
                nodes_ready=sum(node.ready for node in nodes.result()),
                nodes_total=len(nodes.result()),
                message=text("; ".join([*answers.complaints, *([ailment] if ailment else [])])),
            )
        )

    async def GetNodes(self, stream: Stream[pb.GetNodesRequest, pb.GetNodesResponse]) -> None:
        request = await request_of(stream)
        check = Check()
        page = _NODES.begin(request.page_size, request.page_token, check)
        check.done()
        cut = page.of(await present(self._cluster).nodes(), _node_key)
        await stream.send_message(pb.GetNodesResponse(nodes=map(_node, cut.items), next_page_token=cut.next_page_token))


def _node_key(node: Node) -> Key:
    return (node.name,)


def _node(node: Node) -> pb.Node:
    return pb.Node(
        name=node.name,
        ready=node.ready,
        unschedulable=node.unschedulable,
        kubelet_version=node.kubelet_version,
        instance_type=node.instance_type or "",
        zone=node.zone or "",
        architecture=node.architecture,
        capacity=node.capacity,
        conditions=node.conditions,
        labels=node.labels,
        create_time=timestamp_of_text(node.created_at),
    )
