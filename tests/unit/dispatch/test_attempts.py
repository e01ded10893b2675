"""How attempts go wrong, and what follows: in place, by a later delivery, or for good."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agentd.core import (
    Context,
    DeadLetter,
    Defer,
    Delete,
    Handler,
    LeaseLost,
    NotReady,
    Outcome,
    OutcomeKind,
    PermanentError,
    Reason,
    Retry,
    RetryPolicy,
    TransientError,
    handler,
)
from agentd.events import ProjectCreate
from tests.unit.dispatch.events import create, delivery, key, when
from tests.unit.dispatch.world import World
from tests.virtual_time import START, about

TYPE = ProjectCreate.type
QUICK = RetryPolicy(max_attempts=3, base_s=2, cap_s=300)


class Faults:
    """Raises what it was given, one at each call; then works. Remembers when it was called."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.at: list[float] = []

    async def __call__(self) -> str:
        self.at.append(asyncio.get_running_loop().time())
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def creating(work: Callable[[], Awaitable[object]], *, timeout_s: float = 600, retry: RetryPolicy = QUICK) -> Handler:
    """A handler with one step."""

    @handler(ProjectCreate, steps=("work",), timeout_s=timeout_s, retry=retry)
    async def run(ctx: Context, _data: ProjectCreate) -> None:
        await ctx.step("work", work)

    return run


def throttled(retry_after: float | None = None) -> TransientError:
    """A passing fault."""
    return TransientError(Reason.THROTTLED, "ECR says slow down", retry_after=retry_after)


async def test_a_passing_fault_is_retried_in_place_and_costs_no_attempt(world: World) -> None:
    work = Faults(throttled(), throttled(retry_after=7), throttled())
    replica = await world.replica(creating(work))
    assert await replica.handle(delivery(create(1))) == Delete()
    record = await replica.record(key(1))
    assert (record.attempts, record.last_error) == (1, None)
    assert replica.count("handler_retries_total", type=TYPE, reason="throttled") == 3
    pauses = [later - earlier for earlier, later in zip(work.at, work.at[1:], strict=False)]
    assert [pause <= ceiling for pause, ceiling in zip(pauses, (1, 7, 4), strict=True)] == [True, True, True]
    assert pauses[1] == about(7), "the provider's own wish"
    told = [told.message for told in replica.outlet.told]
    assert told == ["", *["throttled, trying again: ECR says slow down"] * 3]
    assert [told.order for told in replica.outlet.told] == [1, 2, 3, 4]


async def test_beyond_the_steps_budget_the_event_is_tried_again_later_and_holds_nothing(world: World) -> None:
    work = Faults(*[throttled() for _ in range(200)])
    replica = await world.replica(creating(work), step_retry_s=30)
    given = await replica.handle(delivery(create(1)))
    assert isinstance(given, Retry)
    assert 0 <= given.delay_s <= QUICK.ceiling_s(1) == 2
    assert 15 < replica.runtime.monotonic() <= 30
    record = await replica.record(key(1))
    assert (record.attempts, record.last_error) == (1, "throttled: ECR says slow down")
    assert record.waiting is not None
    assert (record.waiting.why, record.waiting.until) == (
        "retry",
        about(START + replica.runtime.monotonic() + given.delay_s),
    )
    assert await replica.leases() == 0
    assert replica.dispatcher.status() == []
    assert replica.outlet.reports == []
    # Lane and slot are free as well: a newer event of the subject has its turn at once.
    work.errors.clear()
    before = replica.runtime.monotonic()
    assert await replica.handle(delivery(create(2, generation=2), message_id="m-2")) == Delete()
    assert replica.runtime.monotonic() == before


async def test_a_pause_that_would_pass_the_budget_is_not_begun(world: World) -> None:
    work = Faults(throttled(retry_after=31))
    replica = await world.replica(creating(work))
    assert await replica.handle(delivery(create(1))) == Retry(about(31))
    assert work.at == [0]


async def test_the_delay_doubles_under_its_ceiling_with_full_jitter_and_respects_the_provider(world: World) -> None:
    policy = RetryPolicy(max_attempts=9, base_s=4, cap_s=60)
    work = Faults(*[throttled() for _ in range(6)], throttled(retry_after=200))
    replica = await world.replica(creating(work, retry=policy), step_retry_s=0)
    given = await replica.to_the_end(delivery(create(1)))
    delays = [retry.delay_s for retry in given if isinstance(retry, Retry)]
    assert len(delays) == 7
    assert all(0 <= delay <= ceiling for delay, ceiling in zip(delays, (4, 8, 16, 32, 60, 60), strict=False))
    assert len(set(delays)) == 7
    assert delays[6] == 200
    assert given[-1] == Delete()
    record = await replica.record(key(1))
    assert record.attempts == 8
    # Without a budget a fault costs its attempt at once, and is counted there and in its step.
    assert replica.count("handler_retries_total", type=TYPE, reason="throttled") == 14


async def test_attempts_are_used_up_with_the_last_error_and_step(world: World) -> None:
    work = Faults(throttled(), throttled(), TransientError(Reason.UNAVAILABLE, "ECR does not answer"))
    replica = await world.replica(creating(work), step_retry_s=0)
    given = await replica.to_the_end(delivery(create(1)))
    message = "3 attempts; the last: unavailable: ECR does not answer"
    assert [type(disposition) for disposition in given] == [Retry, Retry, DeadLetter]
    assert given[2] == DeadLetter(key(1), 1, OutcomeKind.FAILED, Reason.ATTEMPTS_EXHAUSTED, message)
    (report,) = replica.outlet.reports
    assert report.outcome == Outcome(OutcomeKind.FAILED, False, Reason.ATTEMPTS_EXHAUSTED, message, "work")
    assert report.attempts == 3


async def test_no_attempt_is_put_off_beyond_the_queues_retention(world: World) -> None:
    """The queue would drop the message, and the event would never end."""
    replica = await world.replica(creating(Faults(throttled(retry_after=500), throttled(retry_after=500))))
    message = delivery(create(1), retained_until=START + 900)
    given = await replica.to_the_end(message)
    assert given[0] == Retry(500)
    assert isinstance(given[1], DeadLetter)
    assert (len(given), given[1].reason) == (2, Reason.ATTEMPTS_EXHAUSTED)
    assert (
        given[1].message
        == "2 attempts, and the queue keeps the message for no more; the last: throttled: ECR says slow down"
    )
    assert replica.runtime.monotonic() == about(500)


async def test_an_unknown_exception_may_pass_until_the_attempts_are_used_up(world: World) -> None:
    replica = await world.replica(creating(Faults(KeyError("a"), KeyError("b"))), step_retry_s=30)
    given = await replica.to_the_end(delivery(create(1)))
    assert [type(disposition) for disposition in given] == [Retry, Retry, Delete]

    replica = await world.replica(creating(Faults(*[OSError("no route")] * 3)), name="b")
    given = await replica.to_the_end(delivery(create(2, generation=2), message_id="m-2"))
    assert isinstance(given[-1], DeadLetter)
    assert given[-1].reason is Reason.ATTEMPTS_EXHAUSTED
    assert given[-1].message == "3 attempts; the last: internal_error: OSError: no route"


async def test_a_permanent_error_fails_at_once_with_its_step(world: World) -> None:
    work = Faults(PermanentError(Reason.ACCESS_DENIED, "ecr:CreateRepository is denied"))
    replica = await world.replica(creating(work))
    given = await replica.handle(delivery(create(1)))
    message = "ecr:CreateRepository is denied"
    assert given == DeadLetter(key(1), 1, OutcomeKind.FAILED, Reason.ACCESS_DENIED, message)
    assert replica.outlet.outcomes() == [Outcome(OutcomeKind.FAILED, False, Reason.ACCESS_DENIED, message, "work")]
    assert len(work.at) == 1


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [
        ([NotReady("not yet")], Defer(1.0)),
        ([NotReady("not yet"), PermanentError(Reason.IN_USE, "in use")], Reason.IN_USE),
        ([PermanentError(Reason.IN_USE, "in use"), LeaseLost("taken over")], Defer(1.0)),
        ([KeyError("a")], Reason.ATTEMPTS_EXHAUSTED),
    ],
)
async def test_errors_of_a_task_group_count_as_if_they_came_alone(
    world: World, errors: list[Exception], outcome: Defer | Reason
) -> None:
    @handler(ProjectCreate, steps=("all",), timeout_s=60, retry=RetryPolicy(max_attempts=1))
    async def run(ctx: Context, _data: ProjectCreate) -> None:
        async def work() -> None:
            raise ExceptionGroup("of a task group", [ExceptionGroup("of one inside", errors)])

        await ctx.step("all", work)

    replica = await world.replica(run)
    given = await replica.handle(delivery(create(1)))
    if isinstance(outcome, Defer):
        assert given == outcome
    else:
        assert isinstance(given, DeadLetter)
        assert given.reason is outcome
        assert "ExceptionGroup" not in given.message


async def test_a_step_that_was_not_declared_is_a_defect_of_the_handler(world: World) -> None:
    @handler(ProjectCreate, steps=(), timeout_s=60, retry=RetryPolicy(max_attempts=1))
    async def run(ctx: Context, _data: ProjectCreate) -> None:
        await ctx.step("surprise", Faults())

    replica = await world.replica(run)
    given = await replica.handle(delivery(create(1)))
    assert isinstance(given, DeadLetter)
    assert "ProjectCreate declares no step 'surprise'" in given.message


async def test_a_port_that_this_installation_lacks_is_named(world: World) -> None:
    @handler(ProjectCreate, steps=(), timeout_s=60)
    async def run(ctx: Context, _data: ProjectCreate) -> None:
        ctx.port(Faults)

    replica = await world.replica(run)
    given = await replica.handle(delivery(create(1)))
    assert isinstance(given, DeadLetter)
    assert (given.reason, given.message) == (Reason.UNSUPPORTED, "this installation has no Faults")


async def test_waiting_counts_no_attempt_and_looks_less_and_less_often(world: World) -> None:
    work = Faults(*[NotReady("the project is not there yet") for _ in range(12)])
    replica = await world.replica(creating(work))
    given = await replica.to_the_end(delivery(create(1)))
    delays = [defer.delay_s for defer in given if isinstance(defer, Defer)]
    assert (len(delays), delays[0]) == (12, 1.0)
    assert 30 < max(delays) < 100
    assert delays == sorted(delays)
    assert given[-1] == Delete()
    record = await replica.record(key(1))
    assert (record.attempts, record.last_error, record.waiting) == (1, None, None)
    assert replica.count("handler_retries_total", type=TYPE, reason="waiting") == 0


async def test_a_guess_of_when_to_look_again_is_taken(world: World) -> None:
    replica = await world.replica(creating(Faults(NotReady("soon", retry_after=42))))
    assert await replica.handle(delivery(create(1))) == Defer(42)
    waiting = (await replica.record(key(1))).waiting
    assert waiting is not None
    assert (waiting.why, waiting.message, waiting.until) == ("waiting", "soon", START + 42)
    assert await replica.leases() == 0


@pytest.mark.parametrize(
    ("expirytime", "retained_s", "limit_s"),
    [(when(3600), None, 3600), (None, None, 86_400), (None, 1800, 1800), (when(3600), 1800, 1800)],
)
async def test_waiting_ends_before_expiry_and_retention(
    world: World, expirytime: str | None, retained_s: float | None, limit_s: float
) -> None:
    work = Faults(*[NotReady("the project is not there yet") for _ in range(1000)])
    replica = await world.replica(creating(work), defer_max_s=3600)
    message = delivery(
        create(1, expirytime=expirytime), retained_until=None if retained_s is None else START + retained_s
    )
    given = await replica.to_the_end(message)
    assert {type(disposition) for disposition in given[:-1]} == {Defer}
    text = "waited in vain: the project is not there yet"
    assert given[-1] == DeadLetter(key(1), 1, OutcomeKind.FAILED, Reason.DEFERRED_TOO_LONG, text)
    assert limit_s / 2 < replica.runtime.monotonic() <= limit_s


async def test_the_deadline_cuts_an_attempt_and_it_is_tried_again(world: World) -> None:
    began = 0

    async def work() -> None:
        nonlocal began
        began += 1
        await asyncio.sleep(120 if began == 1 else 59)

    replica = await world.replica(creating(work, timeout_s=60))
    given = await replica.handle(delivery(create(1)))
    assert isinstance(given, Retry)
    assert replica.runtime.monotonic() == about(60)
    assert (await replica.record(key(1))).last_error == "timed_out: not finished within 60 s"
    assert await replica.leases() == 0
    assert await replica.handle(delivery(create(1))) == Delete()
    assert replica.count("handler_retries_total", type=TYPE, reason="timed_out") == 1


async def test_a_calls_own_time_out_is_not_taken_for_the_deadline(world: World) -> None:
    replica = await world.replica(creating(Faults(TimeoutError("read timed out"))))
    assert isinstance(await replica.handle(delivery(create(1))), Retry)
    assert (await replica.record(key(1))).last_error == "unavailable: a call timed out: read timed out"


async def test_finished_steps_are_not_repeated_by_the_next_attempt(world: World) -> None:
    first, second = Faults(), Faults(throttled())
    results: list[str] = []

    @handler(ProjectCreate, steps=("first", "second"), timeout_s=60)
    async def run(ctx: Context, _data: ProjectCreate) -> None:
        results.append(await ctx.step("first", first))
        await ctx.step("second", second)

    replica = await world.replica(run, step_retry_s=0)
    given = await replica.to_the_end(delivery(create(1)))
    assert [type(disposition) for disposition in given] == [Retry, Delete]
    assert (len(first.at), len(second.at), results) == (1, 2, ["done", "done"])
    assert await replica.ledger.steps(key(1)) == []
