"""The books, and that what is wrong with them is found."""

import asyncio
from contextlib import ExitStack

import pytest

from agentd.bus import DeliveryTable, Received
from agentd.bus.table import Row, Stop
from agentd.core import Delivery, Phase
from agentd.telemetry import Metrics


def _row(message_id: str = "m") -> Row:
    return Row(Delivery(message_id, "body", 0.0, "commands"), "receipt", visible_until=60.0, cap_at=600.0)


async def _forever() -> None:
    await asyncio.Event().wait()


async def test_slots_belong_to_receives_then_to_rows() -> None:
    table = DeliveryTable(3, Metrics())
    with table.reserve(10) as first:
        assert (first.size, table.free) == (3, 0)
        with table.reserve(10) as second:
            assert second.size == 0
        row = _row()
        table.admit(row, first)
        task = asyncio.create_task(_forever())
        table.attach(row, task)
        assert (first.size, table.free, table.check()) == (2, 0, None)
    assert (table.free, len(table), table.check()) == (2, 1, None)
    table.remove(row)
    table.remove(row)
    assert (table.free, len(table)) == (3, 0)
    task.cancel()
    await asyncio.wait({task})
    assert table.check() is None


def test_receives_that_took_as_many_slots_each_give_back_their_own() -> None:
    table = DeliveryTable(4, Metrics())
    with ExitStack() as early, ExitStack() as late:
        first, _ = late.enter_context(table.reserve(2)), early.enter_context(table.reserve(2))
        early.close()
        row = _row()
        table.admit(row, first)
        late.close()
        assert (table.free, len(table)) == (3, 1)


async def test_waits_end_when_a_slot_is_free_and_when_nothing_is_held() -> None:
    table = DeliveryTable(1, Metrics())
    row = _row()
    with table.reserve(1) as reservation:
        table.admit(row, reservation)
    free, empty = asyncio.create_task(table.slot_free()), asyncio.create_task(table.empty())
    await asyncio.sleep(0)
    assert not free.done()
    assert not empty.done()
    table.remove(row)
    await asyncio.gather(free, empty)


async def test_message_has_one_row_and_a_row_one_slot() -> None:
    table = DeliveryTable(2, Metrics())
    with table.reserve(2) as reservation:
        table.admit(_row(), reservation)
        with pytest.raises(ValueError, match="has a row already"):
            table.admit(_row(), reservation)
        table.admit(_row("n"), reservation)
        with pytest.raises(ValueError, match="no slot left"):
            table.admit(_row("o"), reservation)


async def test_task_that_never_began_takes_its_row_along() -> None:
    table = DeliveryTable(1, Metrics())
    row = _row()
    with table.reserve(1) as reservation:
        table.admit(row, reservation)
    task = asyncio.create_task(_forever())
    table.attach(row, task)
    task.cancel()
    await asyncio.wait({task})
    await table.empty()
    assert table.check() is None


async def test_row_without_a_task_is_found() -> None:
    table = DeliveryTable(1, Metrics())
    with table.reserve(1) as reservation:
        table.admit(_row(), reservation)
    assert table.check() == "1 rows without a live task, such as m"


async def test_task_without_a_row_is_found() -> None:
    table = DeliveryTable(1, Metrics())
    row = _row()
    with table.reserve(1) as reservation:
        table.admit(row, reservation)
    task = asyncio.create_task(_forever())
    table.attach(row, task)
    table.remove(row)
    assert table.check() == "1 live deliveries, but 0 rows"
    task.cancel()
    await asyncio.wait({task})


async def test_leaked_slot_is_found() -> None:
    table = DeliveryTable(2, Metrics())
    with table.reserve(2) as reservation:
        reservation.size -= 1
        assert table.check() == "2 slots in use, but 0 rows and 1 reserved by receives"
        reservation.size += 1


async def test_gauge_follows_the_phases() -> None:
    metrics = Metrics()
    table = DeliveryTable(1, metrics)
    row = _row()
    with table.reserve(1) as reservation:
        table.admit(row, reservation)
    for phase in (Phase.RUNNING, Phase.RUNNING, Phase.REPORTING, Phase.BUFFERED, Phase.DELETING):
        table.move(row, phase)
        samples = {p: metrics.registry.get_sample_value("agentd_events_in_flight", {"state": p}) for p in Phase}
        assert samples == {p: float(p is phase) for p in Phase}
        assert table.counts()[phase] == 1
    table.remove(row)
    table.move(row, Phase.RUNNING)
    assert table.counts() == dict.fromkeys(Phase, 0)


def test_newest_receipt_counts() -> None:
    row = _row()
    again = Received("m", "newer", "body", receive_count=2, sent_at=None, group=None)
    row.received_again(again, visible_until=90.0, cap_at=700.0)
    assert (row.receipt, row.visible_until, row.cap_at, row.stop) == ("newer", 90.0, 700.0, None)


def test_row_stays_ended_but_a_lost_one_that_comes_back_is_shown_again() -> None:
    row = _row()
    row.end(Stop.LOST)
    row.end(Stop.PARKED)
    stops = [row.stop]
    row.received_again(Received("m", "newer", "", 2, None, None), visible_until=90.0, cap_at=700.0)
    stops.append(row.stop)
    assert stops == [Stop.LOST, Stop.RELEASED]
