"""What is Azure Tables' own: answers that are lost, one partition for all, credentials, and a table that is not there."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agentd.core import AwsConfig, AzureConfig, PermanentError, Reason, TransientError, system_runtime
from agentd.ledger import Ledger, LedgerConfig
from agentd.ledger.config import AzureTableConfig, LedgerKind
from agentd.ledger.opening import open_ledger
from tests.conformance.ledger.conftest import unobserved
from tests.conformance.ledger.relay import Fault, Relay, of_azure, run_relay
from tests.conformance.ledger.rig import FAILED, NOW, Event, claimed, done, whats
from tests.servers import AzureServer

pytestmark = pytest.mark.slow

Open = Callable[..., Coroutine[Any, Any, Ledger]]

VARIABLE = "AGENTD_TEST_CONNECTION_STRING"
BUSY = json.dumps({"odata.error": {"code": "ServerBusy", "message": {"lang": "en", "value": "The server is busy."}}})


@pytest.fixture
def server(azurite: AzureServer, monkeypatch: pytest.MonkeyPatch) -> AzureServer:
    """The server, with its secret in the environment."""
    monkeypatch.setenv(VARIABLE, azurite.connection_string)
    return azurite


@pytest.fixture
async def relay(server: AzureServer) -> AsyncIterator[Relay]:
    """The way to the server."""
    parts = urlsplit(server.table_url)
    async with run_relay(f"{parts.scheme}://{parts.netloc}", of_azure) as relay:
        relay.url += parts.path
        yield relay


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens replicas, and closes them after the test."""
    async with AsyncExitStack() as stack:

        async def open_one(
            url: str, *, read_only: bool = False, azure: AzureConfig | None = None, **settings: Any
        ) -> Ledger:
            own = AzureTableConfig(account_url=url, **{"table": "made", "create_table": True, **settings})
            ledger = await open_ledger(
                LedgerConfig(kind=LedgerKind.AZURE_TABLE, azure_table=own),
                AwsConfig(),
                azure or AzureConfig(connection_string_variable=VARIABLE),
                system_runtime(),
                observe=unobserved,
                read_only=read_only,
            )
            stack.push_async_callback(ledger.close)
            return ledger

        yield open_one


@pytest.fixture
async def ledger(relay: Relay, opened: Open) -> Ledger:
    """A replica in a partition of its own, whose calls go through the relay."""
    ledger = await opened(relay.url, partition=system_runtime().new_id())
    relay.calls.clear()
    return ledger


async def test_a_batch_whose_answer_was_lost_is_known_for_ones_own(relay: Relay, ledger: Ledger) -> None:
    event = Event(1)
    relay.faults.append(Fault("batch"))
    attempt = await claimed(ledger, event)
    relay.faults.append(Fault("batch"))
    await ledger.release(attempt.claim, error="throttled", waiting=None, now=NOW)
    relay.faults.append(Fault("batch"))
    await ledger.finish(event.ending(FAILED))
    relay.faults.append(Fault("batch"))
    await ledger.sent(["report-1-1"])
    assert [fault.times for fault in relay.faults] == [0] * 4
    assert await whats(ledger, event) == ["admitted", "claimed", "attempt_failed", "finished"]
    stats = await ledger.stats()
    assert (stats.finished_events, stats.subjects, stats.outbox) == (1, 1, 0)


async def test_a_server_that_is_busy_for_a_moment_is_asked_again(relay: Relay, ledger: Ledger) -> None:
    relay.faults += [Fault("batch", instead=(503, BUSY)), Fault("GET", times=2, instead=(503, BUSY))]
    assert await ledger.admit(Event(1).admission()) == await ledger.lookup(Event(1).key)


async def test_a_server_that_stays_busy_is_a_passing_fault(relay: Relay, ledger: Ledger) -> None:
    relay.faults.append(Fault("batch", times=3, instead=(503, BUSY)))
    with pytest.raises(TransientError, match=r"Batch on table made: ServerBusy: The server is busy\.") as caught:
        await ledger.admit(Event(1).admission())
    assert caught.value.reason is Reason.THROTTLED


async def test_a_server_that_is_gone_is_a_passing_fault(relay: Relay, ledger: Ledger) -> None:
    relay.faults.append(Fault("GET", times=9))
    with pytest.raises(TransientError, match="GetEntity on table made") as caught:
        await ledger.variable("x")
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_the_proxy_of_the_environment_is_used(
    server: AzureServer, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        with pytest.raises(PermanentError, match="HTTP 403"):
            await opened(server.table_url)
        assert asked[0].startswith(f"GET {server.table_url}/made".encode())
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await opened(server.table_url)


async def test_ledgers_in_one_table_know_nothing_of_each_other(server: AzureServer, opened: Open) -> None:
    one, two = [await opened(server.table_url, partition=f"agent-{number}") for number in (1, 2)]
    record = await done(one, Event(1))
    assert await two.lookup(record.key) is None
    assert (await two.stats()).outbox == 0
    assert await two.purge(finished_before=NOW + 1) == 0
    assert await one.lookup(record.key) == record


async def test_a_missing_table_says_how_to_make_it(server: AzureServer, opened: Open) -> None:
    with pytest.raises(
        PermanentError, match=r"GetEntity on table none: TableNotFound.*ledger\.azure_table\.create_table"
    ):
        await opened(server.table_url, table="none", create_table=False)
    with pytest.raises(PermanentError, match="TableNotFound"):
        await opened(server.table_url, table="none", read_only=True)
    made = await opened(server.table_url, table="none")
    record = await done(made, Event(1))
    again = await opened(server.table_url, table="none", create_table=False)
    assert await again.lookup(record.key) == record


async def test_two_replicas_may_make_the_table_at_once(server: AzureServer, relay: Relay, opened: Open) -> None:
    await opened(server.table_url, table="both")
    missing = {"odata.error": {"code": "TableNotFound", "message": {"lang": "en", "value": "none"}}}
    relay.faults.append(Fault("GET", instead=(404, json.dumps(missing))))
    ledger = await opened(relay.url, table="both")
    assert (await ledger.admit(Event(1).admission())).attempts == 0


async def test_a_key_that_is_wrong_is_a_permanent_error(server: AzureServer, opened: Open, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"AccountName={server.account};AccountKey=AAAA")
    with pytest.raises(PermanentError, match=r"GetEntity on table made: \w+: .*\(request") as caught:
        await opened(server.table_url, azure=AzureConfig(connection_string_file=secret))
    assert caught.value.reason is Reason.ACCESS_DENIED


@pytest.mark.parametrize(
    ("azure", "why"),
    [
        (AzureConfig(connection_string_variable="AGENTD_TEST_NONE"), "AGENTD_TEST_NONE is not set"),
        (AzureConfig(connection_string_file=Path("/nonexistent/secret")), "cannot be read"),
        (AzureConfig(connection_string_file=Path(__file__)), "neither AccountName"),
        (AzureConfig(), "not encrypted"),
    ],
)
async def test_credentials_that_cannot_be_used_say_why(
    server: AzureServer, opened: Open, azure: AzureConfig, why: str
) -> None:
    with pytest.raises(PermanentError, match=why):
        await opened(server.table_url, azure=azure)
