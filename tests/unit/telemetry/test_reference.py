"""The documented metrics are the metrics."""

import re
from pathlib import Path

import agentd
from agentd.telemetry import Metrics, metrics_reference
from agentd.telemetry.reference import scraped_name

_DOCUMENT = Path(agentd.__file__).parents[1] / "docs" / "metrics.md"

# The contract's list, section 8, without what belongs to parts that do not exist yet: proxy, tunnel, drift, certificates.
_CONTRACT = {
    "events_received_total": (),
    "event_outcomes_total": ("type", "outcome", "reason"),
    "event_duration_seconds": ("type", "outcome"),
    "event_queue_age_seconds": (),
    "event_attempts": (),
    "handler_step_duration_seconds": ("type", "step"),
    "handler_retries_total": ("type", "reason"),
    "events_in_flight": ("state",),
    "events_waiting": ("why",),
    "queue_depth": ("queue",),
    "queue_oldest_received_age_seconds": ("queue",),
    "lease_extensions_total": (),
    "acks_total": (),
    "ledger_operation_duration_seconds": (),
    "reports_sent_total": (),
    "platform_call_duration_seconds": ("port", "operation", "code"),
    "loop_lag_seconds": (),
    "progress_age_seconds": ("loop",),
    "success_age_seconds": ("loop",),
    "build_info": (),
}


def test_the_document_is_current() -> None:
    assert _DOCUMENT.read_text(encoding="utf-8") == metrics_reference(Metrics()), "write it anew: make generate"


def test_the_contracts_metrics_exist_with_their_labels() -> None:
    labels = {scraped_name(metric): metric._labelnames for metric in Metrics().instruments().values()}
    for name, wanted in _CONTRACT.items():
        assert f"agentd_{name}" in labels
        if wanted:
            assert labels[f"agentd_{name}"] == wanted


def test_the_document_names_metrics_as_they_are_scraped() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", _DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in rows)
    assert len(rows) == len(Metrics().instruments())


def test_labels_are_never_ids() -> None:
    for metric in Metrics().instruments().values():
        assert not [label for label in metric._labelnames if label.endswith("id") or "url" in label]
