"""Every test here runs on a virtual clock."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from tests.unit.dispatch.world import World, new_world
from tests.virtual_time import VirtualTimeLoop


@pytest.hookimpl
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], VirtualTimeLoop]]:
    """The loop of every test in this folder."""
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Replicas on one ledger file."""
    async with new_world(tmp_path) as new:
        yield new
