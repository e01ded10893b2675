"""A watch over environments: full states, in order, however slowly they are read."""

import asyncio
import tracemalloc
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import BadRequest

from agentd.core import PermanentError, Reason
from agentd.platform import Change, ChangeKind, keys
from proxy.environments import CONFIG_MAP, NAMESPACE
from proxy.generated.v1 import environments_pb2 as pb
from proxy.watching import View
from tests.unit.proxy.fakes import deployment, environment_id, namespace
from tests.unit.proxy.raw import raw_client
from tests.unit.proxy.rig import channel_to, failure_of, serving, stream

WATCH = "/conveyor.proxy.v1.Environments/Watch"
PRESENT, GONE, SYNCED, HEARTBEAT = (
    pb.WATCH_KIND_PRESENT,
    pb.WATCH_KIND_GONE,
    pb.WATCH_KIND_SYNCED,
    pb.WATCH_KIND_HEARTBEAT,
)


def _watch(channel: grpc.aio.Channel, **request: Any) -> Any:  # grpcio's own call
    return stream(channel, WATCH, pb.EnvironmentsWatchResponse)(pb.EnvironmentsWatchRequest(**request))


async def _read(watch: Any, messages: int) -> list[tuple[int, str]]:
    return [(message.kind, message.environment.name) for message in [await watch.read() for _ in range(messages)]]


async def test_everything_then_synced_then_every_change() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        cluster = rig.objects
        cluster.put(namespace("dev", 1))
        cluster.put(namespace("foreign", 9, owner="somebody-else"))
        cluster.put(deployment("dev", 1, "p", "b1"))
        watch = _watch(channel)
        first = await watch.read()
        assert (first.kind, [one.build_id for one in first.environment.projects]) == (PRESENT, ["b1"])
        assert await _read(watch, 1) == [(SYNCED, "")]
        cluster.put(deployment("dev", 1, "p", "b2"))
        assert [one.build_id for one in (await watch.read()).environment.projects] == ["b2"]
        cluster.put(namespace("dev", 1, power="hibernated", generation=2))
        assert (await watch.read()).environment.state == pb.ENVIRONMENT_STATE_HIBERNATED
        cluster.put(namespace("test", 2))
        assert await _read(watch, 1) == [(PRESENT, "test")]
        cluster.remove(deployment("dev", 1, "p", "b2"))
        assert list((await watch.read()).environment.projects) == []
        cluster.remove(namespace("dev", 1))
        gone = await watch.read()
        assert (gone.kind, gone.environment.id) == (GONE, environment_id(1))
        watch.cancel()
        await cluster.until_watched(times=0)
    assert rig.calls("conveyor.proxy.v1.Environments", "Watch", "CANCELLED") == 1


async def test_one_environment_alone() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        rig.objects.put(namespace("dev", 1))
        rig.objects.put(namespace("test", 2))
        watch = _watch(channel, environment_id=environment_id(2))
        assert await _read(watch, 2) == [(PRESENT, "test"), (SYNCED, "")]
        rig.objects.put(deployment("dev", 1, "p", "b"))
        rig.objects.put(deployment("test", 2, "p", "b"))
        assert await _read(watch, 1) == [(PRESENT, "test")]
        watch.cancel()


async def test_a_deletion_says_what_it_waits_for() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        rig.objects.put(namespace("dev", 1))
        watch = _watch(channel)
        await _read(watch, 2)
        going = namespace("dev", 1, deletionTimestamp="2026-01-03T00:00:00Z")
        conditions = [
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All resources discovered"},
            {
                "type": "NamespaceFinalizersRemaining",
                "status": "True",
                "message": "Some content has finalizers: x in 1",
            },
        ]
        rig.objects.put({**going, "status": {"phase": "Terminating", "conditions": conditions}})
        told = (await watch.read()).environment
        watch.cancel()
    assert (told.state, told.message) == (pb.ENVIRONMENT_STATE_DELETING, "Some content has finalizers: x in 1")


async def test_silence_is_broken_by_heartbeats_and_tokens_go_on() -> None:
    async with serving(heartbeat_s=0.05) as rig, channel_to(rig) as channel:
        watch = _watch(channel, resume_token="from-an-earlier-stream")  # noqa: S106 - a stream's
        messages = [await watch.read() for _ in range(3)]
        watch.cancel()
    assert [message.kind for message in messages] == [SYNCED, HEARTBEAT, HEARTBEAT]
    stems = {message.resume_token.rpartition(".")[0] for message in messages}
    assert len(stems) == 1
    assert [message.resume_token.rpartition(".")[2] for message in messages] == ["1", "2", "3"]


async def test_what_the_cluster_tells_again_after_a_gap_is_told_if_it_is_new() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        rig.objects.put(namespace("dev", 1))
        watch = _watch(channel)
        await _read(watch, 2)
        rig.objects.resync(NAMESPACE)
        assert await _read(watch, 1) == [(SYNCED, "")]
        watch.cancel()


async def test_the_clusters_refusal_ends_the_stream() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        watch = _watch(channel)
        await _read(watch, 1)
        rig.objects.fail_watches(PermanentError(Reason.ACCESS_DENIED, "watch namespaces: forbidden (403)"))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await watch.read()
    found = failure_of(ended.value)
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ACCESS_DENIED")
    assert found.message == "watch namespaces: forbidden (403)"


@pytest.mark.parametrize("cluster", [True, False])
async def test_a_watch_that_cannot_begin(cluster: bool) -> None:
    async with serving(cluster=cluster) as rig, channel_to(rig) as channel:
        request = {"environment_id": "dev", "resume_token": "x" * 257} if cluster else {}
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await _watch(channel, **request).read()
    found = failure_of(ended.value)
    if cluster:
        fields = [one.field for one in found.details[BadRequest].field_violations]
        assert (found.code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["environment_id", "resume_token"])
    else:
        assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_CLUSTER")


async def test_a_streams_own_deadline_ends_it_and_the_clusters_watches() -> None:
    async with serving() as rig, channel_to(rig) as channel:
        call = stream(channel, WATCH, pb.EnvironmentsWatchResponse)(pb.EnvironmentsWatchRequest(), timeout=0.5)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await _read(call, 2)  # SYNCED, then nothing
        await rig.objects.until_watched(times=0)
    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_slow_reader_costs_no_memory_and_reads_the_newest_state() -> None:
    """Thousands of changes while nothing is read: what waits is one name."""
    changes, label = 3000, "x" * 2000
    async with serving() as rig, raw_client(rig.proxy.port) as client:
        cluster = rig.objects
        cluster.put(namespace("dev", 1))
        call = client.call(WATCH, b"")
        await cluster.until_watched(times=2)
        tracemalloc.start()
        for number in range(changes):
            changed = namespace("dev", 1, generation=number + 2)
            changed["metadata"]["labels"]["note"] = f"{number}{label}"
            cluster.put(changed)
            await asyncio.sleep(0)  # the watches' turn
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        while len(client.data[call]) < 65535:
            await client.read()
        before = len(client.messages(call))
        client.grant(call)
        while _last_generation(client.messages(call)) != changes + 1:
            await client.read()
        after = len(client.messages(call))
    assert before < 65535 / len(label) + 2
    assert after - before < 5
    assert peak < 2 * 2**20, f"{peak} bytes for {changes * len(label)} of changes"


def _last_generation(messages: list[bytes]) -> int:
    return pb.EnvironmentsWatchResponse.FromString(messages[-1]).environment.generation


async def test_a_reader_that_has_stopped_loses_its_stream_and_nobody_else_theirs() -> None:
    async with serving(stall_s=0.2) as rig, raw_client(rig.proxy.port) as client, channel_to(rig) as channel:
        cluster = rig.objects
        call = client.call(WATCH, b"")
        other = _watch(channel)
        await _read(other, 1)
        big = namespace("dev", 1)
        big["metadata"]["labels"]["note"] = "x" * 100_000  # more than the window that is ever granted
        cluster.put(big)
        ended = await client.ended(call)
        assert await _read(other, 1) == [(PRESENT, "dev")]
        other.cancel()
        await cluster.until_watched(times=0)
    assert ended["grpc-status"] == str(grpc.StatusCode.ABORTED.value[0])
    assert ended["grpc-message"].startswith("the caller has not read for 0.2 s")


async def test_a_peer_whose_socket_takes_nothing_is_dropped() -> None:
    async with serving(stall_s=0.2) as rig, raw_client(rig.proxy.port) as client:
        client.h2.update_settings({4: 2**30})  # a window for everything, and then nobody reads
        client.h2.increment_flow_control_window(2**30)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
        client.call(WATCH, b"")
        big = namespace("dev", 1)
        big["metadata"]["labels"]["note"] = "x" * (32 * 2**20)
        rig.objects.put(big)
        await rig.objects.until_watched(times=2)
        await rig.objects.until_watched(times=0)
    assert rig.calls("conveyor.proxy.v1.Environments", "Watch", "CANCELLED") == 1


def _told(view: View) -> list[tuple[int, str]]:
    told: list[tuple[int, str]] = []
    while (step := view.next()) is not None:
        told.append((step[0], "" if step[1] is None else step[1].id[-1]))
    return told


def _present(manifest: dict[str, Any]) -> Change:
    return Change(ChangeKind.PRESENT, manifest)


def _gone(manifest: dict[str, Any]) -> Change:
    return Change(ChangeKind.GONE, manifest)


def _synced_view() -> View:
    view = View()
    view.namespace(Change(ChangeKind.SYNCED))
    view.project(Change(ChangeKind.SYNCED))
    assert _told(view) == [(SYNCED, "")]
    return view


def test_nothing_is_told_before_both_watches_have_told_everything() -> None:
    view = View()
    view.namespace(_present(namespace("dev", 1)))
    view.namespace(Change(ChangeKind.SYNCED))
    assert _told(view) == []
    view.project(_present(deployment("dev", 1, "p", "b")))
    view.project(Change(ChangeKind.SYNCED))
    assert _told(view) == [(PRESENT, "1"), (SYNCED, "")]


def test_an_environment_that_came_and_went_unread_is_not_told() -> None:
    view = _synced_view()
    view.namespace(_present(namespace("dev", 1)))
    view.namespace(_gone(namespace("dev", 1)))
    assert _told(view) == []


def test_a_name_that_comes_back_as_another_environment_is_told_twice() -> None:
    view = _synced_view()
    view.namespace(_present(namespace("dev", 1)))
    assert _told(view) == [(PRESENT, "1")]
    view.namespace(_gone(namespace("dev", 1)))
    view.namespace(_present(namespace("dev", 2)))
    assert _told(view) == [(GONE, "1"), (PRESENT, "2")]


def test_a_namespace_that_is_no_environment_any_more_is_gone() -> None:
    view = _synced_view()
    view.namespace(_present(namespace("dev", 1)))
    assert _told(view) == [(PRESENT, "1")]
    plain = namespace("dev", 1)
    del plain["metadata"]["labels"][keys.ENVIRONMENT_ID]
    view.namespace(_present(plain))
    assert _told(view) == [(GONE, "1")]


def test_a_change_that_callers_do_not_see_is_not_told() -> None:
    view = _synced_view()
    view.namespace(_present(namespace("dev", 1)))
    assert _told(view) == [(PRESENT, "1")]
    view.namespace(_present(namespace("dev", 1, resourceVersion="2")))
    other = deployment("dev", 1, "settings", "b")
    del other["metadata"]["labels"][keys.BUILD_ID]
    view.project(_present(other))
    assert _told(view) == []


def test_synced_comes_behind_what_was_there_before_it() -> None:
    view = _synced_view()
    view.namespace(_present(namespace("dev", 1)))
    view.namespace(Change(ChangeKind.SYNCED))
    view.namespace(_present(namespace("test", 2)))
    view.project(Change(ChangeKind.SYNCED))
    assert _told(view) == [(PRESENT, "1"), (PRESENT, "2"), (SYNCED, "")]


def test_projects_of_other_namespaces_are_left_alone() -> None:
    view = _synced_view()
    view.project(_present(deployment("agent", 9, "p", "b")))
    view.project(_gone(deployment("agent", 9, "p", "b")))
    assert CONFIG_MAP.name == "ConfigMap"
    assert _told(view) == []
