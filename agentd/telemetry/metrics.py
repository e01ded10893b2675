"""Every metric of the daemon, in one place. Labels come from closed sets, never from ids.

`docs/metrics.md` lists them; a test fails when the two differ.
"""

from typing import Any, Self

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_LONG_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)
_ATTEMPTS = (1, 2, 3, 4, 5, 8, 13)


class _Remembering(MetricWrapperBase):
    """Remembers its children by the labels as given: the library checks, converts and locks at each look-up."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the library's own
        super().__init__(*arguments, **options)
        self._known: dict[tuple[object, ...], Self] = {}

    def labels(self, *values: Any, **named: Any) -> Self:  # noqa: ANN401 - the library's own
        key = (*values, *named.items())
        child = self._known.get(key)
        if child is None:
            child = self._known[key] = super().labels(*values, **named)
        return child

    def remove(self, *values: Any) -> None:  # noqa: ANN401 - the library's own
        self._known.clear()
        super().remove(*values)

    def clear(self) -> None:
        self._known.clear()
        super().clear()


class Counter(_Remembering, prometheus_client.Counter):
    """A number that grows."""


class Gauge(_Remembering, prometheus_client.Gauge):
    """A number that goes up and down."""


class Histogram(_Remembering, prometheus_client.Histogram):
    """How values are distributed."""


class Metrics:
    """The instruments, registered with one registry. Rooms are given the instance; none is global."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()

        self.events_received = self._counter("events_received", "Messages received, redeliveries included.", "queue")
        self.event_outcomes = self._counter("event_outcomes", "Events that ended.", "type", "outcome", "reason")
        self.event_duration = self._histogram(
            "event_duration_seconds", "From receive to durable outcome.", _SECONDS, "type", "outcome"
        )
        self.event_queue_age = self._histogram(
            "event_queue_age_seconds", "From send to first receive.", _LONG_SECONDS, "queue"
        )
        self.event_attempts = self._histogram("event_attempts", "Attempts that an event took.", _ATTEMPTS, "type")
        self.handler_step_duration = self._histogram(
            "handler_step_duration_seconds",
            "One step of a handler, retries in place included.",
            _SECONDS,
            "type",
            "step",
        )
        self.handler_retries = self._counter(
            "handler_retries", "Attempts and steps that met a passing fault.", "type", "reason"
        )
        self.events_in_flight = self._gauge("events_in_flight", "Messages held, by phase.", "state")
        self.events_waiting = self._gauge("events_waiting", "Events held that wait, by what for.", "why")
        self.events_put_off = self._counter(
            "events_put_off", "Events given back to the queue, by what they wait for.", "why"
        )
        self.queue_depth = self._gauge("queue_depth", "Messages that the queue could hand out, roughly.", "queue")
        self.queue_oldest_received_age = self._gauge(
            "queue_oldest_received_age_seconds", "Age, since it was sent, of the oldest message held.", "queue"
        )
        self.oldest_work_age = self._gauge(
            "oldest_work_age_seconds", "Age of the oldest message held, and of the oldest attempt that runs.", "state"
        )
        self.lease_extensions = self._counter("lease_extensions", "Extensions of message visibility.", "result")
        self.acks = self._counter("acks", "Dispositions carried out.", "disposition", "result")
        self.receives = self._counter("receives", "Receive calls.", "queue", "result")
        self.receivers = self._gauge("receivers", "Receivers at work.", "queue")
        self.ledger_operation_duration = self._histogram(
            "ledger_operation_duration_seconds",
            "One operation of the ledger, durable.",
            _SECONDS,
            "operation",
            "result",
        )
        self.ledger_records = self._gauge("ledger_records", "Rows of the ledger, by kind.", "kind")
        self.reports_sent = self._counter("reports_sent", "Reports that the reports queue has taken.", "kind")
        self.outbox_size = self._gauge("outbox_size", "Reports that wait to be sent.")
        self.policy_decisions = self._counter(
            "policy_decisions", "What the customer's policy said of events that were to begin.", "decision"
        )
        self.budget_left = self._gauge("budget_left", "Destructive steps that may be done before somebody has to look.")
        self.budget_stopped = self._gauge("budget_stopped", "1 while destructive steps wait for a release.")
        self.document_broken = self._gauge(
            "document_broken", "1 while what a document says now cannot be used, and the last good one is.", "document"
        )
        self.intake_paused = self._gauge("intake_paused", "1 while nothing is received.", "why")
        self.drift_objects = self._gauge(
            "drift_objects", "Objects that differ from what is desired, in the shards of this replica.", "kind"
        )
        self.drift_comparisons = self._counter(
            "drift_comparisons", "Subjects that were compared with what is desired of them.", "kind", "result"
        )
        self.drift_repairs = self._counter("drift_repairs", "Repairs that were asked for.", "kind")
        self.platform_call_duration = self._histogram(
            "platform_call_duration_seconds", "Calls to the cloud.", _SECONDS, "port", "operation", "code"
        )
        self.proxy_calls = self._counter("proxy_calls", "Calls to the proxy that ended.", "service", "method", "code")
        self.proxy_call_duration = self._histogram(
            "proxy_call_duration_seconds",
            "Calls to the proxy that are no streams, from headers to trailers.",
            _SECONDS,
            "service",
            "method",
        )
        self.proxy_streams = self._gauge("proxy_streams", "Streams of the proxy that are open.", "service", "method")
        self.audit_entries = self._counter("audit_entries", "Entries of the audit log.", "kind")
        self.audit_flush_duration = self._histogram(
            "audit_flush_duration_seconds", "One write of the audit log's entries, durable.", _SECONDS
        )
        self.audit_uploads = self._counter(
            "audit_uploads", "Closed files of the audit log sent to the store.", "result"
        )
        self.audit_upload_age = self._gauge(
            "audit_upload_age_seconds",
            "Age of the oldest closed file of the audit log that has no copy; 0 when all have.",
        )
        self.state_subjects = self._gauge(
            "state_subjects", "Subjects whose state this replica tells the control plane.", "kind"
        )
        self.loop_lag = self._gauge("loop_lag_seconds", "How long the event loop took to answer the last check.")
        self.progress_age = self._gauge("progress_age_seconds", "Since the loop last iterated.", "loop")
        self.success_age = self._gauge(
            "success_age_seconds", "Since the loop last did its work without an error.", "loop"
        )
        self.build_info = self._gauge("build_info", "1, labelled with what is running.", "version", "python")

    def instruments(self) -> dict[str, MetricWrapperBase]:
        """All instruments by attribute name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, MetricWrapperBase)}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"agentd_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"agentd_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"agentd_{name}", text, labels, registry=self.registry, buckets=buckets)
