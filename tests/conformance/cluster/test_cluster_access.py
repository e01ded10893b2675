"""How the API server is reached, and as whom; and that credentials are renewed before and after they are refused."""

import base64
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import pytest_asyncio

from agentd.core import AwsConfig, PermanentError, Reason, Runtime, TransientError, system_runtime
from agentd.platform import Applied, Kind, ObjectRef
from agentd.platform.aws.session import AwsSession
from agentd.platform.config import ClusterConfig
from agentd.platform.kubernetes.access import InClusterAccess
from agentd.platform.kubernetes.eks import EksAccess
from agentd.telemetry import Metrics
from tests.conformance.cluster.relay import Fault, Relay, Where, run_relay
from tests.conformance.cluster.support import Server, adapter, relayed, write_kubeconfig
from tests.conformance.registry.support import RecordingFence, new_subject
from tests.servers.kube_control_plane.certificates import Authority
from tests.servers.processes import REGION, AwsServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNAUTHORIZED: tuple[int, dict[str, str], Any] = (
    401,
    {},
    {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Unauthorized", "code": 401},
)


@pytest_asyncio.fixture(loop_scope="module")
async def relay(server: Server) -> AsyncIterator[Relay]:
    async with relayed(server) as running:
        yield running


def tokens(relay: Relay) -> list[str]:
    """The tokens that came, without what is repeated."""
    sent = [seen.headers["Authorization"].removeprefix("Bearer ") for seen in relay.calls]
    return [token for number, token in enumerate(sent) if number == 0 or sent[number - 1] != token]


def config_for(kubeconfig: Path, **settings: Any) -> ClusterConfig:
    return ClusterConfig.model_validate({"access": "kubeconfig", "kubeconfig": kubeconfig, **settings})


async def test_a_refused_token_is_read_again_from_its_file(relay: Relay, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", relay.url, {"tokenFile": str(token)})
    async with adapter(config_for(kubeconfig)) as cluster:
        await cluster.version()
        token.write_text("second")
        await cluster.version()
        assert tokens(relay) == ["first"]
        relay.show(Fault(Where.BEFORE, "GET", "/version", answer=UNAUTHORIZED))
        await cluster.version()
        assert tokens(relay) == ["first", "second"]
        assert relay.count("GET", "/version") == 4


async def test_a_write_is_sent_once_more_with_a_new_token(relay: Relay, tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", relay.url, {"token": "first"})
    name = f"access-{new_subject().uuid}"
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}
    async with adapter(config_for(kubeconfig)) as cluster:
        await cluster.version()
        write_kubeconfig(kubeconfig, relay.url, {"token": "second"})
        relay.show(Fault(Where.BEFORE, "POST", answer=UNAUTHORIZED))
        fence = RecordingFence(new_subject(), "owner")
        assert await cluster.apply(manifest, fence=fence) is Applied.CREATED
        assert len(fence.asked) == 1
        assert relay.count("POST") == 2
        assert tokens(relay) == ["first", "second"]
        await cluster.delete(ObjectRef(Kind("v1", "ConfigMap"), name, "default"), fence=fence)


async def test_credentials_that_stay_refused_are_not_renewed_for_every_call(relay: Relay, tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", relay.url, {"token": "a token"})
    async with adapter(config_for(kubeconfig)) as cluster:
        relay.show(Fault(Where.BEFORE, "GET", answer=UNAUTHORIZED, times=None))
        for count in (2, 3):
            with pytest.raises(TransientError, match="credentials are missing, expired or not accepted") as caught:
                await cluster.version()
            assert caught.value.reason is Reason.UNAVAILABLE
            assert relay.count("GET", "/version") == count


async def test_a_plugin_is_asked_once_and_again_when_its_token_is_refused(relay: Relay, tmp_path: Path) -> None:
    plugin = Plugin(tmp_path)
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", relay.url, plugin.user)
    async with adapter(config_for(kubeconfig)) as cluster:
        for _ in range(3):
            await cluster.version()
        assert tokens(relay) == ["token-1"]
        relay.show(Fault(Where.BEFORE, "GET", "/version", answer=UNAUTHORIZED))
        await cluster.version()
        assert tokens(relay) == ["token-1", "token-2"]


async def test_a_plugin_that_fails_is_a_passing_fault(relay: Relay, tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}}
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", relay.url, user)
    async with adapter(config_for(kubeconfig)) as cluster:
        with pytest.raises(TransientError, match="exec: process returned 1"):
            await cluster.version()
    assert relay.calls == []


async def test_a_kubeconfig_that_cannot_be_used_says_why(relay: Relay, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("{}")
    good = write_kubeconfig(tmp_path / "kubeconfig", relay.url, {"token": "a token"})
    for config, why in (
        (config_for(tmp_path / "missing"), "missing is not there"),
        (config_for(broken), "broken cannot be used"),
        (config_for(good, context="another"), "name another in"),
        (ClusterConfig(access="in_cluster"), "the pod's service account cannot be used"),
    ):
        async with adapter(config) as cluster:
            with pytest.raises(PermanentError, match=why):
                await cluster.version()


async def test_one_that_breaks_later_is_a_passing_fault(relay: Relay, tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", relay.url, {"token": "a token"})
    async with adapter(config_for(kubeconfig)) as cluster:
        await cluster.version()
        kubeconfig.write_text("half a fi")
        relay.show(Fault(Where.BEFORE, "GET", "/version", answer=UNAUTHORIZED))
        with pytest.raises(TransientError, match="cannot be used"):
            await cluster.version()
        await cluster.version()


async def test_client_certificates_and_an_authority_of_the_clusters_own(server: Server, tmp_path: Path) -> None:
    authority = Authority.new(tmp_path / "pki")
    user = authority.client("somebody")
    keys = {"client-certificate-data": data_of(user.public), "client-key-data": data_of(user.private)}
    async with relayed(server, tls=tls_server(authority, client_certificates=True)) as relay:
        trusted = {"certificate-authority-data": data_of(authority.public)}
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", relay.url, keys, **trusted)
        async with adapter(config_for(kubeconfig)) as cluster:
            assert (await cluster.version()).startswith("v1.")
        another = Authority.new(tmp_path / "another")
        untrusted = {"certificate-authority-data": data_of(another.public)}
        kubeconfig = write_kubeconfig(tmp_path / "untrusted", relay.url, keys, **untrusted)
        async with adapter(config_for(kubeconfig)) as cluster:
            with pytest.raises(TransientError, match="certificate verify failed"):
                await cluster.version()


async def test_the_service_account_of_a_pod(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority.new(tmp_path / "pki")
    (tmp_path / "ca.crt").write_bytes(authority.public.read_bytes())
    (tmp_path / "token").write_text("first")
    async with relayed(server, tls=tls_server(authority)) as relay:
        address = urlsplit(relay.url)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
        async with adapter(
            ClusterConfig(access="in_cluster"), access=InClusterAccess(system_runtime(), tmp_path)
        ) as cluster:
            assert (await cluster.version()).startswith("v1.")
            (tmp_path / "token").write_text("second")
            relay.show(Fault(Where.BEFORE, "GET", "/version", answer=UNAUTHORIZED))
            await cluster.version()
            assert tokens(relay) == ["first", "second"]


async def test_eks_is_reached_through_the_aws_identity(ministack: AwsServer, server: Server, tmp_path: Path) -> None:
    authority = Authority.new(tmp_path / "pki")
    async with (
        relayed(server, tls=tls_server(authority)) as relay,
        aiohttp.ClientSession() as upstream,
        run_relay(upstream, ministack.endpoint_url, {}) as aws,
    ):
        described = {"endpoint": relay.url, "certificateAuthority": {"data": data_of(authority.public)}}
        aws.show(Fault(Where.BEFORE, "GET", "/clusters/prd", answer=(200, {}, {"cluster": described}), times=None))
        config = ClusterConfig(access="eks", eks_cluster="prd")
        async with adapter(config, aws=AwsConfig(region=REGION, endpoint_url=aws.url)) as cluster:
            assert (await cluster.version()).startswith("v1.")
        url = url_of(tokens(relay)[0])
        query = parse_qs(urlsplit(url).query)
        assert (query["Action"], query["X-Amz-Expires"]) == (["GetCallerIdentity"], ["60"])
        assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
        # What the cluster does with it.
        async with upstream.get(url, headers={"x-k8s-aws-id": "prd"}) as answer:
            assert "<Arn>" in await answer.text()


async def test_an_eks_cluster_that_is_missing_is_named(moto: AwsServer) -> None:
    config = ClusterConfig(access="eks", eks_cluster="nowhere")
    async with adapter(config, aws=moto.aws) as cluster:
        with pytest.raises(TransientError, match="eks DescribeCluster on eks:cluster/nowhere"):
            await cluster.version()


async def test_an_eks_token_is_renewed_before_its_end(moto: AwsServer, server: Server, tmp_path: Path) -> None:
    authority = Authority.new(tmp_path / "pki")
    clock = [1_900_000_000.0]
    runtime = Runtime(wall=lambda: clock[0], random=system_runtime().random)
    described = {"endpoint": "https://127.0.0.1:1", "certificateAuthority": {"data": data_of(authority.public)}}
    async with aiohttp.ClientSession() as upstream, run_relay(upstream, moto.endpoint_url, {}) as relay:
        relay.show(Fault(Where.BEFORE, "GET", "/clusters/prd", answer=(200, {}, {"cluster": described})))
        async with AwsSession(AwsConfig(region=REGION, endpoint_url=relay.url)) as session:
            access = EksAccess(session, "prd", timeout_s=5.0, metrics=Metrics(), runtime=runtime)
            configuration = await access.configuration()
            first = configuration.api_key["BearerToken"]
            clock[0] += 11 * 60.0
            await configuration.get_api_key_with_prefix("BearerToken")
            assert configuration.api_key["BearerToken"] is first
            clock[0] += 2 * 60.0
            await configuration.get_api_key_with_prefix("BearerToken")
            assert configuration.api_key["BearerToken"] is not first


@dataclass
class Plugin:
    """A credential plugin that gives another token every time that it runs."""

    folder: Path

    @property
    def user(self) -> dict[str, Any]:
        """The user of a kubeconfig."""
        program = self.folder / "plugin.py"
        program.write_text(
            "import json, pathlib\n"
            "runs = pathlib.Path(__file__).with_name('runs')\n"
            "number = (int(runs.read_text()) if runs.exists() else 0) + 1\n"
            "runs.write_text(str(number))\n"
            "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential',"
            " 'status': {'token': f'token-{number}'}}))\n"
        )
        api = "client.authentication.k8s.io/v1"
        return {"exec": {"apiVersion": api, "command": sys.executable, "args": [str(program)]}}


def tls_server(authority: Authority, *, client_certificates: bool = False) -> ssl.SSLContext:
    """A server's side of TLS on loopback."""
    own = authority.server("relay")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.public))
    context.load_cert_chain(own.public, own.private)
    if client_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def data_of(path: Path) -> str:
    """A file as kubeconfigs hold it."""
    return base64.b64encode(path.read_bytes()).decode()


def url_of(token: str) -> str:
    """The presigned call in a token of EKS."""
    encoded = token.removeprefix("k8s-aws-v1.")
    assert "=" not in encoded
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
