"""What a request's own ids add to a line."""

import io
import json

from agentd.telemetry import TelemetryConfig, bind_call, configure_logs, get_logger

log = get_logger("room")


def test_lines_within_a_call_carry_its_ids() -> None:
    stream = io.StringIO()
    configure_logs(TelemetryConfig(log_format="json"), stream)
    trace = "0af7651916cd43dd8448eb211c80319c"
    with bind_call(request_id="r-1", traceparent=f"00-{trace}-b7ad6b7169203331-01"):
        log.info("first")
    with bind_call(request_id="r-2"):
        log.info("second")
    log.info("third")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line.get("request_id"), line.get("trace_id")) for line in lines] == [
        ("r-1", trace),
        ("r-2", None),
        (None, None),
    ]
