"""What the proxy logs, as lines."""

import io
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import structlog

from agentd.telemetry import TelemetryConfig, configure_logs

Line = dict[str, Any]  # one log line
Lines = Callable[[str], Sequence[Line]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The lines so far of one event's name, the debugging ones included."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logs(TelemetryConfig(log_format="json", log_level="debug"), stream)

    def of(event: str) -> Sequence[Line]:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in found if line["event"] == event]

    yield of
    configure_logs(TelemetryConfig(), io.StringIO())
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
