"""Credentials of the cluster are looked at again before the server refuses them."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import Configuration

from agentd.core import AwsConfig, PermanentError, Runtime, system_runtime
from agentd.platform.aws.session import AwsSession
from agentd.platform.config import ClusterConfig
from agentd.platform.kubernetes import choose_access
from agentd.platform.kubernetes.access import InClusterAccess, KubeconfigAccess
from agentd.platform.kubernetes.eks import EksAccess
from agentd.telemetry import Metrics


@dataclass
class Clock:
    """A wall clock that is set by hand."""

    now: float = 1_900_000_000.0

    @property
    def runtime(self) -> Runtime:
        """With the clock."""
        return Runtime(wall=lambda: self.now, random=system_runtime().random)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def kubeconfig(folder: Path, user: dict[str, Any]) -> Path:
    content = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(content))
    return path


async def token(configuration: Configuration) -> str:
    """What the next call would be sent with."""
    return (await configuration.get_api_key_with_prefix("BearerToken")).removeprefix("Bearer ")


async def test_a_token_file_is_read_every_minute(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "token").write_text("first")
    path = kubeconfig(tmp_path, {"tokenFile": "token"})
    configuration = await KubeconfigAccess(path, None, clock.runtime).configuration()
    (tmp_path / "token").write_text("second")
    clock.now += 59
    assert await token(configuration) == "first"
    clock.now += 1
    assert await token(configuration) == "second"
    (tmp_path / "token").unlink()
    clock.now += 60
    assert await token(configuration) == "second"


async def test_a_service_account_is_read_every_minute(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (tmp_path / "ca.crt").write_text("a certificate")
    (tmp_path / "token").write_text("first")
    configuration = await InClusterAccess(clock.runtime, tmp_path).configuration()
    assert configuration.host == "https://[::1]:443"
    (tmp_path / "token").write_text("second")
    assert await token(configuration) == "first"
    clock.now -= 3600  # a clock that is set back must not keep an old token
    assert await token(configuration) == "second"


@pytest.mark.parametrize(("good_for", "runs"), [(timedelta(minutes=4), 2), (timedelta(minutes=14), 1), (None, 1)])
async def test_a_plugin_runs_again_when_its_token_nears_its_end(
    tmp_path: Path, clock: Clock, good_for: timedelta | None, runs: int
) -> None:
    status = {"token": "a token"}
    if good_for is not None:
        status["expirationTimestamp"] = (datetime.now(UTC) + good_for).isoformat()
    api = "client.authentication.k8s.io/v1"
    answer = json.dumps({"apiVersion": api, "kind": "ExecCredential", "status": status})
    script = f"echo >> '{tmp_path}/runs'; echo '{answer}'"
    user = {"exec": {"apiVersion": api, "command": "sh", "args": ["-c", script]}}
    configuration = await KubeconfigAccess(kubeconfig(tmp_path, user), None, clock.runtime).configuration()
    assert await token(configuration) == "a token"
    clock.now += 60
    assert await token(configuration) == "a token"
    assert len((tmp_path / "runs").read_text()) == runs


def test_eks_needs_a_name() -> None:
    with pytest.raises(ValueError, match="access eks needs eks_cluster"):
        ClusterConfig(access="eks")


async def test_the_access_is_the_one_of_the_settings() -> None:
    async with AwsSession(AwsConfig()) as aws:
        arguments: dict[str, Any] = {"metrics": Metrics(), "runtime": system_runtime()}
        for config, kind in (
            (ClusterConfig(access="in_cluster"), InClusterAccess),
            (ClusterConfig(access="kubeconfig"), KubeconfigAccess),
            (ClusterConfig(access="eks", eks_cluster="prd"), EksAccess),
        ):
            assert isinstance(choose_access(config, aws, **arguments), kind)
        with pytest.raises(PermanentError, match="this installation has no cluster"):
            choose_access(ClusterConfig(), aws, **arguments)
