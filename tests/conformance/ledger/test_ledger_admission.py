"""Claims that admit in the same transaction, and claims of the current epoch, whichever it is."""

import asyncio
from dataclasses import replace

import pytest

from agentd.core import PermanentError
from agentd.ledger import (
    Claimed,
    ClaimRequest,
    ClaimResult,
    Conflict,
    Deleted,
    Finished,
    Held,
    Ledger,
    Missing,
    NameTaken,
    OtherContent,
    RecordState,
    Superseded,
)
from tests.conformance.ledger.rig import (
    FAILED,
    LEASE_S,
    NOW,
    SPEC,
    SUCCEEDED,
    SUPERSEDED,
    Event,
    claimed,
    done,
    project,
    waiting,
    whats,
)

NAME = (("project", "alpha"),)
NEEDS = frozenset({"existence"})


def admitting(event: Event, *, replica: str = "a", now: float = NOW, epoch: int | None = None) -> ClaimRequest:
    """A claim of an event that may not be known yet, in its current epoch."""
    return replace(event.request(replica=replica, now=now), epoch=epoch, admission=event.admission(now=now))


async def test_a_new_event_is_admitted_and_claimed_at_once(ledger: Ledger) -> None:
    event = Event(1, generation=4, desired={"a": 1})
    result = await ledger.claim(admitting(event))
    assert isinstance(result, Claimed)
    assert (result.claim.epoch, result.claim.token, result.attempt) == (1, 1, 1)
    assert result.record == await ledger.lookup(event.key)
    assert (result.record.state, result.record.digest, result.record.admitted_at) == (RecordState.OPEN, "sha256:1", NOW)
    assert await whats(ledger, event) == ["admitted", "claimed"]
    assert [record.key for record in await ledger.find(str(event.subject))] == [event.key]
    assert (await ledger.stats()).open_events == 1


async def test_a_known_event_is_claimed_as_it_was_admitted(ledger: Ledger, other: Ledger) -> None:
    event = Event(1)
    await ledger.admit(event.admission(now=NOW, expires_at=NOW + 5))
    result = await other.claim(admitting(event, now=NOW + 9))
    assert isinstance(result, Claimed)
    assert (result.record.admitted_at, result.record.expires_at) == (NOW, NOW + 5)
    assert await whats(ledger, event) == ["admitted", "claimed"]


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (Event(1, generation=9), Held),
        (Event(1, generation=1), Superseded),
        (Event(1, generation=2), Conflict),
        (Event(1, generation=9, subject=project(2)), Deleted),
        (Event(1, generation=9, subject=project(3), requires=NEEDS), Missing),
        (Event(1, generation=9, subject=project(3), names=NAME), NameTaken),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_an_event_is_admitted_whatever_the_answer(
    ledger: Ledger, event: Event, answer: type[ClaimResult]
) -> None:
    await done(ledger, Event(11, generation=5, subject=project(2), deletes=True))
    await claimed(ledger, Event(12, generation=2, names=NAME), replica="b")
    result = await ledger.claim(admitting(event))
    assert type(result) is answer
    record = await ledger.lookup(event.key)
    assert record is not None
    assert (record.state, record.attempts, record.admitted_at) == (RecordState.OPEN, 0, NOW)
    assert await whats(ledger, event) == ["admitted"]
    assert await ledger.claim(admitting(event, now=NOW + 1)) == result, "and only once"
    assert await whats(ledger, event) == ["admitted"]


async def test_the_record_of_a_claim_is_as_of_now(ledger: Ledger) -> None:
    event = Event(1)
    first = await claimed(ledger, event)
    await ledger.intend(first.claim, "ecr:repository/x", stamp=False, now=NOW)
    await ledger.release(first.claim, error="throttled", waiting=waiting(), now=NOW)
    again = await ledger.claim(replace(event.request(now=NOW + 5), epoch=None))
    assert isinstance(again, Claimed)
    assert again.record == await ledger.lookup(event.key)
    assert (again.record.attempts, again.record.started_at, again.record.waiting) == (2, NOW, None)
    assert (again.record.changed, again.record.objects, again.record.last_error) == (
        True,
        ("ecr:repository/x",),
        "throttled",
    )


async def test_the_current_epoch_is_claimed_when_none_is_named(ledger: Ledger, other: Ledger) -> None:
    event = Event(1)
    record = await done(ledger, event, FAILED)
    assert await ledger.claim(admitting(event)) == Finished(record)
    await other.reopen(event.key, epoch=1, now=NOW)
    result = await ledger.claim(admitting(event))
    assert isinstance(result, Claimed)
    assert (result.claim.epoch, result.record.epoch, result.attempt) == (2, 2, 1)
    ended = await ledger.finish(event.ending(SUCCEEDED, claim=result.claim, epoch=2))
    assert await other.claim(admitting(event)) == Finished(ended)
    assert await other.claim(admitting(event, epoch=1)) == Finished(record), "an epoch that is named is meant"


async def test_a_key_with_other_content_is_not_claimed(ledger: Ledger) -> None:
    event = Event(1, generation=7)
    record = await ledger.admit(event.admission())
    request = admitting(event)
    assert request.admission is not None
    other = replace(request, admission=replace(request.admission, digest="sha256:other", event="{}"))
    assert await ledger.claim(other) == OtherContent(record)
    assert await ledger.lookup(event.key) == record
    assert await whats(ledger, event) == ["admitted"]


async def test_other_content_goes_before_finished_and_superseded(ledger: Ledger) -> None:
    event = Event(1, generation=1)
    record = await done(ledger, event)
    await done(ledger, Event(2, generation=2))
    request = admitting(event)
    assert request.admission is not None
    other = replace(request, admission=replace(request.admission, digest="sha256:other"))
    assert await ledger.claim(other) == OtherContent(record)
    assert await ledger.claim(request) == Finished(record)


async def test_an_end_before_admission_has_other_content(ledger: Ledger) -> None:
    event = Event(1)
    rejected = await ledger.finish(event.ending(SUPERSEDED))
    assert await ledger.claim(admitting(event)) == OtherContent(rejected), "nobody knows its content"


async def test_only_a_first_epoch_is_admitted(ledger: Ledger) -> None:
    event = Event(1)
    with pytest.raises(PermanentError):
        await ledger.claim(admitting(event, epoch=2))
    with pytest.raises(PermanentError):
        await ledger.claim(replace(event.request(), epoch=None))
    assert await ledger.lookup(event.key) is None
    assert isinstance(await ledger.claim(admitting(event, epoch=1)), Claimed)
    with pytest.raises(PermanentError):
        await ledger.claim(admitting(event, epoch=2))


async def test_of_many_deliveries_of_a_new_event_one_is_claimed(ledger: Ledger, other: Ledger) -> None:
    event = Event(1, desired={"a": 1})
    replicas = {f"replica-{number}": (ledger, other)[number % 2] for number in range(20)}
    results = await asyncio.gather(
        *(replica.claim(admitting(event, replica=name)) for name, replica in replicas.items())
    )
    winners = [result for result in results if isinstance(result, Claimed)]
    assert len(winners) == 1
    assert sum(isinstance(result, Held) for result in results) == len(results) - 1
    assert await whats(ledger, event) == ["admitted", "claimed"]
    assert winners[0].claim.token == 1


async def test_a_claim_that_is_no_json_admits_nothing(ledger: Ledger) -> None:
    event = Event(1, facets=SPEC, desired={"when": object()})
    with pytest.raises(TypeError):
        await ledger.claim(admitting(event))
    assert await ledger.lookup(event.key) is None


async def test_a_lease_that_an_admitting_claim_takes_over_has_its_last_word(ledger: Ledger, other: Ledger) -> None:
    lost = Event(1, generation=1)
    await claimed(ledger, lost, replica="lost")
    following = Event(2, generation=2)
    result = await other.claim(admitting(following, replica="b", now=NOW + LEASE_S))
    assert isinstance(result, Claimed)
    assert await whats(ledger, lost) == ["admitted", "claimed", "attempt_failed"]
