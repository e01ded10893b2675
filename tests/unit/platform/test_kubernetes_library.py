"""What is loaded of the client library for Kubernetes, in a process of its own."""

import subprocess
import sys

import pytest


def printed(*lines: str) -> str:
    """What a new interpreter prints."""
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_the_agent_loads_no_model_of_the_library() -> None:
    models = '[name for name in sys.modules if name.startswith("kubernetes_asyncio.client.models.")]'
    assert printed("import sys, agentd.platform.kubernetes", f"print({models})") == "[]"


@pytest.mark.parametrize("first", ["agentd.platform.kubernetes", "kubernetes_asyncio.client"])
def test_who_asks_for_more_of_the_library_gets_it(first: str) -> None:
    found = printed(
        f"import {first}",
        "from agentd.platform.kubernetes import connection",
        "from kubernetes_asyncio import client, watch",
        "print(client.CoreV1Api.__name__, client.models.V1Pod.__name__, client.ApiClient is connection.ApiClient)",
    )
    assert found == "CoreV1Api V1Pod True"


VERSION = "from kubernetes_asyncio import __version__"
DYNAMIC = "from kubernetes_asyncio.dynamic import DynamicClient"


@pytest.mark.parametrize("imports", [(VERSION, DYNAMIC), (DYNAMIC, VERSION)], ids=["version first", "client first"])
def test_what_the_library_itself_asks_its_packages_for_is_there(imports: tuple[str, str]) -> None:
    found = printed("import agentd.platform.kubernetes", *imports, "print(DynamicClient.__name__, __version__ != '')")
    assert found == "DynamicClient True"
