"""The list of metrics for people, made from the metrics themselves."""

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from agentd.telemetry.metrics import Metrics

_HEAD = """# Metrics

As scraped from `/metrics`; made from `agentd/telemetry/metrics.py` by `make generate`. Times are in seconds. A histogram has
the series `_bucket`, `_sum` and `_count`. Labels come from closed sets, never from ids. `process_*` and `python_*` are those
that every Prometheus client for Python has.

| metric | type | labels | unit | meaning |
|---|---|---|---|---|
"""
_UNITS = ("seconds", "bytes", "ratio")


def metrics_reference(metrics: Metrics) -> str:
    """Markdown: every metric as scraped, with type, labels, unit and help."""
    return _HEAD + "".join(_row(instrument) for instrument in _sorted(metrics))


def scraped_name(instrument: MetricWrapperBase) -> str:
    """The name in the exposition: counters get `_total` there."""
    name = next(iter(instrument.describe())).name
    return f"{name}_total" if isinstance(instrument, Counter) else name


def _sorted(metrics: Metrics) -> list[MetricWrapperBase]:
    return sorted(metrics.instruments().values(), key=scraped_name)


def _row(instrument: MetricWrapperBase) -> str:
    family = next(iter(instrument.describe()))
    labels = ", ".join(f"`{label}`" for label in instrument._labelnames)  # noqa: SLF001 - has no public reader
    unit = next((unit for unit in _UNITS if family.name.endswith(f"_{unit}")), "")
    return f"| `{scraped_name(instrument)}` | {_kind(instrument)} | {labels} | {unit} | {family.documentation} |\n"


def _kind(instrument: MetricWrapperBase) -> str:
    return next(kind.__name__.lower() for kind in (Counter, Gauge, Histogram) if isinstance(instrument, kind))
