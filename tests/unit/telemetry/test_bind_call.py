"""What a request's own ids add to a line."""

import structlog

from agentd.telemetry import bind_call


def test_lines_within_a_call_carry_its_ids() -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with bind_call(request_id="r-1", traceparent=f"00-{trace}-b7ad6b7169203331-01"):
        assert structlog.contextvars.get_contextvars() == {"request_id": "r-1", "trace_id": trace}
    with bind_call(request_id="r-2"):
        assert structlog.contextvars.get_contextvars() == {"request_id": "r-2"}
    assert structlog.contextvars.get_contextvars() == {}
