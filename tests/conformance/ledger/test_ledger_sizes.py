"""Nothing is refused for its size, and nothing large is left behind or mixed up."""

from dataclasses import replace

import pytest

from agentd.core import Outcome, OutcomeKind, Reason
from agentd.ledger import Claimed, Ledger, StepRecord, Waiting
from tests.conformance.ledger.rig import BOTH, FAILED, NOW, SUCCEEDED, Event, claimed, done, noise, project, whats

MIB = 1024 * 1024


async def test_an_event_of_a_mebibyte_goes_all_its_way(ledger: Ledger, other: Ledger) -> None:
    event, text = Event(1, desired=noise(300_000)), noise(MIB)
    request = replace(event.request(), admission=replace(event.admission(), event=text))
    first = await ledger.claim(request)
    assert isinstance(first, Claimed)
    assert first.record.event == text
    assert first.desired == {"spec": event.desired}
    assert await other.lookup(event.key) == first.record

    await other.release(first.claim, error="throttled", waiting=None, now=NOW)
    second = await other.claim(request)
    assert isinstance(second, Claimed)
    record = await other.finish(event.ending(FAILED, claim=second.claim))
    assert record.event == text
    assert [entry.record for entry in await ledger.outbox(10)] == [record]
    assert await ledger.find(event.id) == [record]
    reopened = await ledger.reopen(event.key, epoch=1, now=NOW)
    assert reopened.event == text
    await other.finish(event.ending(SUCCEEDED, epoch=2))
    assert next(entry.record for entry in await ledger.outbox(10)) == record

    await ledger.sent(["report-1-1", "report-1-2"])
    assert await ledger.purge(finished_before=NOW + 1) == 1
    assert await ledger.lookup(event.key) is None
    again = await ledger.admit(replace(event.admission(), event=noise(MIB, seed=2)))
    assert again.event == noise(MIB, seed=2)


async def test_what_is_desired_may_be_large(ledger: Ledger, other: Ledger) -> None:
    await done(ledger, Event(1, generation=1, facets=BOTH, creates=True, desired=noise(400_000, seed=1)))
    await done(other, Event(2, generation=2, desired=noise(700_000, seed=2)))
    third = await claimed(ledger, Event(3, generation=3, desired="small"))
    assert third.desired == {"spec": "small", "power": noise(400_000, seed=1)}
    await ledger.finish(Event(3).ending(SUCCEEDED, claim=third.claim))
    await done(other, Event(4, generation=4, facets=BOTH, desired=noise(300_000, seed=4)))
    state = await ledger.subject(project(1))
    assert state is not None
    assert state.desired == dict.fromkeys(sorted(BOTH), noise(300_000, seed=4))
    await done(ledger, Event(5, generation=5, deletes=True))
    state = await other.subject(project(1))
    assert state is not None
    assert state.desired == {}


async def test_a_journal_may_be_large(ledger: Ledger, other: Ledger) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event)
    results = [noise(100_000, seed=number) for number in range(8)]
    for number, result in enumerate(results):
        assert (await ledger.record_step(attempt.claim, f"step-{number}", result, now=NOW)).valid
        await ledger.intend(attempt.claim, f"object-{number}", stamp=True, now=NOW)
    await ledger.record_step(attempt.claim, "step-0", "small", now=NOW + 1)
    results[0] = "small"
    assert await other.steps(event.key) == [
        StepRecord(1, f"step-{number}", result, NOW + (number == 0)) for number, result in enumerate(results)
    ]
    (renewal,) = await other.renew([attempt.claim], now=NOW, until=NOW + 90)
    assert renewal.valid
    assert (await other.stats()).leases == 1
    await ledger.release(attempt.claim, error=None, waiting=None, now=NOW)
    again = await claimed(other, event, replica="b")
    assert list(again.journal.values()) == results
    record = await other.finish(event.ending(SUCCEEDED, claim=again.claim))
    assert len(record.objects) == len(results)


async def test_a_history_may_be_large(ledger: Ledger) -> None:
    event = Event(1)
    for number in range(12):
        attempt = await claimed(ledger, event, max_attempts=99)
        error = noise(50_000, seed=number)
        await ledger.release(attempt.claim, error=error, waiting=Waiting("retry", error, NOW), now=NOW)
    message = noise(100_000)
    outcome = Outcome(OutcomeKind.FAILED, reason=Reason.ATTEMPTS_EXHAUSTED, message=message)
    record = await ledger.finish(event.ending(outcome))
    assert record.outcome is not None
    assert record.outcome.message == message
    assert record.last_error == noise(50_000, seed=11)
    assert (await ledger.history(event.key))[-1].detail.endswith(message)
    assert (await whats(ledger, event)).count("attempt_failed") == 12


@pytest.mark.parametrize("name", ["a" * 500, "with / and # ? \\ % 'quotes' |", "päß \ud800 \x00 ~", "~"])
async def test_names_may_be_anything(ledger: Ledger, name: str) -> None:
    owner = Event(1, names=(("project", name),))
    await done(ledger, owner)
    rival = Event(2, subject=project(2), names=(("project", name),))
    await ledger.admit(rival.admission())
    assert not isinstance(await ledger.claim(rival.request()), Claimed)
    ending = replace(Event(3).ending(FAILED), key=f"message/{name}", event_id=f"id {name}", subject=f"subject {name}")
    record = await ledger.finish(ending)
    assert await ledger.finish(ending) == record
    await ledger.sent([ending.report_id])
    assert [entry.report_id for entry in await ledger.outbox(10)] == ["report-1-1"]
