"""A send that never ends is cut; one that cannot be cut is named within 15 s of the time that it was given."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentd.reports import Message
from tests.unit.reports.outbox import Room, Wire, id_of


@dataclass(slots=True)
class HangingWire(Wire):
    """A reports queue that answers nothing before it is `released`; `stubborn`: its calls cannot even be cancelled."""

    released: asyncio.Event = field(default_factory=asyncio.Event)
    stubborn: bool = False

    async def send(self, messages: Sequence[Message]) -> Sequence[str | None]:
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise
        return await Wire.send(self, messages)


async def test_a_send_that_hangs_is_cut_and_tried_again(room: Room) -> None:
    wire = HangingWire()
    room.wire = wire
    reports, record = room.reports(), await room.rejected(1)
    waiting = room.begin(reports.deliver(record))
    for _ in range(120):
        assert room.health.look().ailments == (), "the queue is lost, and no restart brings it back"
        await room.runtime.sleep(1)
    wire.released.set()
    async with asyncio.timeout(60):
        await waiting
    assert [message.id for message in wire.taken] == [id_of(record)]


async def test_an_outbox_that_stands_still_is_named(room: Room) -> None:
    wire = HangingWire(stubborn=True)
    room.wire = wire
    reports, record = room.reports(), await room.rejected(1)
    waiting = room.begin(reports.deliver(record))
    async with asyncio.timeout(15 + 15):
        while not (ailments := [one for one in room.health.look().ailments if "loop outbox " in one]):
            await room.runtime.sleep(1)
    assert ailments[0].endswith(" (allowed: 25 s), since it began sending a batch of 1")
    wire.released.set()
    await waiting
    await room.runtime.sleep(2)
    assert [one for one in room.health.look().ailments if "loop outbox " in one] == []
