"""Much at once: many locks, many leases, many reports, many replicas."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

import pytest

from agentd.core import LeaseLost, Lock, LockMode, Subject
from agentd.ledger import Claim, Claimed, Held, Ledger, Renewal
from tests.conformance.ledger.conftest import Open
from tests.conformance.ledger.rig import (
    FAILED,
    LEASE_S,
    NOW,
    SUCCEEDED,
    Event,
    claimed,
    done,
    project,
    read,
    waiting,
    write,
)

T = TypeVar("T")

MANY = 130
END = NOW + LEASE_S


def locked(number: int) -> Subject:
    """A subject to be locked."""
    return project(1000 + number)


def reader(number: int, *, first: int = 0, many: int = MANY) -> Event:
    """An event on a subject of its own, that reads many others."""
    return Event(number, subject=project(number), locks=tuple(read(locked(n)) for n in range(first, first + many)))


async def by_twenties(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, in order; twenty at a time, as a busy replica would."""
    left, results = iter(work), list[T]()
    while some := list(islice(left, 20)):
        results += await asyncio.gather(*some)
    return results


async def test_many_locks_are_held_as_few_are(ledger: Ledger, other: Ledger) -> None:
    held = await claimed(ledger, reader(1), replica="a")
    for n in (0, MANY // 2, MANY - 1):
        writer = Event(100 + n, subject=locked(n))
        await other.admit(writer.admission())
        assert await other.claim(writer.request(replica="b")) == Held(reader(1).key, "a", str(locked(n)), END)
    await claimed(other, reader(2), replica="b")
    await ledger.release(held.claim, error=None, waiting=None, now=NOW)
    assert await other.claim(writer.request(replica="b")) == Held(reader(2).key, "b", str(locked(MANY - 1)), END)
    assert isinstance(await other.claim(writer.request(replica="b", now=END)), Claimed)


async def test_a_readers_lock_outlives_that_of_the_next_reader(ledger: Ledger, other: Ledger) -> None:
    shared, writer = project(9), Event(9, subject=project(9))
    await other.admit(writer.admission())
    first = await claimed(ledger, Event(1, subject=project(1), locks=(read(shared),)))
    second = await claimed(other, Event(2, subject=project(2), locks=(read(shared),)), replica="b")
    await other.release(second.claim, error=None, waiting=None, now=NOW)
    assert await other.claim(writer.request(replica="b")) == Held(Event(1).key, "a", str(shared), END)
    await ledger.finish(replace(Event(1), subject=project(1)).ending(SUCCEEDED, claim=first.claim))
    assert isinstance(await other.claim(writer.request(replica="b")), Claimed)


async def test_a_lock_is_worth_what_its_lease_is(ledger: Ledger, other: Ledger) -> None:
    """Somebody whose clock runs ahead takes the lease for ended; whoever holds it renews it by another clock."""
    shared = project(9)
    reading = await claimed(ledger, Event(1, subject=project(1), locks=(read(shared),)))
    await done(other, Event(2, subject=shared), now=END)
    (renewal,) = await ledger.renew([reading.claim], now=END - 1, until=END + 90)
    assert renewal.valid
    late = Event(3, subject=shared, generation=2)
    await other.admit(late.admission())
    assert await other.claim(late.request(now=END)) == Held(Event(1).key, "a", str(shared), END + 90)


@pytest.mark.parametrize("place", [0, MANY - 1])
async def test_many_locks_are_all_or_nothing(ledger: Ledger, other: Ledger, place: int) -> None:
    holder = await claimed(other, Event(1, subject=locked(place)), replica="b")
    greedy = replace(reader(2), locks=tuple(write(locked(n)) for n in range(MANY)))
    obstacle = Held(Event(1).key, "b", str(locked(place)), END)
    request = replace(greedy.request(replica="a"), admission=greedy.admission())
    assert await ledger.claim(request) == obstacle
    record = await ledger.lookup(greedy.key)
    assert record is not None
    assert (record.attempts, record.waiting) == (0, None)
    for n in range(MANY):
        if n != place:
            await done(other, Event(200 + n, subject=locked(n)))
    await other.release(holder.claim, error=None, waiting=None, now=NOW)
    assert isinstance(await ledger.claim(request), Claimed)
    blocked = Event(3, subject=locked(place), generation=2)
    await other.admit(blocked.admission())
    assert await other.claim(blocked.request(replica="b")) == Held(greedy.key, "a", str(locked(place)), END)


async def test_what_goes_before_held_goes_before_many_locks(ledger: Ledger) -> None:
    await claimed(ledger, Event(1, subject=locked(3)), replica="b")
    await done(ledger, Event(2, subject=project(5), generation=2))
    old = replace(reader(5), generation=1)
    await ledger.admit(old.admission())
    assert not isinstance(await ledger.claim(old.request()), Held | Claimed), "it is superseded"


async def test_of_rivals_for_many_locks_one_wins_each_round(ledger: Ledger, other: Ledger) -> None:
    """Each locks everything that the others lock, so that they meet wherever they go."""
    everything = tuple(write(locked(n)) for n in range(MANY))
    events = [replace(reader(number), locks=everything) for number in range(1, 5)]
    for event in events:
        await ledger.admit(event.admission())
    now, left = NOW, list(events)
    while left:
        results = await asyncio.gather(
            *((ledger, other)[e.number % 2].claim(e.request(replica="ab"[e.number % 2], now=now)) for e in left)
        )
        won = [result for result in results if isinstance(result, Claimed)]
        assert len(won) <= 1
        assert all(isinstance(result, Held | Claimed) for result in results)
        for result in won:
            event = next(event for event in left if event.key == result.claim.key)
            left.remove(event)
            await ledger.finish(event.ending(SUCCEEDED, claim=result.claim, now=now))
        now += 1


async def test_many_leases_are_renewed_in_the_order_given(ledger: Ledger, other: Ledger) -> None:
    events = [Event(number, subject=project(number)) for number in range(1, 251)]
    results = await by_twenties(
        ledger.claim(replace(event.request(), epoch=None, admission=event.admission())) for event in events
    )
    claims = [result.claim for result in results if isinstance(result, Claimed)]
    assert len(claims) == len(events)
    await asyncio.gather(*(other.release(claim, error=None, waiting=None, now=NOW) for claim in claims[::7]))
    renewals = await ledger.renew(claims, now=NOW + 50, until=NOW + 110)
    assert list(renewals) == [Renewal(valid=number % 7 != 0) for number in range(len(claims))]
    assert list(await other.renew(claims, now=NOW + 109, until=NOW + 109)) == list(renewals)


async def test_many_reports_are_sent_at_once(ledger: Ledger, other: Ledger) -> None:
    events = [Event(number, subject=project(number)) for number in range(1, 251)]
    await by_twenties(ledger.finish(event.ending(FAILED)) for event in events)
    assert (await other.stats()).outbox == len(events)
    oldest = await other.outbox(20)
    assert len(oldest) == 20
    await other.sent([f"report-{number}-1" for number in range(1, 252)])
    assert await ledger.outbox(10) == []
    assert await ledger.purge(finished_before=NOW + 1) == len(events)
    assert (await other.stats()).finished_events == 0


# -- replicas at work together -----------------------------------------------------------------------------------------

SUBJECTS = 3
EVENTS = 40


@dataclass(slots=True)
class Books:
    """What all workers were told, in the order in which they were told it."""

    valid: dict[Subject, tuple[Claim, tuple[Lock, ...]]] = field(default_factory=dict)
    tokens: dict[Subject, list[int]] = field(default_factory=dict)
    sequences: dict[Subject, list[int]] = field(default_factory=dict)

    def take(self, event: Event, claimed: Claimed) -> None:
        """A worker was given a lease: nobody else may have one, or a lock, that excludes it. Nobody's lease ends by itself."""
        for subject, (claim, locks) in self.valid.items():
            assert subject != event.subject, (claim, claimed)
            assert not any(lock.subject == event.subject for lock in locks), (claim, claimed)
            assert not any(lock.subject == subject for lock in event.locks), (claim, claimed)
            assert not any(
                mine.subject == theirs.subject and LockMode.WRITE in (mine.mode, theirs.mode)
                for mine in event.locks
                for theirs in locks
            ), (claim, claimed)
        self.valid[event.subject] = (claimed.claim, event.locks)
        self.tokens.setdefault(event.subject, []).append(claimed.claim.token)
        self.sequences.setdefault(event.subject, []).append(claimed.sequence)

    def give(self, subject: Subject) -> None:
        """A worker is about to give its lease back."""
        del self.valid[subject]


async def work(ledger: Ledger, name: str, events: Sequence[Event], books: Books, dice: random.Random) -> None:
    """Bring all events to their end, whoever else is at it, failing now and then on the way."""
    left = list(events)
    while left:
        event = dice.choice(left)
        request = replace(event.request(replica=name, max_attempts=999), epoch=None, admission=event.admission())
        result = await ledger.claim(request)
        if isinstance(result, Claimed):
            books.take(event, result)
            await ledger.intend(result.claim, f"object of {event.number}", stamp=False, now=NOW)
            (renewal,) = await ledger.renew([result.claim], now=NOW, until=NOW + 2 * LEASE_S)
            assert renewal.valid
            books.give(event.subject)
            if dice.random() < 0.3:
                error = None if dice.random() < 0.5 else "throttled"
                await ledger.release(result.claim, error=error, waiting=waiting(), now=NOW)
                continue
            record = await ledger.finish(event.ending(SUCCEEDED, claim=result.claim))
            assert record.sequence is not None
            books.sequences[event.subject].append(record.sequence)
            await ledger.sent([f"report-{event.number}-1"])
        if not isinstance(result, Held):
            left.remove(event)


@pytest.mark.parametrize("seed", range(3))
async def test_replicas_at_work_together(replicas: Open, seed: int) -> None:
    dice, books = random.Random(seed), Books()
    events = [
        Event(
            number,
            subject=project(number % SUBJECTS),
            facets=frozenset(),
            locks=tuple(dice.choice((read, write))(project(n)) for n in (4, 5) if dice.random() < 0.3),
        )
        for number in range(1, EVENTS + 1)
    ]
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            own = random.Random(seed * 100 + number)
            group.create_task(work(await replicas(), f"replica-{number}", events, books, own))
    ledger = await replicas()
    stats = await ledger.stats()
    assert (stats.open_events, stats.finished_events, stats.outbox, stats.leases) == (0, EVENTS, 0, 0)
    assert stats.subjects == SUBJECTS
    for subject, tokens in books.tokens.items():
        assert tokens == sorted(set(tokens)), "a later lease has a larger token"
        sequences = Counter(books.sequences[subject])
        assert sorted(sequences) == list(range(1, sequences.total() + 1)), "no number is left out, and none comes twice"
    assert await ledger.purge(finished_before=NOW + 1) == EVENTS
    assert (await ledger.stats()).finished_events == 0


async def test_of_two_ends_at_once_one_is_recorded(ledger: Ledger, other: Ledger) -> None:
    for number in range(1, 11):
        event = Event(number, subject=project(number))
        attempt = await claimed(ledger, event)
        results = await asyncio.gather(
            ledger.finish(event.ending(SUCCEEDED, claim=attempt.claim)),
            other.finish(event.ending(FAILED, claim=attempt.claim)),
            other.release(attempt.claim, error="x", waiting=None, now=NOW),
            return_exceptions=True,
        )
        ends = [result for result in results[:2] if not isinstance(result, BaseException)]
        assert all(isinstance(result, LeaseLost) for result in results if isinstance(result, BaseException))
        record = await ledger.lookup(event.key)
        assert record is not None
        assert all(end == record for end in ends)
        assert len(await ledger.outbox(100)) == (await ledger.stats()).finished_events
