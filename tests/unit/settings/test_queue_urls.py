"""The URL of a queue says its kind; settings take every kind, and nothing else."""

import pytest

from agentd.settings import SettingsError, load

ENVIRONMENT = {
    "AGENTD_TENANT_ID": "7e0a0000-0000-4000-8000-000000000001",
    "AGENTD_CLUSTER_ID": "c1050000-0000-4000-8000-000000000001",
    "AGENTD_REPORTS_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/111122223333/reports",
}


@pytest.mark.parametrize(
    "url",
    [
        "https://sqs.eu-west-1.amazonaws.com/111122223333/commands.fifo",
        "http://127.0.0.1:4566/111122223333/commands",
        "https://account.queue.core.windows.net/commands",
        "azure+http://127.0.0.1:10001/account/commands",
        "azure+https://queues.example/commands",
        "file:///var/lib/agentd/queues.db?name=commands",
    ],
)
def test_every_kind_of_queue_can_be_set(url: str) -> None:
    loaded = load(None, {**ENVIRONMENT, "AGENTD_COMMANDS__QUEUE_URL": url})
    assert loaded.settings.commands.queue_url == url


@pytest.mark.parametrize(
    "url",
    ["commands", "ftp://host/commands", "azure+file:///q.db?name=a", "file://q.db?name=a", "file:///q.db", "azure://a"],
)
def test_what_names_no_queue_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"commands\.queue_url"):
        load(None, {**ENVIRONMENT, "AGENTD_COMMANDS__QUEUE_URL": url})
