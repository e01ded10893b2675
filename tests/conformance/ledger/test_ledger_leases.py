"""Leases, tokens and locks: at most one valid holder, over all replicas, whoever stops or comes back."""

import asyncio

import pytest

from agentd.core import LeaseLost, Lock
from agentd.ledger import Claimed, Held, Ledger, Renewal
from tests.conformance.ledger.rig import (
    FAILED,
    FIRST,
    LEASE_S,
    NOW,
    SUCCEEDED,
    Event,
    claimed,
    done,
    project,
    read,
    write,
)

END = NOW + LEASE_S
LOST = Renewal(valid=False)
VALID = Renewal(valid=True)


async def test_a_held_subject_is_not_claimed(ledger: Ledger, other: Ledger) -> None:
    holder, event = Event(1, generation=1), Event(2, generation=2)
    await claimed(ledger, holder, replica="a")
    await other.admit(event.admission())
    assert await other.claim(event.request(replica="b")) == Held(holder.key, "a", str(FIRST), END)
    assert await other.claim(event.request(replica="a")) == Held(holder.key, "a", str(FIRST), END), "another event"
    assert await other.claim(holder.request(replica="b")) == Held(holder.key, "a", str(FIRST), END), "another replica"
    assert isinstance(await other.claim(event.request(replica="b", now=END - 0.001)), Held)
    assert isinstance(await other.claim(event.request(replica="b", now=END)), Claimed)


async def test_a_lease_that_is_given_back_is_free(ledger: Ledger, other: Ledger) -> None:
    first = await claimed(ledger, Event(1, generation=1), replica="a")
    await ledger.release(first.claim, error="x", waiting=None, now=NOW)
    second = await claimed(other, Event(2, generation=2), replica="b")
    await other.finish(Event(2).ending(SUCCEEDED, claim=second.claim))
    await claimed(ledger, Event(3, generation=3), replica="a")


async def test_of_200_claims_at_once_one_wins(ledger: Ledger, other: Ledger) -> None:
    events = [Event(number, generation=number) for number in range(1, 201)]
    for event in events:
        await ledger.admit(event.admission())
    both = (ledger, other)
    results = await asyncio.gather(
        *(both[event.number % 2].claim(event.request(replica="ab"[event.number % 2])) for event in events)
    )
    winners = [result for result in results if isinstance(result, Claimed)]
    assert len(winners) == 1
    state = await ledger.subject(FIRST)
    assert state is not None
    assert state.held_by is not None
    assert (state.held_by.by_key, state.token) == (winners[0].claim.key, winners[0].claim.token)


async def test_tokens_only_grow(ledger: Ledger, other: Ledger) -> None:
    tokens = []
    for number in range(1, 20):
        replica = (ledger, other)[number % 2]
        at = NOW + number * LEASE_S
        attempt = await claimed(replica, Event(number, generation=number, creates=True), now=at)
        tokens.append(attempt.claim.token)
        event = Event(number, generation=number, deletes=number % 5 == 0)
        match number % 3:
            case 0:
                await replica.release(attempt.claim, error="x", waiting=None, now=at)
            case 1:
                await replica.finish(event.ending(SUCCEEDED, claim=attempt.claim, now=at))
            case _:
                pass  # the replica is gone
    assert tokens == sorted(set(tokens))


async def test_renewal_extends_in_the_order_given(ledger: Ledger, other: Ledger) -> None:
    claims = [(await claimed(ledger, Event(number, subject=project(number)))).claim for number in (1, 2, 3)]
    await ledger.release(claims[1], error=None, waiting=None, now=NOW)
    assert list(await ledger.renew(claims, now=NOW + 50, until=NOW + 110)) == [VALID, LOST, VALID]
    rival = Event(4, generation=2)
    await other.admit(rival.admission())
    assert await other.claim(rival.request(replica="b", now=END)) == Held(Event(1).key, "a", str(FIRST), NOW + 110)
    assert isinstance(await other.claim(rival.request(replica="b", now=NOW + 110)), Claimed)


async def test_renewal_never_shortens_a_lease(ledger: Ledger) -> None:
    attempt = await claimed(ledger, Event(1))
    assert list(await ledger.renew([attempt.claim], now=NOW, until=NOW + 1)) == [VALID]
    assert list(await ledger.renew([attempt.claim], now=NOW + 30, until=NOW + 90)) == [VALID]


async def test_no_claims_no_renewals(ledger: Ledger) -> None:
    assert list(await ledger.renew([], now=NOW, until=END)) == []


async def test_an_ended_lease_is_over_even_if_nobody_wants_it(ledger: Ledger) -> None:
    event = Event(1)
    claim = (await claimed(ledger, event)).claim
    assert list(await ledger.renew([claim], now=END, until=END + 60)) == [LOST]
    assert await ledger.intend(claim, "x", stamp=False, now=END) == LOST
    assert await ledger.record_step(claim, "s", 1, now=END) == LOST
    with pytest.raises(LeaseLost):
        await ledger.finish(event.ending(SUCCEEDED, claim=claim, now=END))
    record = await ledger.lookup(event.key)
    assert record is not None
    assert (record.objects, record.changed, record.outcome) == ((), False, None)
    assert await ledger.steps(event.key) == []


async def test_a_late_release_still_has_its_last_word(ledger: Ledger) -> None:
    event = Event(1)
    claim = (await claimed(ledger, event)).claim
    await ledger.release(claim, error="throttled", waiting=None, now=END + 5)
    record = await ledger.lookup(event.key)
    assert record is not None
    assert (record.last_error, record.attempts) == ("throttled", 1)


@pytest.mark.parametrize("same_event", [True, False])
async def test_the_old_holder_can_do_nothing_to_the_new_one(ledger: Ledger, other: Ledger, *, same_event: bool) -> None:
    old_event = Event(1, generation=1, locks=(read(project(8)),))
    new_event = old_event if same_event else Event(2, generation=2, locks=(read(project(9)),))
    old = (await claimed(ledger, old_event, replica="a")).claim
    new = (await claimed(other, new_event, replica="b", now=END)).claim
    before = await other.lookup(new_event.key), await other.subject(FIRST)

    assert list(await ledger.renew([old], now=END, until=END + 600)) == [LOST]
    assert await ledger.intend(old, "x", stamp=False, now=END) == LOST
    assert await ledger.record_step(old, "s", 1, now=END) == LOST
    with pytest.raises(LeaseLost):
        await ledger.finish(old_event.ending(SUCCEEDED, claim=old, now=END))
    await ledger.release(old, error="too late", waiting=None, now=END)
    await ledger.release(old, error=None, waiting=None, now=END)

    assert (await other.lookup(new_event.key), await other.subject(FIRST)) == before
    assert await other.steps(new_event.key) == []
    assert list(await other.renew([new], now=END, until=END + 90)) == [VALID]
    await other.finish(new_event.ending(SUCCEEDED, claim=new, now=END + 1))


async def test_a_claim_of_a_replaced_token_is_stale_on_the_same_replica(ledger: Ledger) -> None:
    event = Event(1)
    old = (await claimed(ledger, event)).claim
    new = (await claimed(ledger, event)).claim
    await ledger.release(old, error="x", waiting=None, now=NOW)
    assert list(await ledger.renew([old, new], now=NOW, until=END)) == [LOST, VALID]


async def test_nobody_ends_an_event_under_its_holder(ledger: Ledger, other: Ledger) -> None:
    event = Event(1)
    claim = (await claimed(ledger, event, replica="a")).claim
    with pytest.raises(LeaseLost):
        await other.finish(event.ending(FAILED))
    await ledger.finish(event.ending(SUCCEEDED, claim=claim))


async def test_an_event_whose_holder_is_gone_can_be_ended(ledger: Ledger) -> None:
    event = Event(1)
    await claimed(ledger, event)
    record = await ledger.finish(event.ending(FAILED, now=END))
    assert record.outcome == FAILED
    state = await ledger.subject(FIRST)
    assert state is not None
    assert state.held_by is None


# -- pre-emption -------------------------------------------------------------------------------------------------------


async def test_a_held_delete_pre_empts_an_older_holder(ledger: Ledger, other: Ledger) -> None:
    holder, delete = Event(1, generation=1), Event(2, generation=2, deletes=True)
    claim = (await claimed(ledger, holder, replica="a")).claim
    assert list(await ledger.renew([claim], now=NOW, until=END)) == [VALID]
    await other.admit(delete.admission())
    assert isinstance(await other.claim(delete.request(replica="b")), Held)

    marked = Renewal(valid=True, preempted_by=delete.key)
    assert list(await ledger.renew([claim], now=NOW, until=END)) == [marked]
    assert await ledger.intend(claim, "x", stamp=True, now=NOW) == marked
    assert await ledger.record_step(claim, "s", 1, now=NOW) == marked

    await ledger.release(claim, error=None, waiting=None, now=NOW)
    deleting = await claimed(other, delete, replica="b")
    assert list(await other.renew([deleting.claim], now=NOW, until=END)) == [VALID]


@pytest.mark.parametrize(
    ("holder", "rival"),
    [
        (Event(1, generation=1), Event(2, generation=2)),
        (Event(1, generation=3, facets=frozenset({"power"})), Event(2, generation=2, deletes=True)),
        (Event(1, generation=1, subject=project(5)), Event(2, generation=2, deletes=True, locks=(write(project(5)),))),
    ],
    ids=["no delete", "an older delete", "another subject"],
)
async def test_others_pre_empt_nobody(ledger: Ledger, holder: Event, rival: Event) -> None:
    claim = (await claimed(ledger, holder, replica="a")).claim
    await ledger.admit(rival.admission())
    assert isinstance(await ledger.claim(rival.request(replica="b")), Held)
    assert list(await ledger.renew([claim], now=NOW, until=END)) == [VALID]


# -- locks -------------------------------------------------------------------------------------------------------------

SHARED = project(7)


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ((read(SHARED),), (read(SHARED),), True),
        ((read(SHARED),), (write(SHARED),), False),
        ((write(SHARED),), (read(SHARED),), False),
        ((write(SHARED),), (write(SHARED),), False),
        ((read(SHARED), write(SHARED)), (read(SHARED),), False),
        ((write(SHARED), read(SHARED)), (read(SHARED),), False),
        ((read(SHARED),), (write(project(6)),), True),
    ],
)
async def test_readers_share_and_a_writer_excludes(
    ledger: Ledger, other: Ledger, first: tuple[Lock, ...], second: tuple[Lock, ...], *, both: bool
) -> None:
    holder, event = Event(1, subject=project(1), locks=first), Event(2, subject=project(2), locks=second)
    held = await claimed(ledger, holder, replica="a")
    await other.admit(event.admission())
    result = await other.claim(event.request(replica="b"))
    if both:
        assert isinstance(result, Claimed)
        return
    assert result == Held(holder.key, "a", str(SHARED), END)
    await ledger.release(held.claim, error=None, waiting=None, now=NOW)
    assert isinstance(await other.claim(event.request(replica="b")), Claimed)


@pytest.mark.parametrize("lock", [read(SHARED), write(SHARED)])
async def test_working_on_a_subject_is_writing_it(ledger: Ledger, lock: Lock) -> None:
    owner, visitor = Event(1, subject=SHARED), Event(2, subject=project(2), locks=(lock,))
    await claimed(ledger, owner)
    await ledger.admit(visitor.admission())
    assert await ledger.claim(visitor.request()) == Held(owner.key, "a", str(SHARED), END)

    await ledger.finish(owner.ending(FAILED, now=END))
    await claimed(ledger, visitor, now=END)
    following = Event(3, generation=2, subject=SHARED)
    await ledger.admit(following.admission())
    assert await ledger.claim(following.request(now=END)) == Held(visitor.key, "a", str(SHARED), END + LEASE_S)


async def test_a_read_lock_on_ones_own_subject_is_still_a_write_lock(ledger: Ledger) -> None:
    await claimed(ledger, Event(1, subject=project(2), locks=(read(SHARED),)))
    owner = Event(2, subject=SHARED, locks=(read(SHARED),))
    await ledger.admit(owner.admission())
    assert isinstance(await ledger.claim(owner.request()), Held)


async def test_locks_are_all_or_nothing(ledger: Ledger) -> None:
    await claimed(ledger, Event(1, subject=project(5)))
    greedy = Event(2, subject=project(2), locks=(write(project(4)), write(project(5))))
    await ledger.admit(greedy.admission())
    assert isinstance(await ledger.claim(greedy.request()), Held)
    await claimed(ledger, Event(3, subject=project(4)))
    await claimed(ledger, Event(4, subject=project(2)))


async def test_locks_live_as_long_as_the_lease(ledger: Ledger) -> None:
    holder = Event(1, subject=project(1), locks=(write(SHARED),))
    claim = (await claimed(ledger, holder)).claim
    await ledger.renew([claim], now=NOW + 50, until=NOW + 110)
    event = Event(2, subject=SHARED)
    await ledger.admit(event.admission())
    assert await ledger.claim(event.request(now=NOW + 109)) == Held(holder.key, "a", str(SHARED), NOW + 110)
    assert isinstance(await ledger.claim(event.request(now=NOW + 110)), Claimed)


async def test_locks_go_with_the_end(ledger: Ledger) -> None:
    await done(ledger, Event(1, subject=project(1), locks=(write(SHARED),)))
    await claimed(ledger, Event(2, subject=SHARED))


async def test_the_locks_of_an_attempt_that_crashed_are_not_in_its_own_way(ledger: Ledger) -> None:
    event = Event(1, subject=project(1), locks=(write(SHARED), write(project(1))))
    await claimed(ledger, event, replica="a")
    again = await claimed(ledger, event, replica="a")
    rival = Event(2, subject=project(2), locks=(read(SHARED),))
    await ledger.admit(rival.admission())
    assert isinstance(await ledger.claim(rival.request()), Held)
    await ledger.release(again.claim, error=None, waiting=None, now=NOW)
    assert isinstance(await ledger.claim(rival.request()), Claimed)


# -- cancellation ------------------------------------------------------------------------------------------------------


async def test_a_cancelled_claim_happens_wholly_or_not_at_all(ledger: Ledger) -> None:
    """Cancelled after one, two, ... turns of the event loop, with the store idle and busy."""
    for number in range(1, 41):
        subject, shared = project(100 + number), project(200 + number)
        event = Event(number, subject=subject, creates=True, names=(("project", f"p{number}"),), locks=(write(shared),))
        visitor = Event(1000 + number, subject=shared)
        await ledger.admit(event.admission())
        async with asyncio.TaskGroup() as group:
            if number % 2:
                group.create_task(ledger.admit(visitor.admission()))
                await asyncio.sleep(0)
            work = group.create_task(ledger.claim(event.request()))
            for _ in range(1 + number % 8):
                await asyncio.sleep(0)
            work.cancel()
        await ledger.admit(visitor.admission())  # done after whatever became of the claim
        await _happened_wholly_or_not_at_all(ledger, event, visitor)


async def _happened_wholly_or_not_at_all(ledger: Ledger, event: Event, visitor: Event) -> None:
    record, state = await ledger.lookup(event.key), await ledger.subject(event.subject)
    assert record is not None
    assert state is not None
    happened = record.attempts == 1
    assert state.token == int(happened)
    assert (state.held_by is not None) is happened
    assert state.facets == ({"spec": 1} if happened else {})
    assert state.names == (event.names if happened else ())
    assert isinstance(await ledger.claim(visitor.request()), Held if happened else Claimed)


async def test_a_cancelled_caller_spoils_nobody(ledger: Ledger) -> None:
    events = [Event(number, subject=project(number)) for number in range(1, 61)]
    work = [asyncio.ensure_future(ledger.admit(event.admission())) for event in events]
    await asyncio.sleep(0)
    for task in work[::3]:
        task.cancel()
    results = await asyncio.gather(*work, return_exceptions=True)
    for number, (event, result) in enumerate(zip(events, results, strict=True)):
        if number % 3:
            assert result == await ledger.lookup(event.key)
        else:
            assert isinstance(result, asyncio.CancelledError)
