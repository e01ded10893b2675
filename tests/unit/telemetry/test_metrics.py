"""Children of a metric are found by their labels, however these are given."""

import pytest

from agentd.telemetry import Metrics


def test_same_labels_are_the_same_child() -> None:
    metrics = Metrics()
    metrics.acks.labels("delete", "done").inc()
    metrics.acks.labels(disposition="delete", result="done").inc()
    metrics.acks.labels(result="done", disposition="delete").inc()
    assert metrics.registry.get_sample_value("agentd_acks_total", {"disposition": "delete", "result": "done"}) == 3


def test_cleared_children_begin_anew() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.progress_age.labels("loop").inc()
        assert metrics.registry.get_sample_value("agentd_progress_age_seconds", {"loop": "loop"}) == 1
        metrics.progress_age.clear()
        assert metrics.registry.get_sample_value("agentd_progress_age_seconds", {"loop": "loop"}) is None
    metrics.progress_age.labels("loop").inc()
    metrics.progress_age.remove("loop")
    assert metrics.registry.get_sample_value("agentd_progress_age_seconds", {"loop": "loop"}) is None


def test_wrong_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        Metrics().acks.labels("delete")
