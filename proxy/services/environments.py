"""`Environments`: the environments of this cluster, read from it each time anew."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import cast

from grpclib.server import Stream

from agentd.core import Reason, Runtime, TransientError
from agentd.platform import Change, ClusterReader, Kind, keys
from proxy.environments import CONFIG_MAP, NAMESPACE, environment_of, project_of, with_projects
from proxy.errors import Refusal, refused
from proxy.generated.v1 import environments_pb2 as pb
from proxy.generated.v1.environments_grpc import EnvironmentsBase
from proxy.messages import request_of
from proxy.paging import Key, Paging
from proxy.services.presence import present
from proxy.validation import Check
from proxy.watching import View

_ENVIRONMENTS = Paging(default=100, most=1000, key=(str,))
_MOST_TOKEN = 256


class EnvironmentsService(EnvironmentsBase):
    """Answers from the cluster's API. `owner_id` marks the environments that are this agent's own."""

    def __init__(self, cluster: ClusterReader | None, *, owner_id: str, heartbeat_s: float, runtime: Runtime) -> None:
        self._cluster = cluster
        self._own = {keys.OWNER_ID: owner_id}
        self._heartbeat_s = heartbeat_s
        self._runtime = runtime

    async def List(self, stream: Stream[pb.EnvironmentsListRequest, pb.EnvironmentsListResponse]) -> None:
        request = await request_of(stream)
        check = Check()
        page = _ENVIRONMENTS.begin(request.page_size, request.page_token, check)
        check.done()
        cluster = present(self._cluster)
        found = [environment_of(manifest) for manifest in await cluster.list(NAMESPACE, labels=self._own)]
        cut = page.of([one for one in found if one is not None], _key)
        projects = await self._projects(cluster, namespace=None)
        await stream.send_message(
            pb.EnvironmentsListResponse(
                environments=[with_projects(one, projects.get(one.name, ())) for one in cut.items],
                next_page_token=cut.next_page_token,
            )
        )

    async def Get(self, stream: Stream[pb.EnvironmentsGetRequest, pb.EnvironmentsGetResponse]) -> None:
        request = await request_of(stream)
        check = Check()
        check.uuid("environment_id", request.environment_id)
        check.done()
        cluster = present(self._cluster)
        bare = await self._find(cluster, request.environment_id)
        projects = await self._projects(cluster, namespace=bare.name)
        await stream.send_message(
            pb.EnvironmentsGetResponse(environment=with_projects(bare, projects.get(bare.name, ())))
        )

    async def Watch(self, stream: Stream[pb.EnvironmentsWatchRequest, pb.EnvironmentsWatchResponse]) -> None:
        request = await request_of(stream)
        check = Check()
        if request.environment_id:
            check.uuid("environment_id", request.environment_id)
        check.length("resume_token", request.resume_token, most=_MOST_TOKEN)
        check.done()
        cluster, view = present(self._cluster), View()
        labels = {**self._own, **({keys.ENVIRONMENT_ID: request.environment_id} if request.environment_id else {})}
        async with asyncio.TaskGroup() as group:
            for kind, take in ((NAMESPACE, view.namespace), (CONFIG_MAP, view.project)):
                self._runtime.spawn(group, _follow(cluster, kind, labels, take), f"proxy watch {kind.name}")
            await self._tell(stream, view)

    async def _tell(
        self, stream: Stream[pb.EnvironmentsWatchRequest, pb.EnvironmentsWatchResponse], view: View
    ) -> None:
        """Tell everything, for ever, and in between that nothing has happened."""
        name, number = self._runtime.new_id(), 0
        while True:
            step = view.next()
            if step is None:
                try:
                    async with asyncio.timeout(self._heartbeat_s):
                        await view.news()
                    continue
                except TimeoutError:
                    step = (pb.WATCH_KIND_HEARTBEAT, None)
            kind, environment = step
            number += 1
            await stream.send_message(
                pb.EnvironmentsWatchResponse(kind=kind, environment=environment, resume_token=f"{name}.{number}")
            )

    async def _find(self, cluster: ClusterReader, environment_id: str) -> pb.Environment:
        labels = {**self._own, keys.ENVIRONMENT_ID: environment_id}
        for manifest in await cluster.list(NAMESPACE, labels=labels):
            environment = environment_of(manifest)
            if environment is not None:
                return environment
        raise refused(
            Refusal.ENVIRONMENT_NOT_FOUND,
            f"no environment of this agent has the id {environment_id}",
            metadata={"environment_id": environment_id},
        )

    async def _projects(
        self, cluster: ClusterReader, *, namespace: str | None
    ) -> Mapping[str, list[pb.DeployedProject]]:
        """What is deployed, by namespace."""
        found: dict[str, list[pb.DeployedProject]] = {}
        for manifest in await cluster.list(CONFIG_MAP, namespace=namespace, labels=self._own):
            project = project_of(manifest)
            if project is not None:
                found.setdefault(manifest["metadata"]["namespace"], []).append(project)
        return found


async def _follow(
    cluster: ClusterReader, kind: Kind, labels: Mapping[str, str], take: Callable[[Change], None]
) -> None:
    """Take in every change, until cancelled; the cluster's watch is closed then."""
    changes = cast("AsyncGenerator[Change, None]", cluster.watch(kind, labels=labels))  # as the port promises
    async with aclosing(changes):
        async for change in changes:
            take(change)
    raise TransientError(Reason.UNAVAILABLE, f"the watch over {kind.name} objects has ended")


def _key(environment: pb.Environment) -> Key:
    return (environment.name,)
