"""Ends: outcome, sequence and report in one transaction; the outbox; what is forgotten, and what is not."""

import asyncio

import pytest

from agentd.core import LeaseLost, Outcome, OutcomeKind, TransientError
from agentd.ledger import Ending, Finished, Ledger, RecordState
from tests.conformance.ledger.rig import (
    FAILED,
    FIRST,
    LEASE_S,
    NOW,
    REJECTED,
    SUCCEEDED,
    SUPERSEDED,
    Event,
    claimed,
    done,
    project,
    waiting,
    whats,
)


def rejection(message_id: str, *, subject: str = "", epoch: int = 1) -> Ending:
    """The end of a message that is no event."""
    return Ending(
        key=f"message/{message_id}",
        epoch=epoch,
        outcome=REJECTED,
        report_id=f"report-{message_id}-{epoch}",
        now=NOW,
        event_id="claims to be this",
        type="conveyor.project.create.v1",
        subject=subject,
        event="{not json",
    )


async def test_an_end_is_recorded_with_its_report(ledger: Ledger) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event, now=NOW)
    await ledger.intend(attempt.claim, "ecr:repository/x", stamp=False, now=NOW)
    outcome = Outcome(OutcomeKind.FAILED, reason=FAILED.reason, message="no right", step="create")
    record = await ledger.finish(event.ending(outcome, claim=attempt.claim, now=NOW + 5))

    assert record == await ledger.lookup(event.key)
    assert (record.state, record.finished_at, record.attempts) == (RecordState.FINISHED, NOW + 5, 1)
    assert record.outcome == Outcome(OutcomeKind.FAILED, True, FAILED.reason, "no right", "create")
    assert (record.changed, record.objects, record.waiting) == (True, ("ecr:repository/x",), None)
    assert record.sequence is not None
    entries = await ledger.outbox(10)
    assert [(entry.report_id, entry.sequence, entry.record) for entry in entries] == [
        ("report-1-1", record.sequence, record)
    ]


async def test_what_the_outcome_says_of_changes_counts_too(ledger: Ledger) -> None:
    record = await done(ledger, Event(1), Outcome(OutcomeKind.SUCCEEDED, changed=True))
    assert record.changed


async def test_a_finished_epoch_never_changes(ledger: Ledger, other: Ledger) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event)
    record = await ledger.finish(event.ending(SUCCEEDED, claim=attempt.claim))
    history = await ledger.history(event.key)
    assert await ledger.finish(event.ending(FAILED, claim=attempt.claim, now=NOW + 9)) == record
    assert await other.finish(event.ending(FAILED, now=NOW + 9)) == record
    await ledger.release(attempt.claim, error="late", waiting=waiting(), now=NOW + 9)
    assert not (await ledger.intend(attempt.claim, "x", stamp=False, now=NOW)).valid
    assert await ledger.admit(event.admission(now=NOW + 9)) == record
    assert await ledger.lookup(event.key) == record
    assert await ledger.history(event.key) == history
    assert len(await ledger.outbox(10)) == 1


async def test_an_end_can_come_without_a_claim(ledger: Ledger) -> None:
    event = Event(1)
    await ledger.admit(event.admission())
    await ledger.wait(event.key, waiting("name"), now=NOW)
    record = await ledger.finish(event.ending(SUPERSEDED, now=NOW + 1))
    assert (record.outcome, record.attempts, record.waiting) == (SUPERSEDED, 0, None)
    assert await whats(ledger, event) == ["admitted", "waiting", "finished"]


async def test_a_message_that_is_no_event_has_an_end(ledger: Ledger) -> None:
    record = await ledger.finish(rejection("m-1", subject="anything"))
    assert record == await ledger.lookup("message/m-1")
    assert (record.state, record.epoch, record.outcome, record.sequence) == (RecordState.FINISHED, 1, REJECTED, 1)
    assert (record.event_id, record.type, record.subject) == (
        "claims to be this",
        "conveyor.project.create.v1",
        "anything",
    )
    assert (record.event, record.admitted_at, record.finished_at) == ("{not json", NOW, NOW)
    assert await ledger.finish(rejection("m-1")) == record, "the same message again"
    assert [entry.record for entry in await ledger.outbox(10)] == [record]
    assert await ledger.find("m-1") == [record]
    assert await ledger.find("claims to be this") == [record]


async def test_an_end_in_an_epoch_that_is_not_open(ledger: Ledger) -> None:
    event = Event(1)
    first = await done(ledger, event, FAILED)
    await ledger.reopen(event.key, epoch=1, now=NOW)
    assert await ledger.finish(event.ending(SUCCEEDED, epoch=1)) == first
    second = await ledger.finish(event.ending(SUPERSEDED, epoch=2))
    assert (second.epoch, second.outcome) == (2, SUPERSEDED)


async def test_a_claim_proves_nothing_for_another_event(ledger: Ledger) -> None:
    holder, event = Event(1, subject=project(1)), Event(2, subject=project(2))
    claim = (await claimed(ledger, holder)).claim
    await ledger.admit(event.admission())
    with pytest.raises(LeaseLost):
        await ledger.finish(event.ending(SUCCEEDED, claim=claim))
    with pytest.raises(LeaseLost):
        await ledger.finish(Event(3).ending(SUCCEEDED, claim=claim))


# -- sequences ---------------------------------------------------------------------------------------------------------


async def test_sequences_count_up_per_subject(ledger: Ledger, other: Ledger) -> None:
    sequences = []
    for number in range(1, 6):
        replica = (ledger, other)[number % 2]
        attempt = await claimed(replica, Event(number, generation=number))
        record = await replica.finish(Event(number).ending(SUCCEEDED, claim=attempt.claim))
        sequences += [attempt.sequence, record.sequence]
    assert sequences == list(range(1, 11))
    assert (await claimed(ledger, Event(9, subject=project(9)))).sequence == 1


async def test_every_epoch_and_attempt_has_its_own_sequence(ledger: Ledger) -> None:
    event = Event(1)
    first = await done(ledger, event, FAILED)
    await ledger.reopen(event.key, epoch=1, now=NOW)
    second = await claimed(ledger, event, epoch=2)
    await ledger.release(second.claim, error="x", waiting=None, now=NOW)
    third = await claimed(ledger, event, epoch=2)
    last = await ledger.finish(event.ending(SUCCEEDED, claim=third.claim, epoch=2))
    assert [first.sequence, second.sequence, third.sequence, last.sequence] == [2, 3, 4, 5]


async def test_an_unverified_message_moves_no_subjects_sequence(ledger: Ledger) -> None:
    for number in range(5):
        assert (await ledger.finish(rejection(f"m-{number}", subject=str(FIRST)))).sequence == 1
    assert (await claimed(ledger, Event(1))).sequence == 1
    await ledger.reopen("message/m-1", epoch=1, now=NOW)
    assert (await ledger.finish(rejection("m-1", epoch=2))).sequence == 2


async def test_the_counter_of_a_message_goes_with_its_record(ledger: Ledger) -> None:
    for _ in range(2):
        assert (await ledger.finish(rejection("m-1"))).sequence == 1
        await ledger.sent(["report-m-1-1"])
        assert await ledger.purge(finished_before=NOW + 1) == 1


async def test_a_verified_event_that_was_not_admitted_counts_on_its_subject(ledger: Ledger) -> None:
    ending = Ending(Event(1).key, 1, REJECTED, "r", NOW, event_id=Event(1).id, subject=str(FIRST), generation=1)
    assert (await ledger.finish(ending)).sequence == 1
    assert (await claimed(ledger, Event(2, generation=2))).sequence == 2


# -- outbox ------------------------------------------------------------------------------------------------------------


async def test_the_outbox_is_in_order_and_bounded(ledger: Ledger, other: Ledger) -> None:
    for number in (3, 1, 2):
        await done((ledger, other)[number % 2], Event(number, subject=project(number)))
    assert [entry.report_id for entry in await ledger.outbox(10)] == ["report-3-1", "report-1-1", "report-2-1"]
    assert [entry.report_id for entry in await ledger.outbox(2)] == ["report-3-1", "report-1-1"]
    await other.sent(["report-1-1", "report-none"])
    assert [entry.report_id for entry in await ledger.outbox(10)] == ["report-3-1", "report-2-1"]
    await ledger.sent([])
    await ledger.sent(["report-3-1", "report-2-1"])
    assert await ledger.outbox(10) == []


async def test_a_report_says_what_its_own_epoch_came_to(ledger: Ledger) -> None:
    event = Event(1)
    first = await done(ledger, event, FAILED)
    await ledger.reopen(event.key, epoch=1, now=NOW + 1)
    attempt = await claimed(ledger, event, epoch=2)
    await ledger.intend(attempt.claim, "x", stamp=False, now=NOW + 1)
    second = await ledger.finish(event.ending(SUCCEEDED, claim=attempt.claim, epoch=2, now=NOW + 1))
    assert [entry.record for entry in await ledger.outbox(10)] == [first, second]
    assert [entry.report_id for entry in await ledger.outbox(10)] == ["report-1-1", "report-1-2"]


async def test_a_report_is_repeated_unless_it_waits(ledger: Ledger) -> None:
    one, two = Event(1), Event(2, subject=project(2))
    record = await done(ledger, one)
    await done(ledger, two)
    await ledger.repeat_report(one.key, now=NOW)
    assert [entry.report_id for entry in await ledger.outbox(10)] == ["report-1-1", "report-2-1"]
    await ledger.sent(["report-1-1"])
    await ledger.repeat_report(one.key, now=NOW)
    await ledger.repeat_report(one.key, now=NOW)
    entries = await ledger.outbox(10)
    assert [entry.report_id for entry in entries] == ["report-2-1", "report-1-1"]
    assert entries[1].sequence == record.sequence
    assert entries[1].record == record


async def test_what_has_not_ended_has_no_report(ledger: Ledger) -> None:
    await claimed(ledger, Event(1))
    await ledger.repeat_report(Event(1).key, now=NOW)
    await ledger.repeat_report("event/none", now=NOW)
    assert await ledger.outbox(10) == []


# -- purge -------------------------------------------------------------------------------------------------------------


async def test_only_what_has_ended_and_been_told_long_ago_is_forgotten(ledger: Ledger) -> None:
    old, untold, recent, running = (Event(number, subject=project(number)) for number in (1, 2, 3, 4))
    await done(ledger, old, now=NOW)
    await done(ledger, untold, now=NOW)
    await done(ledger, recent, now=NOW + 10)
    await claimed(ledger, running, now=NOW)
    await ledger.sent(["report-1-1", "report-3-1"])

    assert await ledger.purge(finished_before=NOW) == 0
    assert await ledger.purge(finished_before=NOW + 10) == 1
    assert await ledger.lookup(old.key) is None
    assert await ledger.history(old.key) == []
    assert await ledger.find(old.id) == []
    for kept in (untold, recent, running):
        assert await ledger.lookup(kept.key) is not None
    assert [entry.report_id for entry in await ledger.outbox(10)] == ["report-2-1"]


async def test_all_epochs_go_together(ledger: Ledger) -> None:
    event = Event(1)
    await done(ledger, event, FAILED, now=NOW)
    await ledger.sent(["report-1-1"])
    await ledger.reopen(event.key, epoch=1, now=NOW + 1)
    assert await ledger.purge(finished_before=NOW + 99) == 0, "it is open again"
    attempt = await claimed(ledger, event, epoch=2)
    await ledger.finish(event.ending(SUCCEEDED, claim=attempt.claim, epoch=2, now=NOW + 2))
    await ledger.sent(["report-1-2"])
    assert await ledger.purge(finished_before=NOW + 2) == 0, "its last epoch counts"
    assert await ledger.purge(finished_before=NOW + 99) == 1
    assert (await ledger.stats()).finished_events == 0


async def test_an_unsent_report_of_an_earlier_epoch_keeps_the_record(ledger: Ledger) -> None:
    event = Event(1)
    await done(ledger, event, FAILED)
    await ledger.reopen(event.key, epoch=1, now=NOW)
    await ledger.finish(event.ending(SUPERSEDED, epoch=2))
    await ledger.sent(["report-1-2"])
    assert await ledger.purge(finished_before=NOW + 99) == 0
    await ledger.sent(["report-1-1"])
    assert await ledger.purge(finished_before=NOW + 99) == 1


async def test_what_guards_the_subject_is_never_forgotten(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=4, subject=project(1), deletes=True))
    await done(ledger, Event(2, generation=3, subject=project(2), names=(("project", "alpha"),), desired={"a": 1}))
    before = [await ledger.subject(project(number)) for number in (1, 2)]
    await ledger.sent(["report-1-1", "report-2-1"])
    assert await ledger.purge(finished_before=NOW + 99) == 2
    after = [await ledger.subject(project(number)) for number in (1, 2)]
    for was, now in zip(before, after, strict=True):
        assert was is not None
        assert now is not None
        assert (now.token, now.facets, now.desired) == (was.token, was.facets, was.desired)
        assert (now.tombstone, now.names) == (was.tombstone, was.names)
        assert now.events == ()
    following = await claimed(ledger, Event(3, generation=9, subject=project(2)), now=NOW + LEASE_S)
    assert (following.claim.token, following.sequence) == (2, 3), "counters go on"


async def test_a_forgotten_event_that_comes_again_is_new(ledger: Ledger) -> None:
    event = Event(1)
    await done(ledger, event)
    await ledger.sent(["report-1-1"])
    await ledger.purge(finished_before=NOW + 99)
    record = await ledger.admit(event.admission(now=NOW + 100))
    assert (record.state, record.admitted_at) == (RecordState.OPEN, NOW + 100)
    assert not isinstance(await ledger.claim(event.request(now=NOW + 100)), Finished)


# -- closing -----------------------------------------------------------------------------------------------------------


async def test_closing_finishes_what_was_begun(ledger: Ledger, other: Ledger) -> None:
    events = [Event(number, subject=project(number)) for number in range(1, 41)]
    work = [asyncio.ensure_future(ledger.admit(event.admission())) for event in events]
    await asyncio.sleep(0)
    await ledger.close()
    for record in await asyncio.gather(*work):
        assert record == await other.lookup(record.key)


async def test_a_closed_ledger_answers_no_more(ledger: Ledger) -> None:
    await ledger.close()
    with pytest.raises(TransientError):
        await ledger.lookup("event/none")
    with pytest.raises(TransientError):
        await ledger.admit(Event(1).admission())
    await ledger.close()
