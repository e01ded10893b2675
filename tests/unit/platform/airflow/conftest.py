"""Every test here runs on a virtual clock: servers are in this process, and minutes take no time."""

from collections.abc import Callable, Mapping

import pytest

from tests.virtual_time import SocketTimeLoop


@pytest.hookimpl
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], SocketTimeLoop]]:
    """The loop of every test in this folder."""
    return {"virtual": SocketTimeLoop}
