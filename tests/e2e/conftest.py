"""Fixtures of the end-to-end suites."""

import os
from collections.abc import Iterator

import pytest

from tests.servers.kube_control_plane import SERVERS

# Only where there is a real API server to run on: `make test-cluster`.
collect_ignore = [] if "real" in SERVERS else ["test_real_cluster.py"]


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a stack puts into the environment goes with it: the next suite's servers are others."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
