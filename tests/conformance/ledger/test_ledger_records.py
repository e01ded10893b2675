"""Records: admission, redrive, waiting, journal, history, and how they are found."""

import pytest

from agentd.core import Outcome, OutcomeKind, PermanentError
from agentd.ledger import Claimed, Ledger, LedgerStats, RecordState, StepRecord, Waiting
from tests.conformance.ledger.rig import (
    FAILED,
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


async def test_an_unknown_key_has_no_record(ledger: Ledger) -> None:
    assert await ledger.lookup("event/none") is None
    assert await ledger.history("event/none") == []
    assert await ledger.steps("event/none") == []


async def test_admission_writes_the_event_down(ledger: Ledger) -> None:
    event = Event(1, generation=7)
    record = await ledger.admit(event.admission(expires_at=NOW + 100))
    assert record == await ledger.lookup(event.key)
    assert (record.key, record.event_id, record.digest) == (event.key, event.id, "sha256:1")
    assert (record.subject, record.generation, record.event) == (str(event.subject), 7, f'{{"id":"{event.id}"}}')
    assert (record.state, record.epoch, record.attempts, record.changed) == (RecordState.OPEN, 1, 0, False)
    assert (record.admitted_at, record.expires_at, record.started_at) == (NOW, NOW + 100, None)
    assert (record.outcome, record.waiting, record.sequence, record.objects) == (None, None, None, ())


async def test_a_second_admission_overwrites_nothing(ledger: Ledger, other: Ledger) -> None:
    first = await ledger.admit(Event(1, generation=7).admission())
    again = await other.admit(Event(1, generation=8, subject=project(2)).admission(now=NOW + 9))
    assert again == first
    assert await whats(ledger, Event(1)) == ["admitted"]


async def test_an_end_before_admission_stays(ledger: Ledger) -> None:
    event = Event(1)
    rejected = await ledger.finish(event.ending(REJECTED))
    assert await ledger.admit(event.admission()) == rejected


@pytest.mark.parametrize("outcome", [FAILED, REJECTED])
async def test_a_redrive_starts_afresh(ledger: Ledger, outcome: Outcome) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event)
    await ledger.record_step(attempt.claim, "create", {"uri": "x"}, now=NOW)
    await ledger.intend(attempt.claim, "ecr:repository/x", stamp=False, now=NOW)
    await ledger.release(attempt.claim, error="throttled", waiting=waiting(), now=NOW)
    attempt = await claimed(ledger, event)
    await ledger.finish(event.ending(outcome, claim=attempt.claim))

    reopened = await ledger.reopen(event.key, epoch=1, now=NOW + 10)
    assert reopened == await ledger.lookup(event.key)
    assert (reopened.state, reopened.epoch, reopened.attempts) == (RecordState.OPEN, 2, 0)
    assert (reopened.changed, reopened.objects, reopened.last_error) == (False, (), None)
    assert (reopened.started_at, reopened.finished_at, reopened.outcome, reopened.sequence) == (None,) * 4
    assert (reopened.admitted_at, reopened.event) == (NOW, f'{{"id":"{event.id}"}}')
    assert (await whats(ledger, event))[-1] == "redriven"

    again = await claimed(ledger, event, epoch=2)
    assert (again.attempt, again.changed, dict(again.journal)) == (1, False, {})


@pytest.mark.parametrize("outcome", [SUCCEEDED, SUPERSEDED])
async def test_what_did_not_go_wrong_is_not_redriven(ledger: Ledger, outcome: Outcome) -> None:
    record = await done(ledger, Event(1), outcome)
    assert await ledger.reopen(record.key, epoch=1, now=NOW) == record


async def test_an_epoch_is_opened_once(ledger: Ledger, other: Ledger) -> None:
    event = Event(1)
    await done(ledger, event, FAILED)
    second = await ledger.reopen(event.key, epoch=1, now=NOW)
    assert await other.reopen(event.key, epoch=1, now=NOW + 1) == second
    assert await ledger.reopen(event.key, epoch=2, now=NOW) == second, "an open epoch is not reopened"
    assert await ledger.reopen(event.key, epoch=3, now=NOW) == second


async def test_what_was_never_admitted_is_not_redriven(ledger: Ledger) -> None:
    with pytest.raises(PermanentError):
        await ledger.reopen("event/none", epoch=1, now=NOW)


async def test_waiting_is_kept_until_the_next_claim(ledger: Ledger) -> None:
    event = Event(1)
    await ledger.admit(event.admission())
    await ledger.wait(event.key, waiting("lease"), now=NOW)
    record = await ledger.lookup(event.key)
    assert record is not None
    assert record.waiting == waiting("lease")
    assert (await ledger.stats()).waiting == {"lease": 1}
    await ledger.wait(event.key, waiting("name", until=NOW + 9), now=NOW)
    assert (await ledger.stats()).waiting == {"name": 1}

    await claimed(ledger, event)
    record = await ledger.lookup(event.key)
    assert record is not None
    assert record.waiting is None


async def test_waiting_again_for_the_same_thing_is_no_news(ledger: Ledger) -> None:
    event = Event(1)
    await ledger.admit(event.admission())
    for later in range(5):
        await ledger.wait(event.key, waiting("lease", until=NOW + later), now=NOW + later)
    assert await whats(ledger, event) == ["admitted", "waiting"]
    record = await ledger.lookup(event.key)
    assert record is not None
    assert record.waiting == waiting("lease", until=NOW + 4)


async def test_finished_and_unknown_events_do_not_wait(ledger: Ledger) -> None:
    record = await done(ledger, Event(1))
    await ledger.wait(record.key, waiting(), now=NOW)
    await ledger.wait("event/none", waiting(), now=NOW)
    assert await ledger.lookup(record.key) == record
    assert await ledger.lookup("event/none") is None


async def test_the_journal_is_there_in_the_next_attempt(ledger: Ledger, other: Ledger) -> None:
    event = Event(1)
    first = await claimed(ledger, event)
    results = {"create": {"uri": "x", "n": [1, None, "ü"]}, "tag": None, "list": "text"}
    for number, (step, result) in enumerate(results.items()):
        assert (await ledger.record_step(first.claim, step, result, now=NOW + number)).valid
    assert await ledger.steps(event.key) == [
        StepRecord(1, step, result, NOW + number) for number, (step, result) in enumerate(results.items())
    ]
    await ledger.release(first.claim, error="throttled", waiting=None, now=NOW)
    second = await claimed(other, event, replica="b")
    assert dict(second.journal) == results


async def test_what_another_event_may_have_undone_is_not_in_the_journal(ledger: Ledger) -> None:
    event = Event(1, generation=3)
    first = await claimed(ledger, event)
    await ledger.record_step(first.claim, "undeploy", True, now=NOW)
    await ledger.release(first.claim, error="throttled", waiting=None, now=NOW)
    await done(ledger, Event(2, generation=3, facets=frozenset()))
    second = await claimed(ledger, event)
    assert second.journal == {}
    await ledger.record_step(second.claim, "list", True, now=NOW)
    await ledger.release(second.claim, error="throttled", waiting=None, now=NOW)
    assert (await claimed(ledger, event)).journal == {"list": True}


async def test_a_step_done_again_has_its_newest_result(ledger: Ledger) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event)
    await ledger.record_step(attempt.claim, "create", 1, now=NOW)
    await ledger.record_step(attempt.claim, "create", 2, now=NOW + 1)
    assert await ledger.steps(event.key) == [StepRecord(1, "create", 2, NOW + 1)]


async def test_the_journal_ends_with_the_epoch(ledger: Ledger) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event)
    await ledger.record_step(attempt.claim, "create", 1, now=NOW)
    await ledger.finish(event.ending(SUCCEEDED, claim=attempt.claim))
    assert await ledger.steps(event.key) == []


async def test_objects_are_those_intended_in_order_and_once(ledger: Ledger) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event)
    for obj in ("z", "a", "z", "m"):
        await ledger.intend(attempt.claim, obj, stamp=True, now=NOW)
    record = await ledger.lookup(event.key)
    assert record is not None
    assert (record.objects, record.changed) == (("z", "a", "m"), False), "a stamp is no change"
    await ledger.intend(attempt.claim, "a", stamp=False, now=NOW)
    record = await ledger.lookup(event.key)
    assert record is not None
    assert (record.objects, record.changed) == (("z", "a", "m"), True)


async def test_changed_outlives_the_attempt(ledger: Ledger) -> None:
    event = Event(1)
    first = await claimed(ledger, event)
    await ledger.intend(first.claim, "a", stamp=False, now=NOW)
    await ledger.release(first.claim, error="throttled", waiting=None, now=NOW)
    second = await claimed(ledger, event)
    assert second.changed
    record = await ledger.finish(event.ending(SUCCEEDED, claim=second.claim))
    assert record.changed
    assert record.outcome == Outcome(OutcomeKind.SUCCEEDED, changed=True)


async def test_history_tells_the_whole_story(ledger: Ledger) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event, now=NOW)
    await ledger.release(attempt.claim, error="throttled: slow down", waiting=waiting(), now=NOW + 1)
    attempt = await claimed(ledger, event, now=NOW + 6)
    await ledger.finish(event.ending(FAILED, claim=attempt.claim, now=NOW + 7))
    await ledger.reopen(event.key, epoch=1, now=NOW + 8)

    story = await ledger.history(event.key)
    assert [(change.what, change.at, change.epoch) for change in story] == [
        ("admitted", NOW, 1),
        ("claimed", NOW, 1),
        ("attempt_failed", NOW + 1, 1),
        ("waiting", NOW + 1, 1),
        ("claimed", NOW + 6, 1),
        ("finished", NOW + 7, 1),
        ("redriven", NOW + 8, 2),
    ]
    assert "throttled: slow down" in story[2].detail
    assert "access_denied" in story[5].detail


async def test_an_attempt_that_ended_without_a_word_is_in_the_history(ledger: Ledger) -> None:
    crashed, following = Event(1, generation=1), Event(2, generation=2)
    await claimed(ledger, crashed, replica="lost")
    await claimed(ledger, following, replica="b", now=NOW + LEASE_S)
    story = await ledger.history(crashed.key)
    assert [change.what for change in story] == ["admitted", "claimed", "attempt_failed"]
    assert "lost" in story[-1].detail


async def test_history_keeps_the_newest_200(ledger: Ledger) -> None:
    event, bystander = Event(1), Event(2)
    await ledger.admit(event.admission())
    await ledger.admit(bystander.admission())
    for number in range(250):
        await ledger.wait(event.key, Waiting("retry", f"number {number}", NOW), now=NOW + number)
    story = await ledger.history(event.key)
    assert [change.detail for change in story] == [f"retry: number {number}" for number in range(50, 250)]
    assert await whats(ledger, bystander) == ["admitted"]


async def test_find_by_every_name(ledger: Ledger) -> None:
    event, sibling, stranger = Event(1), Event(2), Event(3, subject=project(2))
    for later, one in enumerate((event, sibling, stranger)):
        await ledger.admit(one.admission(now=NOW + later))
    record = await ledger.lookup(event.key)
    assert await ledger.find(event.key) == [record]
    assert await ledger.find(event.id) == [record]
    found = await ledger.find(str(event.subject))
    assert [one.key for one in found] == [sibling.key, event.key], "newest first"
    assert await ledger.find("") == []
    assert await ledger.find("event/none") == []


async def test_find_is_bounded(ledger: Ledger) -> None:
    for number in range(1, 61):
        await ledger.admit(Event(number).admission(now=NOW + number))
    found = await ledger.find(str(project(1)))
    assert [one.key for one in found] == [Event(number).key for number in range(60, 10, -1)]


async def test_stats_count_everything(ledger: Ledger) -> None:
    assert await ledger.stats() == LedgerStats(0, 0, 0, 0, 0, 0)
    deleted = Event(1, deletes=True)
    await done(ledger, deleted)
    await claimed(ledger, Event(2, subject=project(2)), now=NOW + 1)
    await ledger.admit(Event(3, subject=project(3)).admission(now=NOW + 2))
    await ledger.wait(Event(3).key, waiting("lease"), now=NOW + 2)
    assert await ledger.stats() == LedgerStats(
        open_events=2,
        finished_events=1,
        outbox=1,
        leases=1,
        subjects=2,
        tombstones=1,
        oldest_open_at=NOW + 1,
        waiting={"lease": 1},
    )


async def test_a_subject_nobody_knows(ledger: Ledger) -> None:
    assert await ledger.subject(project(1)) is None


async def test_what_is_known_of_a_subject(ledger: Ledger) -> None:
    create = Event(1, creates=True, names=(("project", "alpha"),), desired={"name": "alpha"})
    await done(ledger, create, now=NOW)
    update = Event(2, generation=3, facets=frozenset({"power"}), desired={"on": True})
    result = await claimed(ledger, update, replica="b", now=NOW + 1)

    state = await ledger.subject(project(1))
    assert state is not None
    assert (state.subject, state.token) == (str(project(1)), result.claim.token)
    assert state.facets == {"spec": 1, "power": 3}
    assert state.desired == {"spec": {"name": "alpha"}, "power": {"on": True}}
    assert (state.tombstone, state.names) == (None, (("project", "alpha"),))
    assert state.events == (update.key, create.key)
    assert state.held_by is not None
    assert (state.held_by.by_key, state.held_by.by_replica) == (update.key, "b")
    assert state.held_by.until == NOW + 1 + LEASE_S

    await ledger.release(result.claim, error=None, waiting=None, now=NOW + 2)
    state = await ledger.subject(project(1))
    assert state is not None
    assert state.held_by is None


async def test_text_beyond_utf8_does_no_harm(ledger: Ledger) -> None:
    """A lone surrogate gets in through a JSON escape of a malformed event."""
    event = Event(1)
    await ledger.admit(event.admission())
    await ledger.wait(event.key, Waiting("retry", "found \ud800 in data", NOW), now=NOW)
    record = await ledger.lookup(event.key)
    assert record is not None
    assert record.waiting is not None
    assert "found" in record.waiting.message
    assert "in data" in record.waiting.message
    assert await ledger.find("\udcff") == []


async def test_replicas_see_each_others_work_at_once(ledger: Ledger, other: Ledger) -> None:
    for number in range(1, 30):
        event = Event(number, subject=project(number))
        await ledger.admit(event.admission())
        result = await other.claim(event.request(replica="b"))
        assert isinstance(result, Claimed)
        assert (await ledger.record_step(result.claim, "s", number, now=NOW)).valid
        steps = await other.steps(event.key)
        assert [step.result for step in steps] == [number]
