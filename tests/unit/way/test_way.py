"""The way of an event through the dispatcher, from delivery to disposition, on a real ledger."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentd.core import (
    ArtifactStore,
    Context,
    DeadLetter,
    Defer,
    Delete,
    LeaseLost,
    LockMode,
    NotReady,
    OutcomeKind,
    PermanentError,
    Phase,
    Reason,
    Retry,
    Subject,
    TransientError,
)
from agentd.events import EventData
from agentd.ledger import Claimed, ClaimRequest, RecordState
from tests.unit.way.rig import Rig, cleanup, create, delete, handlers, replica, uuid_of

CREATE = uuid_of("create alpha 1")


def reason_of(disposition: object) -> Reason:
    assert isinstance(disposition, DeadLetter)
    return disposition.reason


async def changes_one(ctx: Context, _data: EventData) -> None:
    """Two steps; the first has something to change."""

    async def change() -> str:
        await ctx.fence.before_write("thing")
        return "changed"

    async def look() -> None:
        return None

    await ctx.step("one", change)
    await ctx.step("two", look)


class Block:
    """A handler that says when it runs, and waits to be let go."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.go_on = asyncio.Event()
        self.runs = 0

    async def __call__(self, ctx: Context, _data: EventData) -> None:
        self.runs += 1
        self.running.set()
        await self.go_on.wait()

        async def look() -> None:
            return None

        await ctx.step("one", look)


class Failing:
    """A handler that raises one error after the other, and then finds nothing to do."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.runs = 0

    async def __call__(self, ctx: Context, _data: EventData) -> None:
        async def work() -> None:
            self.runs += 1
            if self.errors:
                raise self.errors.pop(0)

        await ctx.step("one", work)


# -- ends ------------------------------------------------------------------------------------------------------------------


async def test_a_good_event_is_carried_out_reported_and_deleted(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers(create=changes_one)) as rig:
        assert await rig.give(create()) == Delete()
        (record,) = rig.told.records
        assert record.outcome is not None
        assert (record.outcome.kind, record.changed, record.attempts) == (OutcomeKind.SUCCEEDED, True, 1)
        assert record.objects == ("thing",)
        assert rig.phases == [Phase.RUNNING, Phase.REPORTING]
        assert rig.told.steps == ["1:1/2 one", "2:2/2 two"]
        stats = await rig.ledger.stats()
        assert (stats.leases, stats.outbox) == (0, 1)


async def test_a_duplicate_after_the_end_repeats_report_and_disposition_without_work(tmp_path: Path) -> None:
    work = Failing()
    async with replica(tmp_path, handlers(create=work)) as rig:
        first = await rig.give(create(), message_id="m1")
        assert await rig.give(create(), message_id="m2") == first
        assert work.runs == 1
        assert [record.sequence for record in rig.told.records] == [1, 1] or len(
            {record.sequence for record in rig.told.records}
        ) == 1


async def test_a_failed_event_is_dead_lettered_each_time_it_comes(tmp_path: Path) -> None:
    refused = PermanentError(Reason.IN_USE, "dev uses it")
    async with replica(tmp_path, handlers(create=Failing(refused))) as rig:
        first = await rig.give(create())
        assert first == DeadLetter(f"event/{CREATE}", 1, OutcomeKind.FAILED, Reason.IN_USE, "dev uses it")
        assert await rig.give(create(), message_id="again") == first
        outcome = (await rig.record(CREATE)).outcome
        assert outcome is not None
        assert outcome.step == "one"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", Reason.MALFORMED),
        (create().replace("project.create.v1", "project.praise.v1"), Reason.UNKNOWN_TYPE),
    ],
)
async def test_what_is_no_event_ends_under_the_message_s_own_id(tmp_path: Path, body: str, reason: Reason) -> None:
    async with replica(tmp_path, handlers()) as rig:
        disposition = await rig.give(body, message_id="m")
        assert isinstance(disposition, DeadLetter)
        assert (disposition.key, disposition.reason) == ("message/m", reason)
        assert await rig.give(body, message_id="m") == disposition
        assert await rig.ledger.lookup(f"event/{CREATE}") is None


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"tenantid": uuid_of("other")}, Reason.WRONG_AUDIENCE),
        ({"clusterid": uuid_of("other")}, Reason.WRONG_AUDIENCE),
        ({"expirytime": "2020-01-01T00:00:00Z"}, Reason.EXPIRED),
        ({"planhash": "abc"}, Reason.UNSUPPORTED),
    ],
)
async def test_what_is_not_admitted_is_rejected_once_and_for_ever(
    tmp_path: Path, attributes: dict[str, str], reason: Reason
) -> None:
    async with replica(tmp_path, handlers(create=changes_one)) as rig:
        body = create("alpha", 1, event_id=CREATE, **attributes)
        assert reason_of(await rig.give(body)) is reason
        assert reason_of(await rig.give(body, message_id="again")) is reason
        assert (await rig.record(CREATE)).attempts == 0


async def test_a_dry_run_is_rejected_rather_than_carried_out(tmp_path: Path) -> None:
    document = json.loads(create())
    document["data"]["plan"] = True
    async with replica(tmp_path, handlers(create=changes_one)) as rig:
        assert reason_of(await rig.give(json.dumps(document))) is Reason.UNSUPPORTED


async def test_an_event_seen_before_its_expiry_is_carried_out_after_it(tmp_path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
    body = create(expirytime=soon)
    async with replica(
        tmp_path, handlers(create=Failing(TransientError(Reason.THROTTLED, "slow", retry_after=9)))
    ) as rig:
        assert isinstance(await rig.give(body), Retry)
        rig.clock.ahead_s = 60
        assert await rig.give(body) == Delete()


# -- generations, tombstones, names ----------------------------------------------------------------------------------------


async def test_an_older_generation_is_superseded_and_an_equal_one_of_another_event_a_conflict(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers()) as rig:
        assert await rig.give(create(generation=3)) == Delete()
        assert await rig.give(create(generation=2)) == Delete()
        outcome = (await rig.record(uuid_of("create alpha 2"))).outcome
        assert outcome is not None
        assert (outcome.kind, outcome.reason) == (OutcomeKind.SUPERSEDED, Reason.NEWER_GENERATION)
        other = create(generation=3, event_id=uuid_of("impostor"))
        assert reason_of(await rig.give(other)) is Reason.CONFLICT


async def test_a_known_id_with_other_content_is_a_conflict_and_leaves_the_genuine_event_alone(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers()) as rig:
        await rig.give(create())
        forged = await rig.give(create("beta", event_id=CREATE), message_id="forged")
        assert isinstance(forged, DeadLetter)
        assert (forged.key, forged.reason) == ("message/forged", Reason.CONFLICT)
        record = await rig.record(CREATE)
        assert record.outcome is not None
        assert record.outcome.kind is OutcomeKind.SUCCEEDED


async def test_what_was_deleted_comes_back_only_by_a_newer_create(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers()) as rig:
        await rig.give(create())
        await rig.give(delete(generation=3))
        assert await rig.give(create(generation=2)) == Delete()
        late = await rig.record(uuid_of("create alpha 2"))
        assert late.outcome is not None
        assert late.outcome.kind is OutcomeKind.SUPERSEDED
        await rig.give(create(generation=4))
        again = await rig.record(uuid_of("create alpha 4"))
        assert again.outcome is not None
        assert again.outcome.kind is OutcomeKind.SUCCEEDED


async def test_a_name_belongs_to_one_subject_until_its_delete_is_complete(tmp_path: Path) -> None:
    def same_name(owner: str) -> str:
        document = json.loads(create(owner))
        document["data"]["project_name"] = "shared"
        return json.dumps(document)

    blocked = Block()
    async with replica(tmp_path, handlers(delete=blocked)) as rig:
        await rig.give(same_name("one"))
        assert reason_of(await rig.give(same_name("two"))) is Reason.NAME_TAKEN
        async with asyncio.TaskGroup() as group:
            deleting = group.create_task(rig.give(delete("one")))
            await blocked.running.wait()
            assert isinstance(await rig.give(same_name("three")), Defer)
            blocked.go_on.set()
        assert deleting.result() == Delete()
        assert await rig.give(same_name("three")) == Delete()


# -- attempts --------------------------------------------------------------------------------------------------------------


async def test_a_passing_fault_is_retried_in_place_and_costs_no_attempt(tmp_path: Path) -> None:
    work = Failing(TransientError(Reason.THROTTLED, "slow"), TransientError(Reason.THROTTLED, "slow"))
    async with replica(tmp_path, handlers(create=work), step_retry_s=5) as rig:
        assert await rig.give(create()) == Delete()
        assert (work.runs, (await rig.record(CREATE)).attempts) == (3, 1)
        retries = rig.metrics.registry.get_sample_value(
            "agentd_handler_retries_total", {"type": "conveyor.project.create.v1", "reason": "throttled"}
        )
        assert retries == 2


async def test_beyond_the_budget_the_event_is_shown_again_and_holds_nothing(tmp_path: Path) -> None:
    work = Failing(TransientError(Reason.UNAVAILABLE, "down", retry_after=7.0))
    async with replica(tmp_path, handlers(create=work)) as rig:
        disposition = await rig.give(create())
        assert isinstance(disposition, Retry)
        assert 7.0 <= disposition.delay_s <= 8.0
        record = await rig.record(CREATE)
        assert (record.attempts, record.last_error) == (1, "unavailable: down")
        assert record.waiting is not None
        assert record.waiting.why == "retry"
        assert (await rig.ledger.stats()).leases == 0
        assert await rig.give(create()) == Delete()


async def test_attempts_are_used_up_with_the_last_error_and_step(tmp_path: Path) -> None:
    errors = [TransientError(Reason.UNAVAILABLE, f"down {n}", retry_after=9) for n in range(3)]
    async with replica(tmp_path, handlers(create=Failing(*errors))) as rig:
        assert isinstance(await rig.give(create()), Retry)
        assert isinstance(await rig.give(create()), Retry)
        last = await rig.give(create())
        assert reason_of(last) is Reason.ATTEMPTS_EXHAUSTED
        outcome = (await rig.record(CREATE)).outcome
        assert outcome is not None
        assert "down 2" in outcome.message
        assert outcome.step == "one"


async def test_an_unknown_exception_counts_as_passing_until_the_attempts_are_used_up(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers(create=Failing(KeyError("x"), KeyError("x"), KeyError("x")))) as rig:
        dispositions = [await rig.give(create()) for _ in range(3)]
        assert [type(disposition) for disposition in dispositions] == [Retry, Retry, DeadLetter]
        assert reason_of(dispositions[-1]) is Reason.ATTEMPTS_EXHAUSTED


async def test_the_deadline_of_an_event_ends_the_attempt(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers(create=Block(), timeout_s=0.05)) as rig:
        assert isinstance(await rig.give(create()), Retry)
        assert (await rig.record(CREATE)).last_error == "timed_out: not finished within 0.05 s"


async def test_waiting_without_blame_counts_no_attempt_and_ends_when_it_would_outlive_expiry(tmp_path: Path) -> None:
    work = Failing(*[NotReady("the project first") for _ in range(4)])
    async with replica(tmp_path, handlers(create=work), default_expiry_s=100) as rig:
        first = await rig.give(create())
        assert isinstance(first, Defer)
        assert (await rig.record(CREATE)).attempts == 0
        rig.clock.ahead_s = 60
        later = await rig.give(create())
        assert isinstance(later, Defer)
        assert later.delay_s > first.delay_s
        rig.clock.ahead_s = 95
        assert reason_of(await rig.give(create())) is Reason.DEFERRED_TOO_LONG


async def test_a_deferral_never_outlives_the_queue_s_retention(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers(create=Failing(NotReady("x")))) as rig:
        disposition = await rig.give(create(), retained_until=rig.clock() + 0.5)
        assert reason_of(disposition) is Reason.DEFERRED_TOO_LONG


async def test_after_a_crash_finished_steps_are_not_repeated_and_changed_stays_true(tmp_path: Path) -> None:
    ran: list[str] = []

    async def dies(ctx: Context, data: EventData) -> None:
        async def one() -> str:
            await ctx.fence.before_write("thing")
            ran.append("one")
            return "result"

        async def two() -> None:
            ran.append("two")

        assert await ctx.step("one", one) == "result"
        if not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()
        await ctx.step("two", two)

    stuck = asyncio.Event()
    async with replica(tmp_path, handlers(create=dies), lease_s=5) as rig, asyncio.TaskGroup() as group:
        attempt = group.create_task(rig.give(create()))
        await stuck.wait()
        # A crash says no last word: the ledger is out of reach when the task ends.
        await rig.ledger.close()
        attempt.cancel()
    async with replica(tmp_path, handlers(create=dies), name="replica-2") as rig:
        held = await rig.give(create())
        assert isinstance(held, Defer)
        assert 3 < held.delay_s <= 5
        rig.clock.ahead_s = 6
        assert await rig.give(create()) == Delete()
        assert ran == ["one", "two"]
        record = await rig.record(CREATE)
        assert (record.changed, record.attempts) == (True, 2)


async def test_a_process_that_dies_in_every_attempt_is_a_crash_loop(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers()) as rig:
        await rig.give("{")  # the ledger is there
        body = create()
        assert isinstance(await crash(rig, body, 0), Claimed)
        assert isinstance(await crash(rig, body, 10), Claimed)
        assert isinstance(await crash(rig, body, 20), Claimed)
        rig.clock.ahead_s = 30
        assert reason_of(await rig.give(body)) is Reason.CRASH_LOOP


async def crash(rig: Rig, body: str, ahead_s: float) -> object:
    """Claim as a process does that dies right afterwards."""
    rig.clock.ahead_s = ahead_s
    if await rig.ledger.lookup(f"event/{CREATE}") is None:
        waiting = rig.delivery(body)
        rig.dispatcher._lanes._depth = 0  # only admitted: the lane takes nobody
        await rig.dispatcher.handle(waiting)
        rig.dispatcher._lanes._depth = 8
    now = rig.clock()
    return await rig.ledger.claim(
        ClaimRequest(
            key=f"event/{CREATE}",
            epoch=1,
            event_id=CREATE,
            subject=Subject("project", uuid_of("alpha")),
            generation=1,
            facets=frozenset({"spec"}),
            creates=True,
            deletes=False,
            names=(),
            locks=(),
            desired={},
            replica="dead",
            max_attempts=3,
            now=now,
            until=now + 1,
        )
    )


# -- epochs and dead letters -------------------------------------------------------------------------------------------------


async def test_a_redriven_message_opens_the_next_epoch_once(tmp_path: Path) -> None:
    work = Failing(PermanentError(Reason.FOREIGN_OBJECT, "taken"))
    async with replica(tmp_path, handlers(create=work)) as rig:
        body = create(expirytime=(datetime.now(UTC) + timedelta(seconds=30)).isoformat())
        assert reason_of(await rig.give(body)) is Reason.FOREIGN_OBJECT
        rig.clock.ahead_s = 3600
        assert await rig.give(body, message_id="copy", dead_letter_epoch=1) == Delete()
        record = await rig.record(CREATE)
        assert (record.epoch, record.attempts) == (2, 1)
        assert await rig.give(body, message_id="second copy", dead_letter_epoch=1) == Delete()
        assert ((await rig.record(CREATE)).epoch, work.runs) == (2, 2)


async def test_a_redriven_event_may_wait_although_its_expiry_has_passed(tmp_path: Path) -> None:
    work = Failing(PermanentError(Reason.FOREIGN_OBJECT, "taken"), NotReady("not yet"))
    async with replica(tmp_path, handlers(create=work)) as rig:
        body = create(expirytime=(datetime.now(UTC) + timedelta(seconds=30)).isoformat())
        await rig.give(body)
        rig.clock.ahead_s = 3600
        assert isinstance(await rig.give(body, dead_letter_epoch=1), Defer)


async def test_what_the_queue_moved_by_itself_ends_too(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers()) as rig:
        swept = await rig.dispatcher.sweep(rig.delivery(create(), receive_count=101))
        assert reason_of(swept) is Reason.RECEIVE_LIMIT
        assert await rig.dispatcher.sweep(rig.delivery(create())) == swept
        assert reason_of(await rig.dispatcher.sweep(rig.delivery("{", message_id="m"))) is Reason.MALFORMED
        await rig.give(create("beta"))
        assert await rig.dispatcher.sweep(rig.delivery(create("beta"))) == Delete()


async def test_what_somebody_works_on_is_not_swept(tmp_path: Path) -> None:
    work = Block()
    async with replica(tmp_path, handlers(create=work)) as rig, asyncio.TaskGroup() as group:
        running = group.create_task(rig.give(create()))
        await work.running.wait()
        assert isinstance(await rig.dispatcher.sweep(rig.delivery(create())), Defer)
        work.go_on.set()
        assert await running == Delete()


# -- lanes, locks, pre-emption, leases -----------------------------------------------------------------------------------------


async def test_a_duplicate_waits_its_turn_on_the_same_replica_and_is_put_off_on_another(tmp_path: Path) -> None:
    work = Block()
    async with (
        replica(tmp_path, handlers(create=work)) as one,
        replica(tmp_path, handlers(create=work), name="replica-2") as two,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(one.give(create(), message_id="m1"))
        await work.running.wait()
        second = group.create_task(one.give(create(), message_id="m2"))
        elsewhere = await two.give(create(), message_id="m3")
        assert isinstance(elsewhere, Defer)
        assert 3 < elsewhere.delay_s <= 5
        work.go_on.set()
        assert (await first, await second, work.runs) == (Delete(), Delete(), 1)


async def test_a_wait_that_is_too_long_gives_the_slot_back_and_a_full_lane_takes_nobody(tmp_path: Path) -> None:
    work = Block()
    async with (
        replica(tmp_path, handlers(create=work), lane_depth=2, lane_wait_s=0.1) as rig,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(rig.give(create()))
        await work.running.wait()
        waiting = group.create_task(rig.give(create(generation=2)))
        await asyncio.sleep(0)
        assert isinstance(await rig.give(create(generation=3)), Defer), "the lane is full"
        assert isinstance(await waiting, Defer), "the wait was too long"
        assert (await rig.record(uuid_of("create alpha 2"))).state is RecordState.OPEN
        work.go_on.set()
        assert await first == Delete()


async def test_no_more_run_at_once_than_may_and_one_subject_does_not_hold_up_another(tmp_path: Path) -> None:
    running, most = 0, 0

    async def busy(_ctx: Context, _data: EventData) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    async with replica(tmp_path, handlers(create=busy), max_running=3, lane_depth=100, lane_wait_s=30) as rig:
        async with asyncio.TaskGroup() as group:
            flood = [group.create_task(rig.give(create(generation=n))) for n in range(1, 51)]
            others = [group.create_task(rig.give(create(f"other-{n}"))) for n in range(10)]
            for other in others:
                assert await other == Delete()
            assert not all(task.done() for task in flood)
        assert most <= 3


async def test_a_delete_preempts_an_older_event_at_its_next_step(tmp_path: Path) -> None:
    work = Block()
    async with replica(tmp_path, handlers(create=work), lane_wait_s=5) as rig, asyncio.TaskGroup() as group:
        older = group.create_task(rig.give(create()))
        await work.running.wait()
        newer = group.create_task(rig.give(delete()))
        while not rig.metrics.registry.get_sample_value("agentd_events_waiting", {"why": "lane"}):
            await asyncio.sleep(0)
        work.go_on.set()
        assert isinstance(await older, Defer)
        assert await newer == Delete()
        assert await rig.give(create()) == Delete()
        record = await rig.record(CREATE)
        assert record.outcome is not None
        assert record.outcome.kind is OutcomeKind.SUPERSEDED


async def test_a_delete_that_is_not_admitted_preempts_nobody(tmp_path: Path) -> None:
    work = Block()
    async with replica(tmp_path, handlers(create=work), lane_wait_s=5) as rig, asyncio.TaskGroup() as group:
        older = group.create_task(rig.give(create()))
        await work.running.wait()
        forged = await rig.give(delete(tenantid=uuid_of("other")))
        assert reason_of(forged) is Reason.WRONG_AUDIENCE
        work.go_on.set()
        assert await older == Delete()


async def test_a_delete_preempts_over_two_replicas(tmp_path: Path) -> None:
    work = Block()
    async with (
        replica(tmp_path, handlers(create=work)) as one,
        replica(tmp_path, handlers(), name="replica-2") as two,
        asyncio.TaskGroup() as group,
    ):
        older = group.create_task(one.give(create()))
        await work.running.wait()
        assert isinstance(await two.give(delete()), Defer)
        leases = one.dispatcher._leases
        await leases._renew(list(leases._held))
        work.go_on.set()
        assert isinstance(await older, Defer)
        assert await two.give(delete(), message_id="again") == Delete()


async def test_a_clean_up_and_its_project_s_delete_do_not_run_side_by_side(tmp_path: Path) -> None:
    work = Block()
    readers = cleanup("b1"), cleanup("b2")
    async with (
        replica(tmp_path, handlers(cleanup=work)) as one,
        replica(tmp_path, handlers(), name="replica-2") as two,
        asyncio.TaskGroup() as group,
    ):
        cleaning = [group.create_task(one.give(body)) for body in readers]
        while work.runs < 2:
            await asyncio.sleep(0.01)
        assert isinstance(await one.give(delete()), Defer), "on the same replica it waits in the lane, in vain"
        elsewhere = await two.give(delete(), message_id="elsewhere")
        assert isinstance(elsewhere, Defer), "on another one the ledger's locks are in the way"
        work.go_on.set()
        assert [await task for task in cleaning] == [Delete(), Delete()]
        assert await two.give(delete(), message_id="later") == Delete()
    assert LockMode.READ.value == "read"


async def test_cancelled_work_lets_the_subject_go_and_counts_no_attempt(tmp_path: Path) -> None:
    work = Block()
    async with replica(tmp_path, handlers(create=work)) as rig:
        running = asyncio.create_task(rig.give(create()))
        await work.running.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await rig.ledger.stats()).leases == 0
        assert (await rig.record(CREATE)).attempts == 0


async def test_a_lease_that_is_taken_over_stops_the_work_and_every_later_write(tmp_path: Path) -> None:
    late: list[str] = []
    started = asyncio.Event()

    async def slow(ctx: Context, _data: EventData) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            try:
                await ctx.fence.before_write("thing")
            except LeaseLost as error:
                late.append(error.message)

    async with (
        replica(tmp_path, handlers(create=slow)) as one,
        replica(tmp_path, handlers(), name="replica-2") as two,
        asyncio.TaskGroup() as group,
    ):
        paused = group.create_task(one.give(create()))
        await started.wait()
        two.clock.ahead_s = 10
        assert await two.give(create(), message_id="again") == Delete()
        leases = one.dispatcher._leases
        await leases._renew(list(leases._held))
        assert isinstance(await paused, Defer)
        assert len(late) == 1


async def test_a_wall_clock_that_jumps_ahead_ends_the_lease_for_writes(tmp_path: Path) -> None:
    refused: list[str] = []

    async def write(ctx: Context, _data: EventData) -> None:
        rig.clock.ahead_s = 4.9
        try:
            await ctx.fence.before_write("thing")
        except LeaseLost as error:
            refused.append(error.message)
            raise

    async with replica(tmp_path, handlers(create=write), lease_s=5) as rig:
        assert isinstance(await rig.give(create()), Defer)
        assert refused


# -- claim checks, and trouble around it all -------------------------------------------------------------------------------------


class Shelf(ArtifactStore):
    """Artifacts in memory."""

    def __init__(self, **items: bytes) -> None:
        self.items = items

    async def fetch(self, uri: str, *, limit_bytes: int) -> bytes:
        if uri not in self.items:
            raise PermanentError(Reason.DATA_UNAVAILABLE, f"{uri} is not there")
        return self.items[uri]

    async def store(self, key: str, data: bytes) -> str:
        self.items[key] = data
        return key


def by_claim_check(data: bytes, *, digest: str | None = None) -> str:
    document = json.loads(create())
    del document["data"]
    promised = digest or "sha256:" + hashlib.sha256(data).hexdigest()
    return json.dumps({**document, "dataref": "item", "datadigest": promised, "datasize": len(data)})


async def test_a_claim_check_is_redeemed(tmp_path: Path) -> None:
    data = json.dumps(json.loads(create())["data"]).encode()
    async with replica(tmp_path, handlers(create=changes_one), artifacts=Shelf(item=data)) as rig:
        assert await rig.give(by_claim_check(data)) == Delete()
        assert (await rig.record(CREATE)).changed


@pytest.mark.parametrize(
    ("shelf", "digest", "reason"),
    [
        (None, None, Reason.UNSUPPORTED),
        (Shelf(), None, Reason.DATA_UNAVAILABLE),
        (Shelf(item=b"{}"), "sha256:" + "0" * 64, Reason.DATA_UNAVAILABLE),
        (Shelf(item=b"{}"), None, Reason.MALFORMED),
    ],
)
async def test_a_claim_check_that_cannot_be_redeemed_is_rejected(
    tmp_path: Path, shelf: Shelf | None, digest: str | None, reason: Reason
) -> None:
    async with replica(tmp_path, handlers(), artifacts=shelf) as rig:
        assert reason_of(await rig.give(by_claim_check(b"{}", digest=digest))) is reason


async def test_a_ledger_that_does_not_answer_puts_the_message_back(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers()) as rig:
        await rig.ledger.close()
        assert isinstance(await rig.give(create()), Retry)


async def test_a_report_that_is_not_taken_in_time_is_repeated_by_a_later_delivery(tmp_path: Path) -> None:
    async with replica(tmp_path, handlers()) as rig:
        rig.told.stuck = True
        assert isinstance(await rig.give(create()), Defer)
        assert (await rig.ledger.stats()).outbox == 1
        rig.told.stuck = False
        assert await rig.give(create(), message_id="again") == Delete()
        assert [record.key for record in rig.told.records] == [f"event/{CREATE}"]


async def test_the_status_names_what_is_held(tmp_path: Path) -> None:
    work = Block()
    async with replica(tmp_path, handlers(create=work)) as rig, asyncio.TaskGroup() as group:
        running = group.create_task(rig.give(create()))
        await work.running.wait()
        (held,) = rig.dispatcher.status()
        assert (held["event_id"], held["generation"]) == (CREATE, 1)
        work.go_on.set()
        await running
    assert rig.dispatcher.status() == []
