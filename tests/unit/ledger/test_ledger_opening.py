"""Which ledger settings name, and what is said when they cannot be followed."""

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from agentd.core import AwsConfig, AzureConfig, PermanentError, Reason, system_runtime
from agentd.ledger import LedgerConfig
from agentd.ledger.config import AzureTableConfig, DynamoDbConfig, LedgerKind
from agentd.ledger.opening import OpenedLedger, open_ledger
from agentd.ledger.sqlite import SqliteLedger

ACCOUNT = "https://account.table.core.windows.net"


async def opened(config: LedgerConfig) -> OpenedLedger:
    """As the daemon opens it."""
    return await open_ledger(
        config, AwsConfig(), AzureConfig(), system_runtime(), observe=lambda _operation, _result, _seconds: None
    )


async def test_a_file_is_the_default(tmp_path: Path) -> None:
    ledger = await opened(LedgerConfig(path=tmp_path / "ledger.db"))
    assert isinstance(ledger, SqliteLedger)
    assert ledger.check() is None
    await ledger.close()


async def test_an_sdk_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("agentd.ledger.azure_table")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "azure.data.tables", None)
    config = LedgerConfig(kind=LedgerKind.AZURE_TABLE, azure_table=AzureTableConfig(account_url=ACCOUNT))
    with pytest.raises(PermanentError, match=r"agentd\[azure\]") as caught:
        await opened(config)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_a_table_of_azure_needs_an_account() -> None:
    with pytest.raises(ValidationError, match=r"azure_table\.account_url is missing"):
        LedgerConfig(kind=LedgerKind.AZURE_TABLE)
    assert LedgerConfig(azure_table=AzureTableConfig(account_url=ACCOUNT)).kind is LedgerKind.SQLITE


def test_people_are_told_where_it_is() -> None:
    assert LedgerConfig(path=Path("/x/ledger.db")).place == "at /x/ledger.db"
    dynamodb = LedgerConfig(kind=LedgerKind.DYNAMODB, dynamodb=DynamoDbConfig(table="mine"))
    assert dynamodb.place == "in table mine"
    own = AzureTableConfig(account_url=ACCOUNT, table="mine", partition="agent-1")
    azure = LedgerConfig(kind=LedgerKind.AZURE_TABLE, azure_table=own)
    assert azure.place == "in partition agent-1 of table mine"
