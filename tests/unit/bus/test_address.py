"""Which queue a URL names, and which adapter is for it."""

import sys
from pathlib import Path

import pytest

from agentd.bus import QueueKind, kind_of, name_of, queue_for
from agentd.bus.address import AzureAddress, EmbeddedAddress, azure_address, embedded_address
from agentd.core import AwsConfig, AzureConfig, PermanentError, Reason, system_runtime


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/111122223333/commands", QueueKind.SQS, "commands"),
        ("https://sqs.eu-west-1.amazonaws.com/111122223333/commands.fifo", QueueKind.SQS, "commands.fifo"),
        ("https://eu-west-1.queue.amazonaws.com/111122223333/commands", QueueKind.SQS, "commands"),
        ("http://127.0.0.1:4566/111122223333/commands", QueueKind.SQS, "commands"),
        ("https://account.queue.core.windows.net/commands", QueueKind.AZURE, "commands"),
        ("https://account.queue.core.usgovcloudapi.net/commands", QueueKind.AZURE, "commands"),
        ("https://account.z01.queue.storage.azure.net/commands", QueueKind.AZURE, "commands"),
        ("azure+https://queues.example/commands", QueueKind.AZURE, "commands"),
        ("azure+http://127.0.0.1:10001/account/commands", QueueKind.AZURE, "commands"),
        ("file:///var/lib/agentd/queues.db?name=commands", QueueKind.EMBEDDED, "commands"),
    ],
)
def test_url_tells_kind_and_name(url: str, kind: QueueKind, name: str) -> None:
    assert (kind_of(url), name_of(url)) == (kind, name)
    queue = queue_for(url, name="commands", aws=AwsConfig(), azure=AzureConfig(), runtime=system_runtime())
    assert (queue.name, queue.url) == ("commands", url)


def test_azure_address() -> None:
    assert azure_address("https://account.queue.core.windows.net/q") == AzureAddress(
        "https://account.queue.core.windows.net", "q"
    )
    assert azure_address("azure+http://127.0.0.1:1/account/q") == AzureAddress("http://127.0.0.1:1/account", "q")


def test_embedded_address() -> None:
    address = embedded_address("file:///with%20space/queues.db?name=commands.fifo")
    assert address == EmbeddedAddress(Path("/with space/queues.db"), "commands.fifo")
    assert address.fifo
    assert address.url == "file:///with%20space/queues.db?name=commands.fifo"
    assert address.dead_letters.queue == "commands-dead-letters.fifo"
    assert EmbeddedAddress(Path("/q.db"), "commands").dead_letters.queue == "commands-dead-letters"


@pytest.mark.parametrize(
    "url",
    [
        "file:///queues.db",
        "file:///queues.db?name=",
        "file:///queues.db?name=a&name=b",
        "file:///queues.db?name=a%2Fb",
        "file://host/queues.db?name=a",
        "file:?name=a",
    ],
)
def test_file_url_that_names_no_queue_is_refused(url: str) -> None:
    with pytest.raises(PermanentError, match="FOLDER/FILE") as caught:
        embedded_address(url)
    assert caught.value.reason is Reason.INVALID_REQUEST


def test_azure_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith(("agentd.bus.azure", "azure.storage"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "azure.storage.queue.aio", None)
    monkeypatch.setitem(sys.modules, "azure.storage.queue", None)
    url = "https://account.queue.core.windows.net/commands"
    with pytest.raises(PermanentError, match=r"agentd\[azure\]") as caught:
        queue_for(url, name="commands", aws=AwsConfig(), azure=AzureConfig(), runtime=system_runtime())
    assert caught.value.reason is Reason.UNSUPPORTED
