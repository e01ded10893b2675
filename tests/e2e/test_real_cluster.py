"""The same daemon, unchanged, on a real API server with its controllers, as the service account that the chart makes for it, and

on another server's queues.

Run by `make test-cluster`; skipped where there is no control plane to run it on.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from helm_python import Config

from agentd.cli.control_plane import control_plane
from agentd.cli.demo import Teller
from agentd.cli.stack import start_stack
from agentd.cli.story import Stage, story
from agentd.core import system_runtime
from tests.conformance.chart.support import CHART, IMAGE, RELEASE, example, without
from tests.conformance.cluster.support import connect
from tests.e2e.harness import running, settled
from tests.servers.processes import AwsServer

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
async def test_the_story_is_the_same_on_a_real_api_server_and_on_fauxqs_with_the_rights_that_the_chart_gives(
    tmp_path: Path, real_kubeconfig: Path, fauxqs: AwsServer
) -> None:
    runtime = system_runtime()
    async with (
        start_stack(tmp_path, kubeconfig=real_kubeconfig, sqs_endpoint_url=fauxqs.aws.endpoint_url) as stack,
        chart_account(real_kubeconfig, tmp_path / "account") as (namespace, account),
        running(stack, AGENTD_CLUSTER__KUBECONFIG=str(account), AGENTD_CLUSTER__SYSTEM_NAMESPACE=namespace),
        control_plane(stack, runtime) as plane,
    ):
        stage = Stage(stack, runtime)
        teller = Teller(stage, plane, story())
        await teller.tell(lambda _told: None)
        assert [(told.telling.title, told.found) for told in teller.told.values() if not told.right] == []
        await settled(stack)
        there = [(row[0], row[2], row[3], row[4]) for row in await stage.namespaces()]
        assert ("dev", "6", "awake", "Active") in there
        assert "staging" not in {name for name, *_ in there}
    await forget(real_kubeconfig, ("dev", "taken"))


@asynccontextmanager
async def chart_account(kubeconfig: Path, path: Path) -> AsyncIterator[tuple[str, Path]]:
    """The chart, installed without pods in a namespace of its own; that namespace, and a kubeconfig of its service account."""
    namespace = f"chart-{uuid4().hex[:8]}"
    values = {
        "image": IMAGE,
        "replicas": 0,
        "settings": without(example("aws"), "ledger", "audit"),
        "proxy": {"enabled": True, "tlsSecret": "proxy"},
    }
    config = Config(kubeconfig_path=kubeconfig, namespace=namespace)
    try:
        await asyncio.to_thread(lambda: config.install(CHART, RELEASE, values, create_namespace=True))
        async with connect("real", kubeconfig) as server:
            issued = await server.hands.call(
                "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{RELEASE}/token", {"spec": {}}
            )
            yield namespace, write_for(issued["status"]["token"], kubeconfig, path)
            await asyncio.to_thread(lambda: config.uninstall(RELEASE))
            await server.hands.delete(f"/api/v1/namespaces/{namespace}")
    finally:
        config.close()


async def forget(kubeconfig: Path, namespaces: Sequence[str]) -> None:
    """Delete what the story leaves behind: the cluster may be shared, and the next telling begins with nothing."""
    async with connect("real", kubeconfig) as server:
        for name in namespaces:
            await server.hands.delete(f"/api/v1/namespaces/{name}")


def write_for(token: str, kubeconfig: Path, path: Path) -> Path:
    """The kubeconfig with a token in place of the administrator's certificate."""
    document = yaml.safe_load(kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path.write_text(json.dumps(document))
    return path
