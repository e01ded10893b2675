"""What is DynamoDB's own: answers that are lost, throttling, and a table that is not there."""

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from agentd.core import AwsConfig, AzureConfig, PermanentError, Reason, TransientError, system_runtime
from agentd.ledger import Claimed, Ledger, LedgerConfig
from agentd.ledger.config import DynamoDbConfig, LedgerKind
from agentd.ledger.opening import open_ledger
from tests.conformance.ledger.conftest import unobserved
from tests.conformance.ledger.relay import Fault, Relay, of_dynamodb, run_relay
from tests.conformance.ledger.rig import NOW, SUCCEEDED, Event, claimed, done, noise, project, whats
from tests.servers import AwsServer
from tests.servers.processes import REGION

pytestmark = pytest.mark.slow

Open = Callable[..., Coroutine[Any, Any, Ledger]]

THROTTLED = json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"})


@pytest.fixture
async def relay(ministack: AwsServer) -> AsyncIterator[Relay]:
    """The way to the server."""
    async with run_relay(ministack.endpoint_url, of_dynamodb) as relay:
        yield relay


@pytest.fixture
async def opened(relay: Relay) -> AsyncIterator[Open]:
    """Opens replicas whose calls go through the relay, and closes them after the test."""
    async with AsyncExitStack() as stack:

        async def open_one(table: str, *, create: bool = True, read_only: bool = False) -> Ledger:
            config = LedgerConfig(
                kind=LedgerKind.DYNAMODB, dynamodb=DynamoDbConfig(call_timeout_s=30, table=table, create_table=create)
            )
            aws = AwsConfig(region=REGION, endpoint_url=relay.url)
            ledger = await open_ledger(
                config, aws, AzureConfig(), system_runtime(), observe=unobserved, read_only=read_only
            )
            stack.push_async_callback(ledger.close)
            return ledger

        yield open_one


@pytest.fixture
async def ledger(relay: Relay, opened: Open) -> Ledger:
    """A replica on a table of its own."""
    ledger = await opened(f"ledger-{system_runtime().new_id()}")
    relay.calls.clear()
    return ledger


async def test_an_ordinary_event_takes_six_calls(relay: Relay, ledger: Ledger) -> None:
    await done(ledger, Event(1, subject=project(9)))
    relay.calls.clear()
    event = Event(2, desired={"a": 1})
    result = await ledger.claim(replace(event.request(), epoch=None, admission=event.admission()))
    assert isinstance(result, Claimed)
    await ledger.finish(event.ending(SUCCEEDED, claim=result.claim))
    await ledger.sent(["report-2-1"])
    # A subject that is new is counted: that is one more read.
    assert relay.calls == [
        "BatchGetItem",
        "GetItem",
        "TransactWriteItems",
        "BatchGetItem",
        "TransactWriteItems",
        "DeleteItem",
    ]


async def test_a_transaction_whose_answer_was_lost_is_carried_out_once(relay: Relay, ledger: Ledger) -> None:
    event = Event(1, creates=True, names=(("project", "alpha"),))
    relay.faults.append(Fault("TransactWriteItems", times=2))
    result = await ledger.claim(replace(event.request(), epoch=None, admission=event.admission()))
    assert isinstance(result, Claimed)
    assert (result.attempt, result.claim.token, result.sequence) == (1, 1, 1)
    assert relay.calls.count("TransactWriteItems") == 3
    assert await whats(ledger, event) == ["admitted", "claimed"]


async def test_a_put_whose_answer_was_lost_is_known_for_ones_own(relay: Relay, ledger: Ledger) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event)
    relay.faults.append(Fault("PutItem"))
    await ledger.release(attempt.claim, error="throttled", waiting=None, now=NOW)
    assert await whats(ledger, event) == ["admitted", "claimed", "attempt_failed"]
    record = await ledger.lookup(event.key)
    assert record is not None
    assert (record.attempts, record.last_error) == (1, "throttled")


async def test_what_a_batch_leaves_unanswered_is_asked_for_again(relay: Relay, ledger: Ledger) -> None:
    for number in range(1, 4):
        await done(ledger, Event(number, subject=project(number)))

    def half(body: bytes) -> bytes:
        answer = json.loads(body)
        (table, items), *_ = answer["Responses"].items()
        kept, left = items[::2], items[1::2]
        keys = [{"pk": item["pk"], "sk": item["sk"]} for item in left]
        unprocessed = {table: {"Keys": keys, "ConsistentRead": True}} if keys else {}
        return json.dumps({"Responses": {table: kept}, "UnprocessedKeys": unprocessed}).encode()

    relay.faults.append(Fault("BatchGetItem", times=2, changed=half))
    assert len(await ledger.outbox(10)) == 3
    assert relay.faults[0].times == 0


async def test_a_list_of_several_pages_is_read_to_its_end(ledger: Ledger) -> None:
    """DynamoDB answers with a mebibyte at most."""
    for number in range(1, 81):
        event = Event(number, subject=project(1))
        await ledger.admit(event.admission(now=NOW + number))
        await ledger.finish(event.ending(replace(SUCCEEDED, message=noise(16_000, seed=number)), now=NOW + number))
    for event in [Event(number, subject=project(number)) for number in range(101, 201)]:
        attempt = await claimed(ledger, event)
        await ledger.record_step(attempt.claim, "s", noise(22_000, seed=event.number), now=NOW)
    stats = await ledger.stats()
    assert (stats.open_events, stats.leases, stats.outbox) == (100, 100, 80)
    assert len(await ledger.find(str(project(1)))) == 50


async def test_throttling_that_passes_is_not_seen(relay: Relay, ledger: Ledger) -> None:
    relay.faults += [
        Fault("TransactWriteItems", instead=(400, THROTTLED)),
        Fault("BatchGetItem", instead=(400, THROTTLED)),
    ]
    assert await ledger.admit(Event(1).admission()) == await ledger.lookup(Event(1).key)


async def test_throttling_that_lasts_is_a_passing_fault(relay: Relay, ledger: Ledger) -> None:
    relay.faults.append(Fault("TransactWriteItems", times=3, instead=(400, THROTTLED)))
    with pytest.raises(
        TransientError, match=r"TransactWriteItems on table ledger-.*ThrottlingException: slow down \(request"
    ):
        await ledger.admit(Event(1).admission())
    assert (await ledger.admit(Event(1).admission())).attempts == 0


async def test_a_server_that_is_gone_is_a_passing_fault(relay: Relay, ledger: Ledger) -> None:
    relay.faults.append(Fault("GetItem", times=3))
    with pytest.raises(TransientError, match="GetItem on table ledger-") as caught:
        await ledger.variable("x")
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_a_missing_table_says_how_to_make_it(relay: Relay, opened: Open) -> None:
    with pytest.raises(PermanentError, match=r"partition key `pk`.*ledger\.dynamodb\.create_table") as caught:
        await opened("ledger-none", create=False)
    assert "GetItem on table ledger-none: ResourceNotFoundException" in caught.value.message
    assert caught.value.reason is Reason.INVALID_REQUEST
    with pytest.raises(PermanentError, match="ledger-none"):
        await opened("ledger-none", read_only=True)
    assert "CreateTable" not in relay.calls


async def test_a_table_is_made_once_and_then_taken_as_it_is(relay: Relay, opened: Open) -> None:
    first = await opened("ledger-made")
    record = await done(first, Event(1))
    second = await opened("ledger-made", create=False)
    assert await second.lookup(record.key) == record
    await opened("ledger-made", read_only=True)
    assert relay.calls.count("CreateTable") == 1


async def test_two_replicas_may_make_the_table_at_once(relay: Relay, opened: Open) -> None:
    in_use = json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#ResourceInUseException", "message": "exists"})
    await opened("ledger-both")
    missing = json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "none"})
    relay.faults += [Fault("GetItem", instead=(400, missing)), Fault("CreateTable", instead=(400, in_use))]
    ledger = await opened("ledger-both")
    assert (await ledger.admit(Event(1).admission())).attempts == 0


async def test_a_right_that_is_missing_is_named(relay: Relay, ledger: Ledger) -> None:
    denied = {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "not authorized: dynamodb:PutItem"}
    relay.faults.append(Fault("TransactWriteItems", instead=(400, json.dumps(denied))))
    with pytest.raises(PermanentError, match="not authorized: dynamodb:PutItem") as caught:
        await ledger.admit(Event(1).admission())
    assert caught.value.reason is Reason.ACCESS_DENIED


async def test_an_endpoint_that_is_none_is_refused() -> None:
    config = LedgerConfig(kind=LedgerKind.DYNAMODB)
    aws = AwsConfig(region=REGION, endpoint_url="http://[")
    with pytest.raises(PermanentError, match="connect to table agentd-ledger"):
        await open_ledger(config, aws, AzureConfig(), system_runtime(), observe=unobserved)
