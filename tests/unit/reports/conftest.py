"""Every test here runs on a virtual clock, with a ledger file of its own."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from tests.unit.dispatch.world import World, new_world
from tests.unit.reports.outbox import Room, new_room
from tests.virtual_time import VirtualTimeLoop


@pytest.hookimpl
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], VirtualTimeLoop]]:
    """The loop of every test in this folder."""
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Dispatchers on one ledger file."""
    async with new_world(tmp_path) as new:
        yield new


@pytest.fixture
async def room(tmp_path: Path, world: World) -> AsyncIterator[Room]:
    """The reports of one replica on the same file."""
    async with new_room(world.path) as new:
        yield new
