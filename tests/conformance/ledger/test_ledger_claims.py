"""Claims: every answer, in the order in which they are decided; generations, tombstones, names and attempts."""

from typing import Any

import pytest

from agentd.core import Outcome, PermanentError
from agentd.ledger import (
    Claimed,
    Conflict,
    Deleted,
    Exhausted,
    Finished,
    Held,
    Ledger,
    Missing,
    NameTaken,
    SubjectState,
    Superseded,
)
from tests.conformance.ledger.rig import (
    BOTH,
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
)

NAME = (("project", "alpha"),)


async def state_of(ledger: Ledger, number: int = 1) -> SubjectState:
    """What is known of a subject that is known."""
    state = await ledger.subject(project(number))
    assert state is not None
    return state


async def test_a_free_subject_is_claimed(ledger: Ledger) -> None:
    event = Event(1, generation=4, desired={"a": 1})
    await ledger.admit(event.admission())
    result = await ledger.claim(event.request(replica="a", now=NOW + 3))
    assert isinstance(result, Claimed)
    assert (result.claim.key, result.claim.epoch) == (event.key, 1)
    assert (result.claim.subject, result.claim.replica) == (event.subject, "a")
    assert (result.claim.token, result.attempt, result.changed, dict(result.journal)) == (1, 1, False, {})
    record = await ledger.lookup(event.key)
    assert record is not None
    assert (record.attempts, record.started_at) == (1, NOW + 3)
    assert (await state_of(ledger)).facets == {"spec": 4}


async def test_what_was_never_admitted_is_not_claimed(ledger: Ledger) -> None:
    with pytest.raises(PermanentError):
        await ledger.claim(Event(1).request())
    await ledger.admit(Event(1).admission())
    with pytest.raises(PermanentError):
        await ledger.claim(Event(1).request(epoch=2))


async def test_a_finished_epoch_is_not_claimed(ledger: Ledger) -> None:
    event = Event(1)
    record = await done(ledger, event, FAILED)
    assert await ledger.claim(event.request()) == Finished(record)
    await ledger.reopen(event.key, epoch=1, now=NOW)
    assert await ledger.claim(event.request(epoch=1)) == Finished(record), "the epoch before stays finished"
    assert isinstance(await ledger.claim(event.request(epoch=2)), Claimed)


# -- generations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [SUCCEEDED, FAILED, None])
async def test_a_newer_generation_supersedes_even_if_it_failed(ledger: Ledger, outcome: Outcome | None) -> None:
    newer, older = Event(2, generation=5), Event(1, generation=4)
    attempt = await claimed(ledger, newer)
    if outcome is None:
        await ledger.release(attempt.claim, error=None, waiting=None, now=NOW)
    else:
        await ledger.finish(newer.ending(outcome, claim=attempt.claim))
    await ledger.admit(older.admission())
    assert await ledger.claim(older.request()) == Superseded(newer.id, 5)


async def test_an_event_is_superseded_only_as_a_whole(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=5, facets=SPEC, desired="spec of 5"))
    wide = Event(2, generation=4, facets=BOTH, desired="both of 4")
    await done(ledger, wide)
    state = await state_of(ledger)
    assert state.facets == {"spec": 5, "power": 4}, "a claimed generation never goes back"
    assert state.desired == {"spec": "spec of 5", "power": "both of 4"}

    await done(ledger, Event(3, generation=6, facets=frozenset({"power"})))
    late = Event(4, generation=4, facets=BOTH)
    await ledger.admit(late.admission())
    assert await ledger.claim(late.request()) == Superseded(Event(3).id, 6), "two events together cover it"


async def test_a_command_is_never_superseded(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=5))
    await done(ledger, Event(2, generation=5, facets=frozenset()))
    await done(ledger, Event(3, generation=1, facets=frozenset()))
    assert (await state_of(ledger)).facets == {"spec": 5}


async def test_the_same_generation_under_another_id_is_a_conflict(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=5), FAILED)
    rival = Event(2, generation=5, facets=BOTH)
    await ledger.admit(rival.admission())
    assert await ledger.claim(rival.request()) == Conflict(Event(1).id, 5)
    assert (await state_of(ledger)).facets == {"spec": 5}


async def test_an_event_never_conflicts_with_itself(ledger: Ledger) -> None:
    event = Event(1, generation=5, desired=1)
    attempt = await claimed(ledger, event)
    await ledger.release(attempt.claim, error="x", waiting=None, now=NOW)
    attempt = await claimed(ledger, event)
    await ledger.finish(event.ending(FAILED, claim=attempt.claim))
    await ledger.reopen(event.key, epoch=1, now=NOW)
    assert (await claimed(ledger, event, epoch=2)).attempt == 1


async def test_a_delete_covers_facets_that_nobody_has_named(ledger: Ledger) -> None:
    await done(ledger, Event(6, generation=1, facets=frozenset({"egress"}), desired="open"))
    await done(ledger, Event(1, generation=5, deletes=True), FAILED)
    state = await state_of(ledger)
    assert (state.facets, state.desired["egress"]) == ({"spec": 5, "egress": 5}, "open")
    for late, expected in (
        (Event(4, generation=4, facets=frozenset({"egress"})), Superseded(Event(1).id, 5)),
        (Event(2, generation=4, facets=frozenset({"power"})), Superseded(Event(1).id, 5)),
        (Event(3, generation=5, facets=frozenset({"power"})), Conflict(Event(1).id, 5)),
    ):
        await ledger.admit(late.admission())
        assert await ledger.claim(late.request()) == expected


async def test_what_a_delete_covers_never_goes_back(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=5, deletes=True), FAILED)
    await done(ledger, Event(2, generation=3, deletes=True, facets=frozenset()), FAILED)
    late = Event(3, generation=4, facets=frozenset({"power"}))
    await ledger.admit(late.admission())
    assert await ledger.claim(late.request()) == Superseded(Event(1).id, 5)


async def test_a_delete_conflicts_with_any_facet(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=5, facets=frozenset({"power"})))
    delete = Event(2, generation=5, deletes=True)
    await ledger.admit(delete.admission())
    assert await ledger.claim(delete.request()) == Conflict(Event(1).id, 5)


# -- tombstones --------------------------------------------------------------------------------------------------------


async def test_a_delete_leaves_a_tombstone(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=1, creates=True))
    delete = Event(2, generation=2, deletes=True)
    attempt = await claimed(ledger, delete)
    assert (await state_of(ledger)).tombstone is None, "not before it has succeeded"
    await ledger.finish(delete.ending(SUCCEEDED, claim=attempt.claim))
    assert (await state_of(ledger)).tombstone == 2

    for late in (
        Event(3, generation=3),
        Event(4, generation=3, facets=frozenset()),
        Event(5, generation=9, deletes=True),
    ):
        await ledger.admit(late.admission())
        assert await ledger.claim(late.request()) == Deleted(2)


async def test_a_delete_that_fails_leaves_none(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=1, creates=True, names=NAME))
    await done(ledger, Event(2, generation=2, deletes=True), FAILED)
    state = await state_of(ledger)
    assert (state.tombstone, state.names) == (None, NAME)
    await done(ledger, Event(3, generation=3))


async def test_only_a_newer_create_brings_a_subject_back(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=1, creates=True))
    await done(ledger, Event(2, generation=5, deletes=True))
    late = Event(3, generation=4, creates=True)
    await ledger.admit(late.admission())
    assert await ledger.claim(late.request()) == Superseded(Event(2).id, 5)
    equal = Event(4, generation=5, creates=True)
    await ledger.admit(equal.admission())
    assert await ledger.claim(equal.request()) == Conflict(Event(2).id, 5)
    bare = Event(5, generation=4, creates=True, facets=frozenset())
    await ledger.admit(bare.admission())
    assert await ledger.claim(bare.request()) == Deleted(5), "also if it declares no facet"
    assert (await state_of(ledger)).tombstone == 5

    newer = await claimed(ledger, Event(6, generation=6, creates=True))
    assert (await state_of(ledger)).tombstone is None, "lifted at the claim"
    await ledger.finish(Event(6).ending(FAILED, claim=newer.claim))
    await done(ledger, Event(7, generation=7))


async def test_tokens_and_generations_outlive_a_delete(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=1, creates=True))
    await done(ledger, Event(2, generation=5, deletes=True))
    back = await claimed(ledger, Event(3, generation=6, creates=True))
    assert back.claim.token == 3
    late = Event(4, generation=4, facets=frozenset({"power"}))
    await ledger.admit(late.admission())
    assert await ledger.claim(late.request()) == Superseded(Event(2).id, 5), "older than the delete, whatever the facet"


async def test_what_is_newer_than_a_delete_waits_for_the_create_that_brings_its_subject_back(ledger: Ledger) -> None:
    """1 create, 5 delete, 6 create, 7 update: however they come, in the end it is as the update wants it."""
    power = frozenset({"power"})
    await done(ledger, Event(1, generation=1, facets=BOTH, creates=True, desired="first"))
    await done(ledger, Event(7, generation=7, desired="newest"))
    await done(ledger, Event(5, generation=5, facets=BOTH, deletes=True))
    state = await state_of(ledger)
    assert (state.tombstone, state.desired) == (5, {"spec": "newest"})
    back = await claimed(ledger, Event(6, generation=6, facets=BOTH, creates=True, desired="back"))
    assert back.desired == {"spec": "newest", "power": "back"}
    await ledger.finish(Event(6).ending(SUCCEEDED, claim=back.claim))
    await done(ledger, Event(8, generation=8, facets=power, desired="on"))
    await done(ledger, Event(9, generation=9, facets=frozenset({"other"}), deletes=True))
    last = await claimed(ledger, Event(10, generation=10, creates=True, desired="anew"))
    assert last.desired == {"spec": "anew"}, "a create brings back nothing that is older"


async def test_a_delete_that_ends_without_a_lease_leaves_no_tombstone(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=1, names=NAME))
    delete = Event(2, generation=5, deletes=True)
    await ledger.admit(delete.admission())
    await ledger.finish(delete.ending(SUCCEEDED))
    state = await state_of(ledger)
    assert (state.tombstone, state.names) == (None, NAME)
    await done(ledger, Event(3, generation=4))


# -- names -------------------------------------------------------------------------------------------------------------


async def test_a_name_belongs_to_one_subject(ledger: Ledger) -> None:
    owner = Event(1, creates=True, names=NAME)
    await done(ledger, owner, FAILED)
    rival = Event(2, subject=project(2), creates=True, names=NAME)
    await ledger.admit(rival.admission())
    taken = NameTaken("project", "alpha", str(project(1)), deleting=False)
    assert await ledger.claim(rival.request()) == taken
    record = await ledger.lookup(rival.key)
    assert record is not None
    assert record.attempts == 0
    await done(ledger, Event(3, generation=2, names=NAME))
    await done(ledger, Event(4, subject=project(4), names=(("package", "alpha"),)))


async def test_no_name_of_several_is_taken_alone(ledger: Ledger) -> None:
    await done(ledger, Event(1, names=NAME))
    both = Event(2, subject=project(2), names=(("project", "beta"), *NAME))
    await ledger.admit(both.admission())
    assert isinstance(await ledger.claim(both.request()), NameTaken)
    await done(ledger, Event(3, subject=project(3), names=(("project", "beta"),)))


async def test_a_name_is_free_when_the_delete_is_complete(ledger: Ledger) -> None:
    await done(ledger, Event(1, creates=True, names=NAME))
    rival = Event(2, subject=project(2), names=NAME)
    await ledger.admit(rival.admission())

    async def asked() -> bool:
        result = await ledger.claim(rival.request())
        assert isinstance(result, NameTaken), result
        return result.deleting

    delete = Event(3, generation=2, deletes=True)
    await ledger.admit(delete.admission())
    assert not await asked(), "a delete that has not been claimed may yet be refused"
    attempt = await claimed(ledger, delete)
    assert await asked()
    await ledger.release(attempt.claim, error="throttled", waiting=waiting(), now=NOW)
    assert await asked(), "it has not ended: another attempt follows"
    late = Event(4, generation=1)
    await ledger.admit(late.admission())
    await ledger.finish(late.ending(SUPERSEDED))
    assert await asked(), "another event's end is none of the delete's"
    attempt = await claimed(ledger, delete)
    await ledger.finish(delete.ending(FAILED, claim=attempt.claim))
    assert not await asked()

    await ledger.reopen(delete.key, epoch=1, now=NOW)
    attempt = await claimed(ledger, delete, epoch=2)
    assert await asked()
    await ledger.finish(delete.ending(SUCCEEDED, claim=attempt.claim, epoch=2))
    assert isinstance(await ledger.claim(rival.request()), Claimed)
    assert (await state_of(ledger)).names == ()
    assert (await state_of(ledger, 2)).names == NAME


# -- attempts ----------------------------------------------------------------------------------------------------------


async def test_attempts_are_counted_at_the_claim(ledger: Ledger) -> None:
    event = Event(1)
    for number in (1, 2, 3):
        attempt = await claimed(ledger, event, now=NOW + number)
        assert attempt.attempt == number
        await ledger.release(attempt.claim, error=f"fault {number}", waiting=None, now=NOW + number)
        record = await ledger.lookup(event.key)
        assert record is not None
        assert (record.attempts, record.last_error, record.started_at) == (number, f"fault {number}", NOW + 1)
    assert await ledger.claim(event.request(max_attempts=3)) == Exhausted(3, "fault 3")
    assert isinstance(await ledger.claim(event.request(max_attempts=4)), Claimed)


async def test_an_attempt_given_back_without_an_error_does_not_count(ledger: Ledger) -> None:
    event = Event(1)
    for _ in range(5):
        attempt = await claimed(ledger, event, max_attempts=1)
        assert attempt.attempt == 1
        await ledger.release(attempt.claim, error=None, waiting=waiting("ready"), now=NOW)
        record = await ledger.lookup(event.key)
        assert record is not None
        assert (record.attempts, record.last_error, record.waiting) == (0, None, waiting("ready"))


async def test_a_crash_leaves_no_last_error(ledger: Ledger) -> None:
    event = Event(1)
    await claimed(ledger, event, max_attempts=1)
    assert await ledger.claim(event.request(now=NOW + LEASE_S, max_attempts=1)) == Exhausted(1, None)


async def test_a_crash_after_an_error_leaves_none_either(ledger: Ledger) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event)
    await ledger.release(attempt.claim, error="throttled", waiting=None, now=NOW)
    await claimed(ledger, event)
    assert await ledger.claim(event.request(now=NOW + LEASE_S, max_attempts=2)) == Exhausted(2, None)
    record = await ledger.lookup(event.key)
    assert record is not None
    assert record.last_error == "throttled", "the last attempt that failed is still known"


async def test_an_error_after_a_crash_is_the_last_word(ledger: Ledger) -> None:
    event = Event(1)
    await claimed(ledger, event)
    attempt = await claimed(ledger, event, now=NOW + LEASE_S)
    await ledger.release(attempt.claim, error="throttled", waiting=None, now=NOW + LEASE_S)
    assert await ledger.claim(event.request(now=NOW + LEASE_S, max_attempts=2)) == Exhausted(2, "throttled")


@pytest.mark.parametrize("error", [None, "throttled"])
async def test_an_uncounted_attempt_leaves_the_last_word_as_it_was(ledger: Ledger, error: str | None) -> None:
    event = Event(1)
    attempt = await claimed(ledger, event)
    if error is not None:
        await ledger.release(attempt.claim, error=error, waiting=None, now=NOW)
    attempt = await claimed(ledger, event, now=NOW + LEASE_S)
    await ledger.release(attempt.claim, error=None, waiting=None, now=NOW + LEASE_S)
    assert await ledger.claim(event.request(now=NOW + LEASE_S, max_attempts=1)) == Exhausted(1, error)


async def test_taking_ones_own_lease_over_counts_and_renews_the_token(ledger: Ledger) -> None:
    event = Event(1)
    first = await claimed(ledger, event, replica="a")
    second = await claimed(ledger, event, replica="a")
    assert (second.attempt, second.claim.token) == (2, first.claim.token + 1)
    assert not (await ledger.record_step(first.claim, "s", 1, now=NOW)).valid
    assert (await ledger.record_step(second.claim, "s", 1, now=NOW)).valid
    await ledger.release(second.claim, error=None, waiting=None, now=NOW)
    assert await ledger.claim(event.request(max_attempts=1)) == Exhausted(1, None), "the first never said a word"


# -- the order of decision ---------------------------------------------------------------------------------------------


async def test_finished_goes_before_superseded(ledger: Ledger) -> None:
    event = Event(1, generation=1)
    await done(ledger, event)
    await done(ledger, Event(2, generation=2))
    assert isinstance(await ledger.claim(event.request()), Finished)


async def test_superseded_goes_before_deleted_held_and_exhausted(ledger: Ledger) -> None:
    event = Event(1, generation=1)
    attempt = await claimed(ledger, event, max_attempts=1)
    await ledger.release(attempt.claim, error="x", waiting=None, now=NOW)
    delete = Event(2, generation=2, deletes=True)
    await claimed(ledger, delete, replica="b")
    assert isinstance(await ledger.claim(event.request(max_attempts=1)), Superseded)


async def test_a_conflict_goes_before_a_partial_lead_deleted_and_held(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=5, facets=frozenset({"power"})))
    await done(ledger, Event(2, generation=6, facets=SPEC))
    await claimed(ledger, Event(3, generation=7, facets=frozenset({"egress"})), replica="b")
    rival = Event(4, generation=5, facets=BOTH)
    await ledger.admit(rival.admission())
    assert await ledger.claim(rival.request()) == Conflict(Event(1).id, 5)


async def test_deleted_goes_before_held(ledger: Ledger) -> None:
    locked = project(9)
    await done(ledger, Event(1, generation=5, deletes=True))
    await claimed(ledger, Event(2, subject=locked), replica="b")
    late = Event(3, generation=6)
    await ledger.admit(late.admission())
    assert await ledger.claim(late.request()) == Deleted(5)


async def test_held_goes_before_a_taken_name(ledger: Ledger) -> None:
    await done(ledger, Event(1, subject=project(2), names=NAME))
    await claimed(ledger, Event(2, generation=1), replica="b")
    event = Event(3, generation=2, names=NAME)
    await ledger.admit(event.admission())
    assert isinstance(await ledger.claim(event.request()), Held)
    assert isinstance(await ledger.claim(event.request(now=NOW + LEASE_S)), NameTaken)


async def test_a_taken_name_goes_before_exhausted(ledger: Ledger) -> None:
    event = Event(1, names=())
    attempt = await claimed(ledger, event)
    await ledger.release(attempt.claim, error="x", waiting=None, now=NOW)
    await done(ledger, Event(2, subject=project(2), names=NAME))
    named = Event(1, names=NAME)
    assert isinstance(await ledger.claim(named.request(max_attempts=1)), NameTaken)
    assert await ledger.claim(event.request(max_attempts=1)) == Exhausted(1, "x")


async def test_a_desired_state_that_is_no_json_claims_nothing(ledger: Ledger) -> None:
    event = Event(1, names=NAME, desired={"when": object()})
    await ledger.admit(event.admission())
    with pytest.raises(TypeError):
        await ledger.claim(event.request())
    record, state = await ledger.lookup(event.key), await state_of(ledger)
    assert record is not None
    assert (record.attempts, state.token, state.held_by, state.names) == (0, 0, None, ())


async def test_a_refused_claim_changes_nothing(ledger: Ledger) -> None:
    await done(ledger, Event(1, subject=project(2), names=NAME))
    event = Event(2, generation=7, creates=True, names=NAME)
    await ledger.admit(event.admission())
    before = await ledger.lookup(event.key), await ledger.subject(event.subject), await ledger.history(event.key)
    assert isinstance(await ledger.claim(event.request()), NameTaken)
    assert (
        await ledger.lookup(event.key),
        await ledger.subject(event.subject),
        await ledger.history(event.key),
    ) == before


CREATE: dict[str, Any] = {"facets": frozenset({"existence", "spec"}), "creates": True, "desired": "first"}
NEEDS = frozenset({"existence"})


async def test_what_requires_a_facet_waits_for_it_and_claims_nothing(ledger: Ledger) -> None:
    update = Event(1, generation=3, requires=NEEDS, desired="third")
    await ledger.admit(update.admission())
    assert await ledger.claim(update.request()) == Missing("existence")
    state = await ledger.subject(project(1))
    assert state is None or (state.facets, state.token) == ({}, 0)
    # So the create that comes late is not superseded.
    await done(ledger, Event(2, generation=1, **CREATE))
    assert isinstance(await ledger.claim(update.request()), Claimed)


async def test_a_claim_tells_what_is_desired_by_the_newest_event_of_each_facet(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=1, **CREATE))
    await done(ledger, Event(2, generation=5, desired="fifth"))
    late = await claimed(ledger, Event(3, generation=4, facets=frozenset({"spec", "power"}), desired="fourth"))
    assert late.desired == {"existence": "first", "spec": "fifth", "power": "fourth"}
    assert late.generation == 5


async def test_a_command_is_told_the_newest_generation_of_its_subject(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=7, **CREATE))
    command = await claimed(ledger, Event(2, generation=3, facets=frozenset()))
    assert command.generation == 7
    unknown = await claimed(ledger, Event(3, generation=3, facets=frozenset(), subject=project(2)))
    assert unknown.generation == 3


async def test_a_failed_delete_leaves_what_is_desired_as_it_is(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=1, **CREATE))
    await done(ledger, Event(2, generation=2, facets=NEEDS, deletes=True, desired="nothing"), FAILED)
    after = await claimed(ledger, Event(3, generation=3, facets=frozenset({"power"}), requires=NEEDS, desired="on"))
    assert after.desired == {"existence": "first", "spec": "first", "power": "on"}


async def test_after_a_delete_nothing_is_desired_any_more(ledger: Ledger) -> None:
    await done(ledger, Event(1, generation=1, **CREATE))
    await done(ledger, Event(2, generation=2, facets=frozenset({"power"}), desired="off"))
    await done(ledger, Event(3, generation=3, facets=NEEDS, deletes=True))
    again = await claimed(ledger, Event(4, generation=4, **CREATE))
    assert again.desired == {"existence": "first", "spec": "first"}
