"""A proxy on a socket of this machine, and a client that shares no code with it: grpcio's."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from agentd.core import AuditLog, NoAudit, Runtime, system_runtime
from agentd.telemetry import Health, Metrics
from proxy.config import ProxyConfig
from proxy.server import Proxy
from tests.unit.proxy.fakes import OWNER, Agent, FakeCluster

Message = Any  # a message of the call's own type
# On a busy machine ten seconds pass, and heartbeats would come in between.
_SETTINGS = {"listen_port": 0, "heartbeat_s": 300, "default_deadline_s": 30}
_DETAILS = (ErrorInfo, BadRequest, RetryInfo, RequestInfo)


@dataclass
class Rig:
    """One proxy, and what stands behind it."""

    config: ProxyConfig
    agent: Agent = field(default_factory=Agent)
    cluster: FakeCluster | None = field(default_factory=FakeCluster)
    metrics: Metrics = field(default_factory=Metrics)
    runtime: Runtime = field(default_factory=system_runtime)
    audit: AuditLog = field(default_factory=NoAudit)

    def __post_init__(self) -> None:
        self.health = Health(self.runtime)
        self.proxy = Proxy(
            self.config,
            self.agent,
            self.cluster,
            owner_id=OWNER,
            runtime=self.runtime,
            metrics=self.metrics,
            health=self.health,
            audit=self.audit,
        )

    @property
    def objects(self) -> FakeCluster:
        """The cluster, which is there."""
        assert self.cluster is not None
        return self.cluster

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.proxy.port}"

    def calls(self, service: str, method: str, code: str) -> float:
        """How many calls have ended so."""
        labels = {"service": service, "method": method, "code": code}
        return self.metrics.registry.get_sample_value("agentd_proxy_calls_total", labels) or 0.0

    def streams(self) -> float:
        """How many streams are open."""
        return sum(sample.value for family in self.metrics.proxy_streams.collect() for sample in family.samples)


@asynccontextmanager
async def serving(*, cluster: bool = True, audit: AuditLog | None = None, **settings: Any) -> AsyncIterator[Rig]:
    """A proxy that serves; afterwards nothing of it is left."""
    before = asyncio.all_tasks()
    rig = Rig(
        ProxyConfig.model_validate({**_SETTINGS, **settings}),
        cluster=FakeCluster() if cluster else None,
        audit=audit or NoAudit(),
    )
    await rig.proxy.start()
    try:
        yield rig
    finally:
        await rig.proxy.close()
    assert rig.streams() == 0
    assert rig.cluster is None or rig.cluster.watches.total() == 0
    await asyncio.sleep(0)  # for tasks that have been cancelled last
    left = _ours(asyncio.all_tasks() - before)
    assert not left, left


def _ours(tasks: set[asyncio.Task[Any]]) -> list[str]:
    """Those that the client library has not begun."""
    return [text for text in map(repr, tasks) if "grpc/aio" not in text and "grpcio/grpc" not in text]


@asynccontextmanager
async def channel_to(rig: Rig, **options: Any) -> AsyncIterator[grpc.aio.Channel]:
    """A connection of its own to the proxy."""
    given = {"grpc.use_local_subchannel_pool": 1, "grpc.enable_retries": 0, **options}
    async with grpc.aio.insecure_channel(rig.address, options=list(given.items())) as channel:
        yield channel


def _serialize(message: Message) -> bytes:
    found: bytes = message.SerializeToString()
    return found


def unary(channel: grpc.aio.Channel, path: str, answer: type[Message]) -> Any:  # grpcio's own callable
    """A call that gives one message."""
    return channel.unary_unary(path, request_serializer=_serialize, response_deserializer=answer.FromString)


def stream(channel: grpc.aio.Channel, path: str, answer: type[Message]) -> Any:  # grpcio's own callable
    """A call that gives a stream."""
    return channel.unary_stream(path, request_serializer=_serialize, response_deserializer=answer.FromString)


@dataclass(frozen=True)
class Failure:
    """How a call failed, as its caller sees it."""

    code: grpc.StatusCode
    message: str
    details: Mapping[type[Message], Message]
    request_id: str

    @property
    def reason(self) -> str:
        found: str = self.details[ErrorInfo].reason
        return found


async def failure(call: Any) -> Failure:
    """Await a call that fails."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return failure_of(error)
    raise AssertionError(f"has not failed, but answered {answer!r}")


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """What the error tells."""
    trailers = dict(error.trailing_metadata() or ())
    status = Status.FromString(trailers.get("grpc-status-details-bin", b""))
    found = {}
    for packed in status.details:
        for kind in _DETAILS:
            if packed.Is(kind.DESCRIPTOR):
                found[kind] = kind.FromString(packed.value)
    if status.details:
        assert (status.code, status.message) == (error.code().value[0], error.details())
    return Failure(error.code(), error.details() or "", found, str(trailers.get("x-request-id", "")))
