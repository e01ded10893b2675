"""Every behaviour on the embedded API server, and on a real one where there is one.

A real one is there when AGENTD_TEST_KUBECONFIG names a kubeconfig of a cluster administrator, or KUBEBUILDER_ASSETS a folder
with its binaries (`make kube`).
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import load_kube_config

from agentd.embedded.kube import EmbeddedKubernetes
from tests.conformance.kubernetes.rig import Rig
from tests.servers.kube_control_plane import SERVERS


@pytest.fixture(scope="module", params=SERVERS)
def given_kubeconfig(request: pytest.FixtureRequest) -> Path | None:
    """Each server in turn; None for the embedded one, which is started for the module."""
    kubeconfig: Path | None = request.getfixturevalue("real_kubeconfig") if request.param == "real" else None
    return kubeconfig


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(given_kubeconfig: Path | None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiClient]:
    """A client of the server, with the rights of an administrator."""
    async with AsyncExitStack() as stack:
        kubeconfig = given_kubeconfig
        if kubeconfig is None:
            embedded = await stack.enter_async_context(EmbeddedKubernetes.start())
            kubeconfig = embedded.kubeconfig(tmp_path_factory.mktemp("embedded") / "kubeconfig")
        configuration = Configuration()
        await load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
        yield await stack.enter_async_context(ApiClient(configuration))


@pytest_asyncio.fixture(loop_scope="session")
async def rig(api: ApiClient) -> AsyncIterator[Rig]:
    """A new namespace, and what is needed to work in it."""
    async with Rig.on(api) as new:
        yield new
