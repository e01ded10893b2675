"""Structured logs: events with a closed set of keys, bound by context, secrets redacted."""

import structlog
from structlog.typing import FilteringBoundLogger


def get_logger(room: str) -> FilteringBoundLogger:
    """A logger whose lines carry the room's name. Log events, not sentences: `log.info("delivery.done", ...)`."""
    logger: FilteringBoundLogger = structlog.get_logger(room=room)
    return logger
