"""What comes back from the dead-letter queue, and what the queue has moved there by itself."""

import asyncio
from typing import Any

import pytest

from agentd.core import (
    Context,
    DeadLetter,
    Defer,
    Delete,
    Delivery,
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
from agentd.events.environments import EnvironmentHibernate
from tests.unit.dispatch.events import create, delivery, event, key, uuid, when
from tests.unit.dispatch.world import World
from tests.virtual_time import START, about


class Fickle:
    """A handler that fails as it was told, once for each error, and then works for a minute."""

    def __init__(self, *errors: Exception, max_attempts: int = 1) -> None:
        self.errors = list(errors)
        self.handler = handler(ProjectCreate, steps=("work",), timeout_s=600, retry=RetryPolicy(max_attempts))(self.run)

    async def run(self, ctx: Context, _data: ProjectCreate) -> None:
        await ctx.step("work", self._work)

    async def _work(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        await asyncio.sleep(60)


DENIED = PermanentError(Reason.ACCESS_DENIED, "no right to do it")
ABSENT = TransientError(Reason.UNAVAILABLE, "no answer")


def redriven(text: str, epoch: int, message_id: str = "m-2", sent_at: float | None = None) -> Delivery:
    """A message that comes back from the dead-letter queue, where the epoch had brought it."""
    return delivery(text, message_id=message_id, dead_letter_epoch=epoch, sent_at=sent_at)


async def never_run(_ctx: Context, data: EnvironmentHibernate) -> None:
    """A handler that no event gets to."""
    raise AssertionError(data)


async def test_a_redriven_event_has_a_new_epoch_with_fresh_attempts(world: World) -> None:
    fickle = Fickle(ABSENT, ABSENT, ABSENT, max_attempts=2)
    replica = await world.replica(fickle.handler, step_retry_s=0)
    given = await replica.to_the_end(delivery(create(1)))
    assert isinstance(given[-1], DeadLetter)
    assert (given[-1].epoch, given[-1].reason) == (1, Reason.ATTEMPTS_EXHAUSTED)

    given = await replica.to_the_end(redriven(create(1), epoch=1))
    assert [type(disposition) for disposition in given] == [Retry, Delete]
    first, second = replica.outlet.reports
    assert (first.epoch, first.attempts) == (1, 2)
    assert (second.epoch, second.attempts, second.outcome) == (2, 2, Outcome(OutcomeKind.SUCCEEDED))
    assert second.sequence is not None
    assert first.sequence is not None
    assert second.sequence > first.sequence
    assert "redriven" in await replica.whats(key(1))


async def test_a_dead_letter_of_an_older_epoch_is_a_duplicate(world: World) -> None:
    replica = await world.replica(Fickle(DENIED, DENIED).handler)
    await replica.handle(delivery(create(1)))
    second = await replica.handle(redriven(create(1), epoch=1))
    assert isinstance(second, DeadLetter)
    assert second.epoch == 2
    assert await replica.handle(redriven(create(1), epoch=1, message_id="m-3")) == second
    assert await replica.handle(redriven(create(1), epoch=7, message_id="m-4")) == second
    assert (await replica.record(key(1))).epoch == 2
    assert replica.outlet.reports[1] == replica.outlet.reports[2]


async def test_two_copies_of_a_dead_letter_open_one_epoch(world: World) -> None:
    replica, other = await world.replica(Fickle(DENIED).handler), await world.replica(Fickle().handler, name="b")
    await replica.handle(delivery(create(1)))
    copies = [redriven(create(1), 1, "m-2"), redriven(create(1), 1, "m-3")]
    first, second = await asyncio.gather(replica.to_the_end(copies[0]), other.to_the_end(copies[1]))
    assert first[-1] == second[-1] == Delete()
    assert (await replica.record(key(1))).epoch == 2
    assert {report.epoch for report in (replica.outlet.reports + other.outlet.reports)[1:]} == {2}


async def test_what_succeeded_is_not_redriven(world: World) -> None:
    replica = await world.replica(Fickle().handler)
    await replica.handle(delivery(create(1)))
    assert await replica.handle(redriven(create(1), epoch=1)) == Delete()
    assert (await replica.record(key(1))).epoch == 1


@pytest.mark.parametrize("attributes", [{"tenantid": uuid(7)}, {"expirytime": when(-1)}])
async def test_what_was_refused_at_admission_is_refused_again(world: World, attributes: dict[str, Any]) -> None:
    fickle = Fickle()
    replica = await world.replica(fickle.handler)
    text = create(1, **attributes)
    refused = await replica.handle(delivery(text))
    assert isinstance(refused, DeadLetter)
    again = await replica.handle(redriven(text, epoch=1))
    assert again == DeadLetter(refused.key, 2, refused.outcome, refused.reason, refused.message)
    record = await replica.record(key(1))
    assert (record.epoch, record.attempts) == (2, 0)
    assert [report.epoch for report in replica.outlet.reports] == [1, 2]


async def test_a_redriven_refusal_holds_although_the_process_stopped_once_its_epoch_was_open(world: World) -> None:
    replica = await world.replica(Fickle().handler)
    text = create(1, tenantid=uuid(7))
    await replica.handle(delivery(text))
    assert (await replica.ledger.reopen(key(1), epoch=1, now=START)).epoch == 2
    again = await replica.handle(redriven(text, epoch=1))
    assert isinstance(again, DeadLetter)
    assert (again.epoch, again.reason) == (2, Reason.WRONG_AUDIENCE)


async def test_a_redriven_event_may_wait_although_its_expiry_has_passed(world: World) -> None:
    fickle = Fickle(DENIED, *[NotReady("the project is not there yet") for _ in range(3)])
    replica = await world.replica(fickle.handler)
    text = create(1, expirytime=when(600))
    assert isinstance(await replica.handle(delivery(text)), DeadLetter)
    await replica.runtime.sleep(90_000)
    given = await replica.to_the_end(redriven(text, epoch=1))
    assert [type(disposition) for disposition in given] == [Defer, Defer, Defer, Delete]
    assert given[0] == Defer(1.0), "its wait began with its epoch"


async def test_a_redriven_event_does_not_wait_for_ever(world: World) -> None:
    fickle = Fickle(DENIED, *[NotReady("the project is not there yet") for _ in range(1000)])
    replica = await world.replica(fickle.handler, default_expiry_s=7200, defer_max_s=3600)
    text = create(1, expirytime=when(600))
    await replica.handle(delivery(text))
    await replica.runtime.sleep(90_000)
    given = await replica.to_the_end(redriven(text, epoch=1))
    assert isinstance(given[-1], DeadLetter)
    assert (given[-1].epoch, given[-1].reason) == (2, Reason.DEFERRED_TOO_LONG)
    assert 93_600 < replica.runtime.monotonic() <= 97_200


async def test_a_redriven_event_that_is_never_claimed_does_not_wait_for_ever_either(world: World) -> None:
    """What creates its subject never comes: it never gets as far as an attempt."""
    hibernate = handler(EnvironmentHibernate, steps=(), timeout_s=60)(never_run)
    replica = await world.replica(hibernate, default_expiry_s=7200, defer_max_s=3600)
    text = event(EnvironmentHibernate, 1, {"environment_id": uuid(1), "environment_name": "alpha"})
    given = await replica.to_the_end(delivery(text))
    assert isinstance(given[-1], DeadLetter)
    again_at = replica.runtime.now()
    given = await replica.to_the_end(redriven(text, epoch=1, sent_at=again_at))
    assert isinstance(given[-1], DeadLetter)
    assert (given[-1].epoch, given[-1].reason) == (2, Reason.DEFERRED_TOO_LONG)
    assert len(given) < 30, "looked at less and less often"
    assert again_at + 3600 < replica.runtime.now() <= again_at + 7200


# -- swept -------------------------------------------------------------------------------------------------------------


async def test_what_the_queue_gave_up_ends_as_receive_limit(world: World) -> None:
    replica = await world.replica(Fickle(ABSENT, max_attempts=5).handler, step_retry_s=0)
    assert isinstance(await replica.handle(delivery(create(1))), Retry)
    swept = delivery(create(1), receive_count=1000)
    given = await replica.dispatcher.sweep(swept)
    message = "handed out 1000 times without an end, then moved aside by the queue"
    assert given == DeadLetter(key(1), 1, OutcomeKind.FAILED, Reason.RECEIVE_LIMIT, message)
    assert replica.outlet.outcomes() == [Outcome(OutcomeKind.FAILED, reason=Reason.RECEIVE_LIMIT, message=message)]
    assert await replica.dispatcher.sweep(swept) == given
    assert await replica.handle(redriven(create(1), epoch=1)) == Delete()


async def test_what_the_queue_gave_up_before_it_was_ever_seen_ends_too(world: World) -> None:
    replica = await world.replica(Fickle().handler)
    given = await replica.dispatcher.sweep(delivery(create(1), receive_count=5))
    assert isinstance(given, DeadLetter)
    assert given.reason is Reason.RECEIVE_LIMIT
    assert await replica.whats(key(1)) == ["admitted", "finished"]


async def test_what_is_finished_is_swept_by_its_disposition_with_its_report_again(world: World) -> None:
    replica = await world.replica(Fickle().handler)
    await replica.handle(delivery(create(1)))
    assert await replica.dispatcher.sweep(delivery(create(1), message_id="m-2")) == Delete()
    assert replica.outlet.reports[0] == replica.outlet.reports[1], "as for every other delivery of a finished event"


async def test_a_redriven_event_that_the_queue_gave_up_ends_in_its_next_epoch(world: World) -> None:
    replica = await world.replica(Fickle(DENIED).handler)
    first = await replica.handle(delivery(create(1)))
    assert isinstance(first, DeadLetter)
    given = await replica.dispatcher.sweep(redriven(create(1), epoch=1))
    assert isinstance(given, DeadLetter)
    assert (given.epoch, given.reason) == (2, Reason.RECEIVE_LIMIT)


async def test_what_was_never_an_event_is_swept_as_malformed(world: World) -> None:
    replica = await world.replica(Fickle().handler)
    given = await replica.dispatcher.sweep(delivery("nonsense"))
    assert isinstance(given, DeadLetter)
    assert (given.key, given.reason) == ("message/m-1", Reason.MALFORMED)


async def test_what_somebody_works_on_is_left_alone_by_the_sweep(world: World) -> None:
    replica, other = await world.replica(Fickle().handler), await world.replica(Fickle().handler, name="b")
    begun = replica.begin(delivery(create(1)))
    await replica.runtime.sleep(10)
    assert await other.dispatcher.sweep(delivery(create(1), message_id="m-2")) == Defer(about(27.5))
    assert await begun == Delete()
    assert other.outlet.reports == []
    assert (await replica.record(key(1))).outcome == Outcome(OutcomeKind.SUCCEEDED)


async def test_a_swept_event_for_somebody_else_is_rejected_not_admitted(world: World) -> None:
    replica = await world.replica(Fickle().handler)
    given = await replica.dispatcher.sweep(delivery(create(1, tenantid=uuid(7))))
    assert isinstance(given, DeadLetter)
    assert (given.outcome, given.reason) == (OutcomeKind.REJECTED, Reason.WRONG_AUDIENCE)


async def test_a_swept_message_with_the_id_of_a_genuine_event_does_not_end_it(world: World) -> None:
    replica = await world.replica(Fickle(ABSENT, max_attempts=5).handler, step_retry_s=0)
    assert isinstance(await replica.handle(delivery(create(1))), Retry)
    given = await replica.dispatcher.sweep(delivery(create(1, generation=9), message_id="forged"))
    assert isinstance(given, DeadLetter)
    assert (given.key, given.reason) == ("message/forged", Reason.CONFLICT)
    assert (await replica.record(key(1))).outcome is None
    assert await replica.handle(delivery(create(1))) == Delete()
    assert replica.outlet.reports[-1].finished_at == about(START + 60)
