"""Any order of claims, renewals, releases, ends, redrives and lapses of time, against a model that fits on a page.

The model keeps every claim ever granted in a list and derives everything from it; it shares nothing with an adapter.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agentd.core import LeaseLost, Outcome, OutcomeKind
from agentd.ledger import (
    Claim,
    Claimed,
    ClaimResult,
    Conflict,
    Deleted,
    Exhausted,
    Finished,
    Foreseen,
    Held,
    Ledger,
    Missing,
    Record,
    Superseded,
)
from tests.conformance.ledger.conftest import Open
from tests.conformance.ledger.rig import BOTH, FAILED, LEASE_S, NOW, SPEC, SUCCEEDED, Event, project

T = TypeVar("T")
EXAMPLES = 80
MAX_ATTEMPTS = 3
POWER = frozenset({"power"})

KINDS: dict[str, dict[str, Any]] = {  # keyword arguments of Event
    "update": {"facets": SPEC},
    "power": {"facets": POWER},
    "follow": {"facets": POWER, "requires": SPEC},
    "create": {"facets": BOTH, "creates": True},
    "delete": {"facets": SPEC, "deletes": True},
    "command": {"facets": frozenset()},
}


@dataclass(slots=True)
class Life:
    """An event as the model knows it."""

    event: Event
    epoch: int = 1
    attempts: int = 0
    outcome: OutcomeKind | None = None
    record: Record | None = None
    token: int = 0
    journal: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Lease:
    """Who works on a subject."""

    life: Life
    claim: Claim
    until: float


@dataclass(slots=True, eq=False)
class Model:
    """One subject."""

    lives: list[Life] = field(default_factory=list)
    granted: list[Event] = field(default_factory=list)
    wanted: dict[str, int] = field(default_factory=dict)
    tombstone: int | None = None
    token: int = 0
    lease: Lease | None = None

    def standing(self, facet: str) -> Event | None:
        """The newest event that has been granted a facet; a delete is granted all."""
        holders = [event for event in self.granted if facet in event.facets or event.deletes]
        return max(holders, key=lambda event: event.generation, default=None)

    def known_facets(self) -> frozenset[str]:
        """Facets that have been granted."""
        return frozenset[str]().union(*(event.facets for event in self.granted))

    def expects(self, life: Life, replica: str, now: float) -> type[ClaimResult]:
        """The answer to a claim."""
        event = life.event
        standing = [self.standing(facet) for facet in event.facets]
        rivals = [self.standing(facet) for facet in self.known_facets()] if event.deletes else standing
        lifts = event.creates and event.generation > (self.tombstone or 0)
        if life.outcome is not None:
            return Finished
        if standing and all(other and other.generation > event.generation for other in standing):
            return Superseded
        if any(other and other.generation == event.generation and other.id != event.id for other in rivals):
            return Conflict
        if self.tombstone is not None and not lifts:
            return Deleted
        return self.expects_of_the_moment(life, replica, now)

    def expects_of_the_moment(self, life: Life, replica: str, now: float) -> type[ClaimResult]:
        """The answer to a claim that generations do not forbid for good."""
        if life.event.requires - self.wanted.keys():
            return Missing
        if self.held_by_other(life, replica, now):
            return Held
        return Exhausted if life.attempts >= MAX_ATTEMPTS else Claimed

    def held_by_other(self, life: Life, replica: str, now: float) -> bool:
        """Whether somebody else works on the subject."""
        lease = self.lease
        return lease is not None and lease.until > now and (lease.life, lease.claim.replica) != (life, replica)

    def want(self, event: Event) -> None:
        """What is desired from now on, and since which generation."""
        if event.creates and self.tombstone is not None:
            self.forget(event.generation)
            self.tombstone = None
        for facet in event.facets & self.wanted.keys() if event.deletes else event.facets:
            standing = self.standing(facet)
            if standing is None or standing.generation <= event.generation:
                self.wanted[facet] = event.generation

    def forget(self, generation: int) -> None:
        """Nothing so old is desired any more."""
        self.wanted = {facet: since for facet, since in self.wanted.items() if since > generation}

    def holds(self, claim: Claim, now: float) -> bool:
        """Whether a claim's lease is valid."""
        return self.lease is not None and self.lease.claim == claim and self.lease.until > now


class Machine(RuleBasedStateMachine):
    """Two subjects, three replicas, one clock."""

    def __init__(self, runner: asyncio.Runner, ledger: Ledger, numbers: Iterator[int]) -> None:
        super().__init__()
        self.runner = runner
        self.ledger = ledger
        self.numbers = numbers
        self.now = NOW
        self.subjects: list[tuple[Any, Model]] = []
        self.claims: list[tuple[Model, Claim]] = []
        self.touched: list[Model] = []

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one operation to its end."""
        return self.runner.run(work)

    def some_life(self, choice: int) -> tuple[Model, Life]:
        """One of all events."""
        lives = [(model, life) for _, model in self.subjects for life in model.lives]
        model, life = lives[choice % len(lives)]
        self.touched = [model]
        return model, life

    def some_claim(self, choice: int) -> tuple[Model, Claim]:
        """One of all claims that were granted."""
        model, claim = self.claims[-1 - choice % len(self.claims)]
        self.touched = [model]
        return model, claim

    @initialize()
    def begin(self) -> None:
        """Subjects that no other example has used."""
        self.subjects = [(project(next(self.numbers)), Model()) for _ in range(2)]
        for which in range(2):
            self.admit(which, 1, "create")

    @rule(which=st.integers(0, 1), generation=st.integers(1, 5), kind=st.sampled_from(sorted(KINDS)))
    def admit(self, which: int, generation: int, kind: str) -> None:
        """A new event."""
        subject, model = self.subjects[which]
        self.touched = [model]
        event = Event(next(self.numbers), generation=generation, subject=subject, desired=kind, **KINDS[kind])
        self.do(self.ledger.admit(event.admission(now=self.now)))
        model.lives.append(Life(event))

    @rule(choice=st.integers(0, 1000), replica=st.sampled_from("abc"), lease_s=st.sampled_from([1.0, LEASE_S]))
    def claim(self, choice: int, replica: str, lease_s: float) -> None:
        """A replica wants to work on an event."""
        model, life = self.some_life(choice)
        expected = model.expects(life, replica, self.now)
        request = life.event.request(
            replica=replica, epoch=life.epoch, now=self.now, until=self.now + lease_s, max_attempts=MAX_ATTEMPTS
        )
        foreseen = self.do(self.ledger.foresee(request))
        result = self.do(self.ledger.claim(request))
        assert type(result) is expected, result
        if not isinstance(result, (Finished, Held, Exhausted)):
            shown = Foreseen(result.generation, result.desired) if isinstance(result, Claimed) else result
            assert foreseen == shown, "a plan is made of what the claim would give"
        if isinstance(result, Claimed):
            assert result.journal == (life.journal if life.token == model.token else {})
            model.token += 1
            life.attempts += 1
            life.token, life.journal = model.token, dict(result.journal)
            assert (result.claim.token, result.attempt) == (model.token, life.attempts)
            model.lease = Lease(life, result.claim, self.now + lease_s)
            model.want(life.event)
            model.granted.append(life.event)
            self.claims.append((model, result.claim))

    @precondition(lambda self: self.claims)
    @rule(choice=st.integers(0, 1000), stamp=st.booleans())
    def intend(self, choice: int, stamp: bool) -> None:
        """Some holder, of now or of long ago, is about to write."""
        model, claim = self.some_claim(choice)
        renewal = self.do(self.ledger.intend(claim, "obj", stamp=stamp, now=self.now))
        assert renewal.valid is model.holds(claim, self.now)

    @precondition(lambda self: self.claims)
    @rule(choice=st.integers(0, 1000), step=st.sampled_from("xyz"), result=st.integers(0, 9))
    def record_step(self, choice: int, step: str, result: int) -> None:
        """Some holder has done a step."""
        model, claim = self.some_claim(choice)
        renewal = self.do(self.ledger.record_step(claim, step, result, now=self.now))
        assert renewal.valid is model.holds(claim, self.now)
        if renewal.valid and model.lease is not None:
            model.lease.life.journal[step] = result

    @precondition(lambda self: self.claims)
    @rule(choice=st.integers(0, 1000))
    def renew(self, choice: int) -> None:
        """Some holder asks for more time."""
        model, claim = self.some_claim(choice)
        (renewal,) = self.do(self.ledger.renew([claim], now=self.now, until=self.now + LEASE_S))
        assert renewal.valid is model.holds(claim, self.now)
        if renewal.valid and model.lease is not None:
            model.lease.until = max(model.lease.until, self.now + LEASE_S)

    @precondition(lambda self: self.claims)
    @rule(choice=st.integers(0, 1000), error=st.sampled_from([None, "throttled"]))
    def release(self, choice: int, error: str | None) -> None:
        """Some holder gives up."""
        model, claim = self.some_claim(choice)
        self.do(self.ledger.release(claim, error=error, waiting=None, now=self.now))
        if model.lease is not None and model.lease.claim == claim:
            model.lease.life.attempts -= 0 if error else 1
            model.lease = None

    @precondition(lambda self: self.claims)
    @rule(choice=st.integers(0, 1000), outcome=st.sampled_from([SUCCEEDED, FAILED]))
    def finish(self, choice: int, outcome: Outcome) -> None:
        """Some holder says that it is done."""
        model, claim = self.some_claim(choice)
        life = next(life for life in model.lives if life.event.key == claim.key)
        ending = life.event.ending(outcome, claim=claim, epoch=claim.epoch, now=self.now)
        try:
            record = self.do(self.ledger.finish(ending))
        except LeaseLost:
            assert not model.holds(claim, self.now)
            assert (life.outcome, life.epoch) == (None, claim.epoch)
            return
        if life.outcome is None and life.epoch == claim.epoch:
            assert model.holds(claim, self.now)
            life.outcome, life.record, model.lease = outcome.kind, record, None
            if life.event.deletes and outcome is SUCCEEDED:
                model.tombstone = life.event.generation
                model.forget(life.event.generation)

    @rule(choice=st.integers(0, 1000))
    def reopen(self, choice: int) -> None:
        """Somebody wants an event to be tried again."""
        _, life = self.some_life(choice)
        record = self.do(self.ledger.reopen(life.event.key, epoch=life.epoch, now=self.now))
        if life.outcome is OutcomeKind.FAILED:
            life.epoch, life.attempts, life.outcome, life.record = life.epoch + 1, 0, None, None
            life.journal = {}
        assert record.epoch == life.epoch

    @rule(seconds=st.sampled_from([0.5, 1.0, LEASE_S]))
    def advance(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds
        self.touched = []

    def teardown(self) -> None:
        """What no rule touched has not changed either."""
        self.touched = [model for _, model in self.subjects]
        self.generations_and_tombstones_are_right()
        self.the_finished_never_changes()

    @invariant()
    def at_most_one_valid_lease(self) -> None:
        """I3: counted over every claim that was ever granted; a renewal until nought changes nothing."""
        renewals = self.do(self.ledger.renew([claim for _, claim in self.claims], now=self.now, until=0.0))
        valid = [claim.subject for (_, claim), renewal in zip(self.claims, renewals, strict=True) if renewal.valid]
        assert len(valid) == len(set(valid))

    @invariant()
    def generations_and_tombstones_are_right(self) -> None:
        """I3 and I5: what is claimed is the newest of all that was granted."""
        for subject, model in self.subjects:
            if model not in self.touched:
                continue
            state = self.do(self.ledger.subject(subject))
            assert state is not None
            standing = {facet: model.standing(facet) for facet in model.known_facets()}
            assert state.facets == {facet: event.generation for facet, event in standing.items() if event}
            assert (state.tombstone, state.token) == (model.tombstone, model.token)

    @invariant()
    def the_finished_never_changes(self) -> None:
        """An outcome is for ever, until a redrive opens the next epoch."""
        for model in self.touched:
            for life in model.lives:
                if life.record is not None:
                    assert self.do(self.ledger.lookup(life.event.key)) == life.record


def test_any_order_of_operations(open_store: Open) -> None:
    numbers = count(1)
    with asyncio.Runner() as runner:
        ledger = runner.run(open_store())

        class OnThisLedger(Machine):
            def __init__(self) -> None:
                super().__init__(runner, ledger, numbers)

        try:
            run_state_machine_as_test(
                OnThisLedger,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=40,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
        finally:
            runner.run(ledger.close())
