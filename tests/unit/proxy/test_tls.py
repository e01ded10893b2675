"""Mutual TLS, and that there is no plain text beyond loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from agentd.core import PermanentError
from proxy.config import ProxyConfig
from proxy.generated.v1 import agent_pb2 as agent
from proxy.tls import server_context
from tests.servers.kube_control_plane.certificates import Authority, KeyPair
from tests.unit.proxy.conftest import Lines
from tests.unit.proxy.rig import Rig, failure, serving, unary

VERSION = "/conveyor.proxy.v1.Agent/GetVersion"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the proxy trusts, and that trusts it."""
    return Authority.new(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one."""
    return Authority.new(tmp_path_factory.mktemp("tls") / "theirs")


def _settings(authority: Authority) -> dict[str, Any]:
    server = authority.server("proxy")
    return {"certificate_file": server.public, "key_file": server.private, "client_ca_file": authority.public}


@asynccontextmanager
async def _channel(rig: Rig, authority: Authority, client: KeyPair | None) -> AsyncIterator[grpc.aio.Channel]:
    pair = (
        {}
        if client is None
        else {
            "private_key": client.private.read_bytes(),
            "certificate_chain": client.public.read_bytes(),
        }
    )
    credentials = grpc.ssl_channel_credentials(root_certificates=authority.public.read_bytes(), **pair)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(rig.address, credentials, options=options) as channel:
        yield channel


async def test_a_caller_with_a_certificate_of_ours(ours: Authority, lines: Lines) -> None:
    async with serving(**_settings(ours)) as rig, _channel(rig, ours, ours.client("control-plane")) as channel:
        answer = await unary(channel, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest())
    assert answer.version == "1.2.3"
    assert [line["caller"] for line in lines("call.done")] == ["control-plane"]


@pytest.mark.parametrize("whose", ["nobody's", "theirs"])
async def test_a_caller_without_one(ours: Authority, theirs: Authority, whose: str) -> None:
    client = theirs.client("control-plane") if whose == "theirs" else None
    async with serving(**_settings(ours)) as rig, _channel(rig, ours, client) as channel:
        found = await failure(unary(channel, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest()))
    assert found.code is grpc.StatusCode.UNAVAILABLE
    assert rig.calls("conveyor.proxy.v1.Agent", "GetVersion", "OK") == 0


async def test_plain_text_and_older_tls_are_turned_away(ours: Authority) -> None:
    client = ours.client("old")
    context = ssl.create_default_context(cafile=ours.public)
    context.load_cert_chain(client.public, client.private)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(**_settings(ours)) as rig:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", rig.proxy.port, ssl=context)
        async with grpc.aio.insecure_channel(rig.address) as channel:
            found = await failure(unary(channel, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest()))
    assert found.code is grpc.StatusCode.UNAVAILABLE


async def _look_after(rig: Rig) -> None:
    """What the daemon does all the time, once."""
    async with asyncio.TaskGroup() as group:
        running = rig.runtime.spawn(group, rig.proxy.run(), "proxy")
        await asyncio.sleep(0)
        running.cancel()


async def test_files_that_change_are_taken_up(ours: Authority, theirs: Authority, tmp_path: Path, lines: Lines) -> None:
    """A rotation of everything: new connections go by the new files, those that stand go on."""
    paths: dict[str, Any] = {name: tmp_path / name for name in ("certificate_file", "key_file", "client_ca_file")}

    def install(settings: dict[str, Path]) -> None:
        for name, path in settings.items():
            paths[name].write_bytes(path.read_bytes())

    install(_settings(ours))
    async with serving(**paths) as rig, _channel(rig, ours, ours.client("old")) as old:
        call = unary(old, VERSION, agent.GetVersionResponse)
        await call(agent.GetVersionRequest())
        install({"certificate_file": theirs.server("new").public})
        await _look_after(rig)
        assert len(lines("proxy.certificates_unusable")) == 1  # half of a pair
        async with _channel(rig, ours, ours.client("old")) as still:
            await unary(still, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest())
        install(_settings(theirs))
        await _look_after(rig)
        async with _channel(rig, theirs, theirs.client("new")) as new:
            await unary(new, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest())
        async with _channel(rig, theirs, ours.client("old")) as stale:
            found = await failure(unary(stale, VERSION, agent.GetVersionResponse)(agent.GetVersionRequest()))
        await call(agent.GetVersionRequest())
    assert found.code is grpc.StatusCode.UNAVAILABLE
    assert [line["caller"] for line in lines("call.done")] == ["old", "old", "new", "old"]


async def test_a_drain_over_tls(ours: Authority) -> None:
    async with serving(**_settings(ours)) as rig, _channel(rig, ours, ours.client("control-plane")) as channel:
        call = unary(channel, VERSION, agent.GetVersionResponse)
        await call(agent.GetVersionRequest())
        await rig.proxy.drain(0)
        found = await failure(call(agent.GetVersionRequest()))
    assert found.reason == "DRAINING"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "agent.example"])  # noqa: S104 - refused, which is the point
def test_plain_text_beyond_loopback_is_refused(host: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ProxyConfig(listen_host=host)
    assert f"listen_host: {host} is not loopback" in str(refused.value)
    assert "set certificate_file, key_file, client_ca_file, or listen on 127.0.0.1" in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_plain_text_on_loopback_is_allowed(host: str) -> None:
    assert not ProxyConfig(listen_host=host).tls


def test_the_three_files_go_together(ours: Authority) -> None:
    with pytest.raises(ValidationError) as refused:
        ProxyConfig(certificate_file=ours.public)
    assert "set key_file, client_ca_file as well" in str(refused.value)


def test_limits_have_to_fit_each_other() -> None:
    with pytest.raises(ValidationError, match="max_streams must be below max_concurrent_calls"):
        ProxyConfig(max_streams=10, max_concurrent_calls=10)
    with pytest.raises(ValidationError, match="default_deadline_s must not be above max_deadline_s"):
        ProxyConfig(default_deadline_s=10, max_deadline_s=9)


def test_files_that_cannot_be_used_are_named(ours: Authority, theirs: Authority, tmp_path: Path) -> None:
    good = _settings(ours)
    empty = tmp_path / "empty.pem"
    empty.touch()
    for wrong, named in (
        ({"certificate_file": tmp_path / "missing"}, "proxy.certificate_file, proxy.key_file"),
        ({"key_file": theirs.server("other").private}, "proxy.certificate_file, proxy.key_file"),
        ({"key_file": _encrypted(ours, tmp_path)}, "proxy.certificate_file, proxy.key_file"),
        ({"client_ca_file": tmp_path / "missing"}, "proxy.client_ca_file"),
        ({"client_ca_file": empty}, "proxy.client_ca_file"),
    ):
        with pytest.raises(PermanentError) as refused:
            server_context(ProxyConfig(**{**good, **wrong}))
        assert refused.value.message.startswith(f"{named}: cannot be used: ")


async def test_an_address_that_is_taken_is_named() -> None:
    async with serving() as rig:
        with pytest.raises(PermanentError, match=r"proxy\.listen_port: cannot listen on 127\.0\.0\.1:"):
            async with serving(listen_port=rig.proxy.port):
                pass


def _encrypted(authority: Authority, folder: Path) -> Path:
    path = folder / "encrypted.key"
    path.write_bytes(
        authority.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )
    return path
