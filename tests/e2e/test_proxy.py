"""The daemon's second face, asked by a client that shares no code with it, while the first one works."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message

from agentd.cli.control_plane import ControlPlane, control_plane, event
from agentd.cli.stack import DaemonProcess, Stack, start_stack
from agentd.core import system_runtime
from agentd.embedded import Fault, FaultKind
from agentd.events import EnvironmentCreate, EnvironmentHibernate, ProjectDelete
from proxy.generated.v1 import agent_pb2, cluster_pb2, environments_pb2
from tests.e2e.harness import eventually, running, uuid_of

CLIENT = Path(__file__).parents[1] / "unit" / "proxy" / "independent_client.py"
ENVIRONMENT = EnvironmentCreate(environment_id=uuid_of("environment dev"), environment_name="dev")
DEADLINE_S = 10


def call(channel: grpc.aio.Channel, method: str, request: Message, answer: type[Message]) -> Any:  # its own message
    """One call that gives one message."""
    serialize = type(request).SerializeToString
    made = channel.unary_unary(
        f"/conveyor.proxy.v1.{method}", request_serializer=serialize, response_deserializer=answer.FromString
    )
    return made(request, timeout=DEADLINE_S)


async def to_its_end(watch: Any) -> None:  # grpcio's own call
    """Read until there is no more."""
    while await watch.read() is not grpc.aio.EOF:
        continue


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[tuple[Stack, DaemonProcess, ControlPlane, grpc.aio.Channel]]:
    """A daemon at work, and a channel to its proxy."""
    async with (
        start_stack(folder) as stack,
        running(stack) as daemon,
        control_plane(stack, system_runtime()) as plane,
        grpc.aio.insecure_channel(f"127.0.0.1:{daemon.proxy_port}") as channel,
    ):
        yield stack, daemon, plane, channel


async def test_the_proxy_tells_what_the_daemon_did_and_redrives_what_failed(tmp_path: Path) -> None:
    async with site(tmp_path) as (_, _, plane, channel):
        created = uuid_of("create dev")
        await plane.send(event(ENVIRONMENT, 1, event_id=created))
        await plane.report(created)

        listed = await call(
            channel,
            "Environments/List",
            environments_pb2.EnvironmentsListRequest(),
            environments_pb2.EnvironmentsListResponse,
        )
        assert [(found.name, found.id, found.generation) for found in listed.environments] == [
            ("dev", ENVIRONMENT.environment_id, 1)
        ]

        async def done() -> bool:  # once the ledger has heard that its report was sent
            told = await call(
                channel, "Agent/Explain", agent_pb2.ExplainRequest(name=created), agent_pb2.ExplainResponse
            )
            return [account.verdict for account in told.events] == ["succeeded after 1 attempt with changes"]

        await eventually(done)
        health = await call(channel, "Cluster/GetHealth", cluster_pb2.GetHealthRequest(), cluster_pb2.GetHealthResponse)
        assert (health.api_server_ready, health.version[:3]) == (True, "v1.")

        unknown = uuid_of("hibernate nothing")
        late = EnvironmentHibernate(environment_id=uuid_of("environment gone"), environment_name="gone")
        await plane.send(event(late, 1, event_id=unknown, expirytime="2020-01-01T00:00:00Z"))
        assert (await plane.report(unknown))["data"]["outcome"] == "rejected"

        async def dead_letter() -> Any:
            return await call(
                channel,
                "Agent/ListDeadLetters",
                agent_pb2.ListDeadLettersRequest(),
                agent_pb2.ListDeadLettersResponse,
            )

        async def there() -> bool:
            return [letter.event_id for letter in (await dead_letter()).dead_letters] == [unknown]

        await eventually(there)
        redriven = await call(
            channel, "Agent/Redrive", agent_pb2.RedriveRequest(event_ids=[unknown]), agent_pb2.RedriveResponse
        )
        assert list(redriven.redriven_ids) == [unknown]
        again = await plane.report(unknown, epoch=2)
        assert again["data"]["reason"] == "expired", "a redrive lifts no refusal"


@pytest.mark.slow
async def test_strangers_find_the_calls_by_reflection_and_health(tmp_path: Path) -> None:
    async with site(tmp_path) as (_, daemon, _, _):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(CLIENT), f"127.0.0.1:{daemon.proxy_port}"), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        found = json.loads(out)
        assert {"conveyor.proxy.v1.Agent", "conveyor.proxy.v1.Environments", "conveyor.proxy.v1.Cluster"} <= set(
            found["services"]
        )
        assert set(found["health"].values()) == {"SERVING"}


async def test_a_watch_ends_when_the_daemon_drains_and_nothing_is_left_behind(tmp_path: Path) -> None:
    async with site(tmp_path) as (_, daemon, plane, channel):
        watch = channel.unary_stream(
            "/conveyor.proxy.v1.Environments/Watch",
            request_serializer=environments_pb2.EnvironmentsWatchRequest.SerializeToString,
            response_deserializer=environments_pb2.EnvironmentsWatchResponse.FromString,
        )(environments_pb2.EnvironmentsWatchRequest())
        first = await watch.read()
        assert first.kind == environments_pb2.WATCH_KIND_SYNCED
        created = uuid_of("create dev")
        await plane.send(event(ENVIRONMENT, 1, event_id=created))
        async with asyncio.timeout(DEADLINE_S):
            step = await watch.read()
        assert (step.kind, step.environment.name) == (environments_pb2.WATCH_KIND_PRESENT, "dev")
        await plane.report(created)
        assert await daemon.stop() == 0
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await to_its_end(watch)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_call_at_work_ends_well_while_the_daemon_drains(tmp_path: Path) -> None:
    async with site(tmp_path) as (stack, daemon, _, channel):
        assert stack.kubernetes is not None
        fault = await stack.kubernetes.inject(
            Fault(kind=FaultKind.DELAY, service="nodes", operation="list", delay_s=2.0, times=None)
        )
        asked = asyncio.ensure_future(
            call(channel, "Cluster/GetNodes", cluster_pb2.GetNodesRequest(), cluster_pb2.GetNodesResponse)
        )

        async def under_way() -> bool:
            assert stack.kubernetes is not None
            return await stack.kubernetes.hits(fault) > 0

        await eventually(under_way)
        assert await daemon.stop() == 0
        assert [node.name for node in (await asked).nodes] == ["embedded"]


@pytest.mark.slow
async def test_what_the_proxy_is_asked_changes_nothing(tmp_path: Path) -> None:
    async with site(tmp_path) as (stack, _, plane, channel):
        gone = uuid_of("delete nothing")
        data = ProjectDelete(project_id=uuid_of("project none"), project_name="none")
        await plane.send(event(data, 1, event_id=gone))
        await plane.report(gone)
        await stack.reset_calls()
        for _ in range(3):
            await call(
                channel,
                "Environments/List",
                environments_pb2.EnvironmentsListRequest(),
                environments_pb2.EnvironmentsListResponse,
            )
            await call(channel, "Agent/GetStatus", agent_pb2.GetStatusRequest(), agent_pb2.GetStatusResponse)
            await call(channel, "Cluster/GetNodes", cluster_pb2.GetNodesRequest(), cluster_pb2.GetNodesResponse)
        assert await stack.writes() == {}
