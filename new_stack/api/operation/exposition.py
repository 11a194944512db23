"""The page that Prometheus reads: what this process counts, its own figures, and the queue's.

Imported where somebody asks for the page: its library takes 1.6 MB, which a process that nobody scrapes can do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from new_stack.api.operation.metrics import BUCKETS, Metrics
from new_stack.api.snapshot import Snapshot
from new_stack.queue.jobs import JobState

SERVICES_SHOWN: Final = 100
NAME_SHOWN: Final = 64
OTHERS: Final = "(others)"

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def page(
    metrics: Metrics, process: Mapping[str, int], connections: Mapping[str, int], snapshot: Snapshot | None
) -> bytes:
    """The page: the counters, the process's own figures, and the queue's while it is up."""
    registry = CollectorRegistry()
    registry.register(_Figures(metrics, process, connections, snapshot))
    return generate_latest(registry)


class _Figures(Collector):
    """What was counted, and what is true at this moment."""

    def __init__(
        self,
        metrics: Metrics,
        process: Mapping[str, int],
        connections: Mapping[str, int],
        snapshot: Snapshot | None,
    ) -> None:
        self._metrics = metrics
        self._process = process
        self._connections = connections
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Every family, with its values."""
        yield from _counted(self._metrics)
        yield _gauge("connections", "Long-lived connections of this process.", "role", self._connections)
        yield _gauge("subscribers", "Readers that the fan-out serves.", value=self._process["subscribers"])
        for name, text in (
            ("events_published", "Events read and handed out."),
            ("slow_readers", "Readers disconnected because they were too slow."),
        ):
            yield CounterMetricFamily(f"hubgate_{name}_total", text, self._process[name])
        yield _gauge("redis_up", "Whether Redis answered.", value=int(self._snapshot is not None))
        if self._snapshot is not None:
            yield from _queue(self._snapshot)


def _counted(metrics: Metrics) -> Iterator[Metric]:
    yield _counter("http_requests", "HTTP requests answered.", ("method", "route", "status"), metrics.requests.items())
    seconds = HistogramMetricFamily(
        "hubgate_http_request_seconds", "Time to answer, without streams.", labels=("method", "route")
    )
    bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
    for labels, durations in metrics.durations.items():
        seconds.add_metric(labels, [*zip(bounds, accumulate(durations.by_bucket), strict=True)], durations.total_s)
    yield seconds
    interfaces = (((interface,), count) for interface, count in metrics.submitted.items())
    yield _counter("jobs_submitted", "Jobs accepted by this process, by interface.", ("interface",), interfaces)
    yield _counter("socket_messages", "WebSocket messages, by role.", ("role", "direction"), metrics.frames.items())
    yield _counter("jobs_reaped", "Jobs whose lease this process found expired.", (), [((), metrics.reaped)])


def _counter(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"hubgate_{name}_total", text, labels=labels)
    for key, count in values:
        family.add_metric(key, count)
    return family


def _queue(snapshot: Snapshot) -> Iterator[Metric]:
    counts = snapshot.counts
    states = {state.value: getattr(counts, state) for state in JobState}
    busy = [bool(worker.report.running) for worker in snapshot.workers if worker.alive]
    yield _gauge("jobs", "Jobs by state; ended ones until they expire.", "state", states)
    yield _gauge("jobs_delayed", "Pending jobs that wait for their next attempt.", value=counts.delayed)
    yield _gauge("jobs_pending", "Pending jobs, by service.", "service", _bounded(counts.by_service))
    unserved = {service: counts.by_service.get(service, 0) for service in counts.unserved}
    yield _gauge("jobs_unserved", "Pending jobs that no live worker serves, by service.", "service", _bounded(unserved))
    unmet = {service: one.jobs for service, one in counts.unmet.items()}
    text = "Pending jobs that ask for more than any live worker has that serves their service."
    yield _gauge("jobs_unmet", text, "service", _bounded(unmet))
    workers = {"busy": busy.count(True), "idle": busy.count(False)}
    yield _gauge("workers", "Workers that report in.", "state", workers)


def _bounded(by_service: Mapping[str, int]) -> dict[str, int]:
    """The services with most jobs, and all others as one: a caller could invent names, and series, without end."""
    most = sorted(by_service.items(), key=lambda item: (-item[1], item[0]))
    shown = {name[:NAME_SHOWN]: count for name, count in most[:SERVICES_SHOWN]}
    others = sum(count for _, count in most[SERVICES_SHOWN:])
    return shown | {OTHERS: others} if others else shown


def _gauge(
    name: str, text: str, label: str = "", values: Mapping[str, int] | None = None, *, value: int | None = None
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"hubgate_{name}", text, value=value, labels=[label] if label else None)
    for key, figure in (values or {}).items():
        family.add_metric([key], figure)
    return family
