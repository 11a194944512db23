"""What this process counts, and the queue's figures, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from new_stack.api.snapshot import Snapshot
from new_stack.queue.jobs import JobState

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Told apart by name; a caller could invent others without end."""

SERVICES_SHOWN: Final = 100
NAME_SHOWN: Final = 64
OTHERS: Final = "(others)"

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each counter, which nobody reads


class Metrics:
    """The counters of this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("http_requests", "HTTP requests answered.", "method", "route", "status")
        self._seconds = Histogram(
            "hubgate_http_request_seconds",
            "Time to answer, without streams.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.submitted = self._counter("jobs_submitted", "Jobs accepted by this process, by interface.", "interface")
        self.frames = self._counter("socket_messages", "WebSocket messages, by role.", "role", "direction")
        self.reaped = self._counter("jobs_reaped", "Jobs whose lease this process found expired.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"hubgate_{name}_total", text, labels, registry=self._registry)

    def request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one answered HTTP request; `route` is its pattern, never its path; a stream has no duration."""
        method = method if method in METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(method, route).observe(seconds)

    def page(self, process: Mapping[str, int], connections: Mapping[str, int], snapshot: Snapshot | None) -> bytes:
        """The page that Prometheus reads: the counters, the process's own figures, and the queue's while it is up."""
        state = CollectorRegistry()
        state.register(_State(process, connections, snapshot))
        return generate_latest(self._registry) + generate_latest(state)


class _State(Collector):
    """Figures that are true at this moment, as opposed to counted."""

    def __init__(self, process: Mapping[str, int], connections: Mapping[str, int], snapshot: Snapshot | None) -> None:
        self._process = process
        self._connections = connections
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Every family, with its values."""
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


def _queue(snapshot: Snapshot) -> Iterator[Metric]:
    counts = snapshot.counts
    states = {state.value: getattr(counts, state) for state in JobState}
    busy = [bool(worker.report.running) for worker in snapshot.workers if worker.alive]
    yield _gauge("jobs", "Jobs by state; ended ones until they expire.", "state", states)
    yield _gauge("jobs_delayed", "Pending jobs that wait for their next attempt.", value=counts.delayed)
    yield _gauge("jobs_pending", "Pending jobs, by service.", "service", _bounded(counts.by_service))
    unserved = {service: counts.by_service.get(service, 0) for service in counts.unserved}
    yield _gauge("jobs_unserved", "Pending jobs that no live worker serves, by service.", "service", _bounded(unserved))
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
