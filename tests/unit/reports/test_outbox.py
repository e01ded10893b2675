"""Outcome reports go out at least once, whatever the reports queue does meanwhile."""

import asyncio
from itertools import pairwise

import pytest

from tests.unit.dispatch.events import create, delivery, uuid
from tests.unit.dispatch.world import World
from tests.unit.reports.outbox import Room, id_of
from tests.virtual_time import about


async def test_reports_go_out_in_batches_and_leave_the_outbox(room: Room) -> None:
    reports = room.reports()
    records = [await room.rejected(number) for number in range(25)]
    assert await room.outbox() == 25
    await asyncio.gather(*(reports.deliver(record) for record in records))
    assert [len(ids) for _, ids in room.wire.tried] == [10, 10, 5]
    assert [message.id for message in room.wire.taken] == [id_of(record) for record in records], "in order"
    assert room.runtime.monotonic() < 0.1
    await reports.flush()
    assert await room.outbox() == 0
    assert room.metrics.registry.get_sample_value("agentd_reports_sent_total", {"kind": "outcome"}) == 25
    assert room.health.ailments() == ()


async def test_one_report_that_is_asked_for_twice_at_once_goes_out_once(room: Room) -> None:
    reports, record = room.reports(), await room.rejected(1)
    await asyncio.gather(reports.deliver(record), reports.deliver(record))
    assert [message.id for message in room.wire.taken] == [id_of(record)]
    await reports.deliver(record)
    assert [message.id for message in room.wire.taken] == [id_of(record)] * 2, "a repeat is sent again, under its id"


async def test_a_refused_report_holds_up_nobody_and_is_tried_again(room: Room) -> None:
    reports = room.reports()
    bad = await room.rejected(0)
    room.wire.refused = {id_of(bad)}
    delayed = room.begin(reports.deliver(bad))
    for number in range(1, 101):
        await reports.deliver(await room.rejected(number))
        await room.runtime.sleep(0.5)
    assert 50 <= room.runtime.monotonic() < 50.1, "every other one went out at once"
    assert await room.outbox() == 1, "it alone"
    tries = [at for at, ids in room.wire.tried if id_of(bad) in ids]
    assert 4 < len(tries) < 30, "less and less often"
    assert not delayed.done()
    room.wire.refused = set()
    await delayed
    await reports.flush()
    assert await room.outbox() == 0
    assert room.runtime.monotonic() <= 50 + 30
    assert [message.id for message in room.wire.taken].count(id_of(bad)) == 1


async def test_while_the_queue_is_down_it_is_asked_less_and_less_often_and_then_everything_goes_out_once(
    room: Room,
) -> None:
    room.wire.down = True
    reports = room.reports(left_behind_s=3600)
    records = [await room.rejected(number) for number in range(25)]
    waiting = [room.begin(reports.deliver(record)) for record in records]
    await room.runtime.sleep(600)
    tried = [at for at, _ in room.wire.tried]
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    ceilings = [0.5, 1, 2, 4, 8, 16, 30, *[30] * len(pauses)]
    assert all(pause <= ceiling + 1e-6 for pause, ceiling in zip(pauses, ceilings, strict=False))
    assert 20 < len(tried) < 80
    assert await room.outbox() == 25, "taken out of it only once the queue has taken them"
    assert not any(task.done() for task in waiting)
    assert room.health.ailments() == (), "a lost control plane restarts no agent"

    room.wire.down = False
    await reports.flush()
    assert room.runtime.monotonic() <= 630
    assert sorted(message.id for message in room.wire.taken) == sorted(id_of(record) for record in records)
    assert await room.outbox() == 0
    await asyncio.wait(waiting)
    assert [task.exception() for task in waiting] == [None] * 25


async def test_a_caller_that_gives_up_does_not_take_its_report_along(room: Room) -> None:
    room.wire.down = True
    reports, record = room.reports(), await room.rejected(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await reports.deliver(record)
    room.wire.down = False
    await reports.flush()
    assert [message.id for message in room.wire.taken] == [id_of(record)]


async def test_a_ledger_that_cannot_be_told_of_a_report_is_told_later(room: Room, world: World) -> None:
    reports, record = room.reports(sweep_interval_s=1, left_behind_s=2), await room.rejected(1)
    with world.file_locked():
        await reports.deliver(record)
        await room.runtime.sleep(20)
        assert await room.outbox() == 1
    await room.runtime.sleep(1)
    assert await room.outbox() == 0
    assert [message.id for message in room.wire.taken] == [id_of(record)], "nobody took it for left behind"


async def test_a_crash_before_the_ledger_is_told_sends_the_report_again_under_its_id(room: Room) -> None:
    record = await room.rejected(1)
    crashing = room.reports()
    await crashing.deliver(record)
    room.crash()
    assert await room.outbox() == 1
    room.reports(sweep_interval_s=1, left_behind_s=2)
    await room.runtime.sleep(4)
    assert [message.id for message in room.wire.taken] == [id_of(record)] * 2
    assert await room.outbox() == 0


async def test_many_sent_reports_leave_the_ledger_in_one_operation(room: Room) -> None:
    reports = room.reports()
    await asyncio.gather(*[reports.deliver(await room.rejected(number)) for number in range(100)])
    before = room.ledger.writes.operations
    await room.runtime.sleep(0.2)
    assert (await room.outbox(), room.ledger.writes.operations - before) == (0, 1)


async def test_what_a_stopped_replica_left_behind_is_sent(room: Room) -> None:
    left = await room.rejected(1)
    room.reports(sweep_interval_s=5, left_behind_s=15)
    await room.runtime.sleep(12)
    young = await room.rejected(2)
    await room.runtime.sleep(2)
    assert room.wire.taken == [], "they may still be on their way"
    await room.runtime.sleep(7)
    assert [message.id for message in room.wire.taken] == [id_of(left)]
    await room.runtime.sleep(20)
    assert [message.id for message in room.wire.taken] == [id_of(left), id_of(young)]
    assert await room.outbox() == 0


async def test_intake_pauses_at_the_limit_until_half_of_the_outbox_is_gone(room: Room) -> None:
    room.wire.down = True
    reports = room.reports(outbox_limit=10, sweep_interval_s=5)
    records = [await room.rejected(number) for number in range(9)]
    waiting = [room.begin(reports.deliver(record)) for record in records]
    await room.runtime.sleep(6)
    assert room.full == []
    records.append(await room.rejected(9))
    waiting.append(room.begin(reports.deliver(records[-1])))
    await room.runtime.sleep(6)
    assert room.full == [True]
    assert room.metrics.registry.get_sample_value("agentd_outbox_size") == 10

    room.wire.refused = {id_of(record) for record in records[:6]}
    room.wire.down = False
    await room.runtime.sleep(60)
    assert (await room.outbox(), room.full) == (6, [True])
    room.wire.refused.discard(id_of(records[0]))
    await room.runtime.sleep(60)
    assert (await room.outbox(), room.full) == (5, [True, False])
    room.wire.refused = set()
    await asyncio.wait(waiting)


async def test_an_outbox_that_cannot_be_read_is_looked_into_again(room: Room) -> None:
    left = await room.rejected(1)
    await room.ledger.close()
    room.reports()
    await room.runtime.sleep(60)
    assert room.wire.taken == []
    pulses = {pulse.loop: pulse for pulse in room.health.pulses()}
    assert pulses["outbox-sweep"].progress_age_s < 6
    assert pulses["outbox-sweep"].success_age_s == about(60)
    assert left.sequence == 1


async def test_the_dispatcher_waits_for_its_reports(room: Room, world: World) -> None:
    replica = await world.replica(outlet=room.reports())
    room.wire.down = True
    begun = replica.begin(delivery(create(1, tenantid=uuid(7))))
    await replica.runtime.sleep(10)
    assert not begun.done()
    room.wire.down = False
    await begun
    assert len(room.wire.taken) == 1


async def test_a_message_that_claims_a_lot_makes_a_small_report(room: Room, world: World) -> None:
    """A report that the queue can never take would stay in the outbox for ever, and its message with it."""
    replica = await world.replica(outlet=room.reports())
    much = "x" * 1_000_000
    for number, text in enumerate((create(1, id=much), create(1, type=much), create(1, subject=much))):
        await replica.handle(delivery(text, message_id=f"m-{number}"))
    assert len(room.wire.taken) == 3
    assert all(len(message.body.encode()) < 10_000 for message in room.wire.taken)
