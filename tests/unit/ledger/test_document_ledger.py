"""The ledger over a store of documents: races, lost answers, what is left behind, and what an operation costs."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agentd.core import Outcome, OutcomeKind, PermanentError, Reason, Runtime, TransientError, system_runtime
from agentd.ledger import Claimed, Held
from agentd.ledger.documents import (
    Change,
    Conflicted,
    DocumentLedger,
    Expected,
    Place,
    Stored,
    StoreLimits,
)
from tests.conformance.ledger.memory_store import Memory, MemoryStore
from tests.conformance.ledger.rig import (
    FAILED,
    LEASE_S,
    NOW,
    SUCCEEDED,
    Event,
    claimed,
    done,
    noise,
    project,
    read,
    whats,
    write,
)

Interruption = Callable[[], Awaitable[Any]]  # whose answer nobody asks for


@dataclass(slots=True, eq=False)
class Troubled:
    """A store whose network loses answers, and before whose writes something else happens."""

    store: MemoryStore
    lost: int = 0
    """Of so many writes the answer is lost: they are carried out, and nobody hears of it."""
    repeated: bool = False
    """The SDK repeats every write once more, as if its answer had been lost."""
    before_write: list[Interruption] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    @property
    def limits(self) -> StoreLimits:
        """See the port."""
        return self.store.limits

    async def get(self, places: Collection[Place]) -> Mapping[Place, Stored]:
        """See the port."""
        self.calls.append("get")
        return await self.store.get(places)

    async def range(
        self, partition: str, *, first: str = "", before: str | None = None, limit: int | None = None
    ) -> Sequence[Stored]:
        """See the port."""
        self.calls.append("range")
        return await self.store.range(partition, first=first, before=before, limit=limit)

    async def write(self, changes: Sequence[Change], write_id: str) -> None:
        """See the port."""
        self.calls.append(f"write {len(changes)}")
        if self.before_write:
            await self.before_write.pop(0)()
        await self.store.write(changes, write_id)
        if self.repeated:
            await self.store.write(changes, write_id)
        if self.lost:
            self.lost -= 1
            raise TransientError(Reason.UNAVAILABLE, "no answer in time")

    async def close(self) -> None:
        """See the port."""


@dataclass(slots=True, eq=False)
class Pair:
    """Two replicas on one store; the first one's network is troubled."""

    memory: Memory
    network: Troubled
    ledger: DocumentLedger
    other: DocumentLedger


async def opened(store: MemoryStore | Troubled, *, read_only: bool = False) -> DocumentLedger:
    """A replica."""
    runtime = system_runtime()
    return await DocumentLedger.open(
        store, runtime, lambda _operation, _result, _seconds: None, operation_timeout_s=10, read_only=read_only
    )


@pytest.fixture
async def pair() -> Pair:
    """Two replicas on an empty store."""
    memory = Memory()
    network = Troubled(MemoryStore(memory))
    return Pair(memory, network, await opened(network), await opened(MemoryStore(memory)))


# -- races -------------------------------------------------------------------------------------------------------------


async def test_what_was_read_and_has_changed_is_read_again(pair: Pair) -> None:
    event, rival = Event(1, generation=1), Event(2, generation=2)
    await pair.ledger.admit(event.admission())
    pair.network.before_write.append(lambda: claimed(pair.other, rival, replica="b"))
    result = await pair.ledger.claim(event.request(replica="a"))
    assert not isinstance(result, Claimed)
    assert await whats(pair.ledger, event) == ["admitted"]


async def test_a_record_that_is_being_reopened_is_not_forgotten(pair: Pair) -> None:
    event = Event(1)
    await done(pair.ledger, event, FAILED)
    await pair.ledger.sent(["report-1-1"])
    pair.network.before_write.append(lambda: pair.other.reopen(event.key, epoch=1, now=NOW))
    assert await pair.ledger.purge(finished_before=NOW + 1) == 0
    attempt = await claimed(pair.other, event, epoch=2)
    record = await pair.ledger.finish(event.ending(SUCCEEDED, claim=attempt.claim, epoch=2))
    assert record == await pair.other.lookup(event.key)
    assert (await pair.ledger.stats()).finished_events == 1


async def test_a_record_whose_report_is_being_repeated_is_not_forgotten(pair: Pair) -> None:
    event = Event(1)
    record = await done(pair.ledger, event)
    await pair.ledger.sent(["report-1-1"])
    pair.network.before_write.append(lambda: pair.other.repeat_report(event.key, now=NOW))
    assert await pair.ledger.purge(finished_before=NOW + 1) == 0
    assert [entry.record for entry in await pair.ledger.outbox(10)] == [record]


async def test_a_report_of_what_is_being_forgotten_is_not_repeated(pair: Pair) -> None:
    event = Event(1)
    await done(pair.other, event)
    await pair.other.sent(["report-1-1"])
    pair.network.before_write.append(lambda: pair.other.purge(finished_before=NOW + 1))
    await pair.ledger.repeat_report(event.key, now=NOW)
    assert await pair.ledger.outbox(10) == []


async def test_what_is_being_forgotten_is_not_reopened(pair: Pair) -> None:
    event = Event(1)
    await done(pair.other, event, FAILED)
    await pair.other.sent(["report-1-1"])
    pair.network.before_write.append(lambda: pair.other.purge(finished_before=NOW + 1))
    with pytest.raises(PermanentError, match="never been admitted"):
        await pair.ledger.reopen(event.key, epoch=1, now=NOW)
    assert (await pair.ledger.stats()).open_events == 0


async def test_a_desired_state_is_never_that_of_another_generation(pair: Pair) -> None:
    """A command is told what is desired: in the middle of its reads an update claims, changes it, and ends."""
    await done(pair.other, Event(1, generation=1, desired="first"))

    class Slow(MemoryStore):
        async def get(self, places: Collection[Place]) -> Mapping[Place, Stored]:
            desired = [place for place in places if place.name == "desired"]
            found = await super().get(desired)
            if desired and updates:
                await updates.pop()()
            return {**found, **await super().get([place for place in places if place not in desired])}

    updates: list[Interruption] = [lambda: done(pair.other, Event(2, generation=2, desired="second"))]
    slow = await opened(Slow(pair.memory))
    command = await claimed(slow, Event(3, generation=2, facets=frozenset()))
    assert (command.generation, command.desired) == (2, {"spec": "second"})
    updates.append(lambda: done(pair.other, Event(4, generation=4, desired="fourth"), now=NOW + LEASE_S))
    state = await slow.subject(project(1))
    assert state is not None
    assert (state.facets, state.desired) == ({"spec": 4}, {"spec": "fourth"})


async def test_an_event_is_not_given_up_while_its_last_attempt_begins(pair: Pair) -> None:
    """Another replica claims it for the last time in the middle of the reads of who finds it at the end of its attempts."""
    event = Event(1)
    await pair.other.admit(event.admission())

    class Slow(MemoryStore):
        async def get(self, places: Collection[Place]) -> Mapping[Place, Stored]:
            subject = [place for place in places if place.name == "entry"]
            found = await super().get(subject)
            if subject and last:
                await last.pop()()
            return {**found, **await super().get([place for place in places if place not in subject])}

    last: list[Interruption] = [lambda: claimed(pair.other, event, replica="b", max_attempts=1)]
    slow = await opened(Slow(pair.memory))
    result = await slow.claim(event.request(replica="a", max_attempts=1))
    assert result == Held(event.key, "b", str(event.subject), NOW + LEASE_S)


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.parametrize("behind", ["admitted", "open"])
async def test_a_record_is_never_seen_between_two_states(
    pair: Pair, behind: str, *, forgotten: bool, epochs: int
) -> None:
    """It ends, and may be forgotten at once, between two of the reads of who looks it up."""
    event = Event(1)
    if epochs > 1:
        await done(pair.other, event, FAILED)
        await pair.other.reopen(event.key, epoch=1, now=NOW)
    attempt = await claimed(pair.other, event, epoch=epochs)

    async def end() -> None:
        await pair.other.finish(event.ending(SUCCEEDED, claim=attempt.claim, epoch=epochs))
        if forgotten:
            await pair.other.sent([entry.report_id for entry in await pair.other.outbox(10)])
            assert await pair.other.purge(finished_before=NOW + 1) == 1

    class Slow(MemoryStore):
        async def get(self, places: Collection[Place]) -> Mapping[Place, Stored]:
            first = [place for place in places if behind in (place.name, place.partition.partition("/")[0])]
            found = await super().get(first)
            if first and ends:
                await ends.pop()()
            return {**found, **await super().get([place for place in places if place not in first])}

    slow, ends = await opened(Slow(pair.memory)), [end]
    record = await slow.lookup(event.key)
    assert not ends
    if behind == "open":
        assert record is None if forgotten else record is not None
    now = await pair.other.lookup(event.key)
    assert record in (now, attempt.record), "as it was at some moment"


async def test_a_claim_with_many_locks_takes_several_writes(pair: Pair) -> None:
    many = replace(Event(1), locks=tuple(read(project(100 + n)) for n in range(100)))
    await pair.ledger.admit(many.admission())
    pair.network.calls.clear()
    assert isinstance(await pair.ledger.claim(many.request()), Claimed)
    writes = [call for call in pair.network.calls if call.startswith("write")]
    assert writes == ["write 1", "write 40", "write 40", "write 20", "write 3"]


@pytest.mark.parametrize(
    "rival",
    [
        Event(4, subject=project(250)),
        Event(4, subject=project(4), locks=(read(project(250)),)),
        Event(4, subject=project(4), locks=tuple(read(project(200 + n)) for n in range(50, 110))),
    ],
    ids=["it is one's subject", "it is one's lock", "it is one of many locks"],
)
async def test_who_is_about_to_lock_many_is_overtaken(pair: Pair, rival: Event) -> None:
    """Between the many locks and the lease that makes them good, somebody else comes to one of the subjects."""
    many = replace(Event(3), subject=project(3), locks=tuple(write(project(200 + n)) for n in range(100)))
    await pair.ledger.admit(many.admission())

    async def nothing() -> None:
        pass

    pair.network.before_write += [nothing] * 4 + [lambda: claimed(pair.other, rival, replica="b")]
    result = await pair.ledger.claim(many.request(replica="a"))
    assert result == Held(rival.key, "b", str(project(250)), NOW + LEASE_S)
    record = await pair.ledger.lookup(many.key)
    assert record is not None
    assert record.attempts == 0
    await claimed(pair.other, Event(5, subject=project(201)), replica="b")


async def test_locks_that_are_worth_nothing_any_more_are_dropped(pair: Pair) -> None:
    shared = project(9)
    for number in range(1, 31):
        await done(pair.ledger, Event(number, subject=project(100 + number), locks=(read(shared),)))
    entry = pair.memory.stored[Place(f"subject/{shared}", "entry")]
    assert len(entry.body) < 250


# -- answers that were lost --------------------------------------------------------------------------------------------


async def test_a_write_that_is_repeated_because_its_answer_was_lost_counts_once(pair: Pair) -> None:
    pair.network.repeated = True
    event = Event(1, creates=True, names=(("project", "alpha"),), desired="x", locks=(read(project(7)),))
    result = await pair.ledger.claim(replace(event.request(), epoch=None, admission=event.admission()))
    assert isinstance(result, Claimed)
    assert (result.attempt, result.claim.token, result.sequence) == (1, 1, 1)
    assert (await pair.ledger.renew([result.claim], now=NOW, until=NOW + 90))[0].valid
    assert (await pair.ledger.record_step(result.claim, "s", 1, now=NOW)).valid
    record = await pair.ledger.finish(event.ending(FAILED, claim=result.claim))
    assert record.sequence == 2
    await pair.ledger.sent(["report-1-1"])
    reopened = await pair.ledger.reopen(event.key, epoch=1, now=NOW)
    assert reopened.epoch == 2
    assert await whats(pair.ledger, event) == ["admitted", "claimed", "finished", "redriven"]
    assert await pair.ledger.set_variable("x", 1, version=None)
    stats = await pair.ledger.stats()
    assert (stats.finished_events, stats.subjects, stats.open_events) == (0, 1, 1)
    await pair.ledger.finish(event.ending(SUCCEEDED, epoch=2))
    await pair.ledger.sent(["report-1-2"])
    assert await pair.ledger.purge(finished_before=NOW + 1) in (0, 1)
    assert await pair.ledger.lookup(event.key) is None
    assert (await pair.ledger.stats()).finished_events == 0


async def test_a_lost_answer_is_an_error_and_the_next_try_goes_on(pair: Pair) -> None:
    event = Event(1)
    pair.network.lost = 1
    with pytest.raises(TransientError, match="no answer"):
        await pair.ledger.admit(event.admission())
    assert (await pair.ledger.admit(event.admission())).attempts == 0
    attempt = await claimed(pair.ledger, event)
    pair.network.lost = 1
    with pytest.raises(TransientError):
        await pair.ledger.finish(event.ending(SUCCEEDED, claim=attempt.claim))
    record = await pair.ledger.finish(event.ending(SUCCEEDED, claim=attempt.claim))
    assert record.outcome == SUCCEEDED
    assert len(await pair.ledger.outbox(10)) == 1


async def test_who_is_always_too_late_is_told_in_the_end(pair: Pair) -> None:
    class Unlucky(MemoryStore):
        async def write(self, changes: Sequence[Change], write_id: str) -> None:
            if any(change.expected is not Expected.ANYTHING for change in changes):
                raise Conflicted
            await super().write(changes, write_id)

    class Hasty(Runtime):
        async def sleep(self, seconds: float) -> None:
            assert 0 <= seconds <= 0.5

    runtime = Hasty(wall=lambda: NOW, random=random.Random(1))
    unlucky = await DocumentLedger.open(
        Unlucky(pair.memory), runtime, lambda _operation, _result, _seconds: None, operation_timeout_s=10
    )
    with pytest.raises(TransientError, match="others were faster"):
        await unlucky.admit(Event(1).admission())
    assert await pair.ledger.lookup(Event(1).key) is None


# -- what is left behind -----------------------------------------------------------------------------------------------


async def test_nothing_is_left_of_what_is_forgotten(pair: Pair) -> None:
    before = set(pair.memory.stored)
    large = noise(200_000)
    for number in range(1, 4):
        event = Event(number, subject=project(1), generation=number, desired=large[number:])
        request = replace(event.request(), admission=replace(event.admission(), event=large), epoch=None)
        for epoch in (1, 2):
            result = await pair.ledger.claim(request)
            assert isinstance(result, Claimed)
            await pair.ledger.record_step(result.claim, "s", large, now=NOW)
            outcome = Outcome(OutcomeKind.FAILED, reason=Reason.WAITING, message=large)
            await pair.other.finish(event.ending(outcome, claim=result.claim, epoch=epoch))
            if epoch == 1:
                await pair.ledger.reopen(event.key, epoch=1, now=NOW)
    await done(pair.ledger, Event(9, subject=project(1), generation=9, deletes=True))
    assert any(place.partition.startswith("part/") for place in pair.memory.stored)
    await pair.ledger.sent([entry.report_id for entry in await pair.ledger.outbox(100)])
    assert await pair.other.purge(finished_before=NOW + 1) == 4
    after = {place for place in pair.memory.stored if not place.partition.startswith("count/")}
    assert after - before == {Place(f"subject/{project(1)}", "entry")}


async def test_parts_of_a_write_that_came_too_late_are_removed(pair: Pair) -> None:
    event = Event(1, desired=noise(100_000))
    await pair.ledger.admit(event.admission())

    async def rival() -> None:
        await done(pair.other, Event(2, generation=9, desired="small"))

    async def nothing() -> None:
        pass

    pair.network.before_write += [nothing, rival]
    assert not isinstance(await pair.ledger.claim(event.request()), Claimed)
    assert not [place for place in pair.memory.stored if place.partition.startswith("part/")]


# -- what an operation costs -------------------------------------------------------------------------------------------


async def test_an_ordinary_event_takes_three_writes(pair: Pair) -> None:
    await done(pair.other, Event(1, generation=1, desired={"a": 0}))
    event, calls = Event(2, generation=2, desired={"a": 1}), pair.network.calls
    calls.clear()
    result = await pair.ledger.claim(replace(event.request(), epoch=None, admission=event.admission()))
    assert isinstance(result, Claimed)
    assert calls == ["get", "write 5"]
    calls.clear()
    await pair.ledger.intend(result.claim, "x", stamp=False, now=NOW)
    await pair.ledger.intend(result.claim, "x", stamp=False, now=NOW)
    assert calls == ["get", "write 1", "get"]
    calls.clear()
    await pair.ledger.renew([result.claim], now=NOW, until=NOW + 90)
    assert calls == ["get", "write 1"]
    calls.clear()
    await pair.ledger.finish(event.ending(SUCCEEDED, claim=result.claim))
    assert calls == ["get", "write 6"]
    calls.clear()
    await pair.ledger.sent(["report-2-1"])
    assert calls == ["write 1"]


async def test_looking_at_everything_does_not_read_everything(pair: Pair) -> None:
    for number in range(1, 60):
        await done(pair.other, Event(number, subject=project(number)))
    await pair.other.sent([f"report-{number}-1" for number in range(1, 60)])
    pair.network.calls.clear()
    stats = await pair.ledger.stats()
    assert (stats.finished_events, stats.subjects, stats.outbox) == (59, 59, 0)
    assert await pair.ledger.purge(finished_before=NOW) == 0
    shards = pair.network.limits.shards
    assert pair.network.calls == ["range"] * 4 * shards


# -- opening -----------------------------------------------------------------------------------------------------------


async def test_a_store_of_another_layout_is_refused(pair: Pair) -> None:
    class Wider(MemoryStore):
        @property
        def limits(self) -> StoreLimits:
            return StoreLimits(changes=100, body_bytes=1000, shards=5)

    with pytest.raises(PermanentError, match="laid out") as caught:
        await opened(Wider(pair.memory))
    assert caught.value.reason is Reason.UNSUPPORTED


async def test_a_ledger_opened_to_be_read_writes_nothing(pair: Pair) -> None:
    empty = Memory()
    reader = await opened(MemoryStore(empty), read_only=True)
    assert await reader.lookup("event/none") is None
    assert empty.stored == {}
    record = await done(pair.ledger, Event(1))
    reader = await opened(MemoryStore(pair.memory), read_only=True)
    assert await reader.lookup(record.key) == record
    for refused in (
        reader.admit(Event(2).admission()),
        reader.claim(Event(1).request()),
        reader.claim(replace(Event(1), locks=tuple(read(project(n)) for n in range(100))).request()),
        reader.purge(finished_before=NOW),
        reader.set_variable("x", 1, version=None),
    ):
        with pytest.raises(PermanentError, match="opened to be read"):
            await refused


async def test_every_operation_is_told_with_its_result(pair: Pair) -> None:
    told: list[tuple[str, str]] = []
    runtime = system_runtime()
    network = Troubled(MemoryStore(pair.memory))
    ledger = await DocumentLedger.open(
        network,
        runtime,
        lambda operation, result, seconds: told.append((operation, result)) if seconds >= 0 else None,
        operation_timeout_s=10,
    )
    network.lost = 1
    with pytest.raises(TransientError):
        await ledger.admit(Event(1).admission())
    await ledger.lookup(Event(1).key)
    assert told == [("open", "ok"), ("admit", "error"), ("lookup", "ok")]


async def test_a_store_that_does_not_answer_is_unavailable() -> None:
    class Silent(MemoryStore):
        async def get(self, places: Collection[Place]) -> Mapping[Place, Stored]:
            if all(place.partition != "layout" for place in places):
                await asyncio.Event().wait()
            return await super().get(places)

    ledger = await DocumentLedger.open(
        Silent(Memory()), system_runtime(), lambda _operation, _result, _seconds: None, operation_timeout_s=0.05
    )
    with pytest.raises(TransientError, match=r"lookup got no answer in 0\.05 s"):
        await ledger.lookup("event/none")


async def test_an_operation_that_does_not_end_when_its_time_is_over_is_told() -> None:
    class Deaf(MemoryStore):
        async def get(self, places: Collection[Place]) -> Mapping[Place, Stored]:
            if any(place.partition != "layout" for place in places):
                while not going_on.is_set():
                    try:
                        await going_on.wait()
                    except asyncio.CancelledError:
                        over.set()
            return await super().get(places)

    class Ahead(Runtime):
        def monotonic(self) -> float:
            return super().monotonic() + lead_s

    lead_s, going_on, over = 0.0, asyncio.Event(), asyncio.Event()
    ledger = await DocumentLedger.open(
        Deaf(Memory()),
        Ahead(wall=lambda: NOW, random=random.Random(1)),
        lambda _operation, _result, _seconds: None,
        operation_timeout_s=0.01,
    )
    hanging = asyncio.ensure_future(ledger.lookup("event/none"))
    await over.wait()
    assert ledger.check() is None
    lead_s = 6.0
    assert ledger.check() == "lookup has taken 6 s (allowed: 5.01 s): it does not end"
    going_on.set()
    assert await hanging is None
    assert ledger.check() is None
