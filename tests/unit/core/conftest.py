"""Every test here runs on a virtual clock."""

from collections.abc import Callable, Mapping

import pytest

from tests.virtual_time import VirtualTimeLoop


@pytest.hookimpl
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], VirtualTimeLoop]]:
    """The loop of every test in this folder."""
    return {"virtual": VirtualTimeLoop}
