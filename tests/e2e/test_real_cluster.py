"""The same daemon, unchanged, on a real API server with its controllers, and on another server's queues.

Run by `make test-cluster`; skipped where there is no control plane to run it on.
"""

from pathlib import Path

import pytest

from agentd.cli.control_plane import control_plane
from agentd.cli.demo import Teller
from agentd.cli.stack import start_stack
from agentd.cli.story import Stage, story
from agentd.core import system_runtime
from tests.e2e.harness import running, settled
from tests.servers.processes import AwsServer

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
async def test_the_story_is_the_same_on_a_real_api_server_and_on_fauxqs(
    tmp_path: Path, real_kubeconfig: Path, fauxqs: AwsServer
) -> None:
    runtime = system_runtime()
    async with (
        start_stack(tmp_path, kubeconfig=real_kubeconfig, sqs_endpoint_url=fauxqs.aws.endpoint_url) as stack,
        running(stack),
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
