"""Prometheus metrics in the text format, kept by hand: a handful of counters needs no library."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import Final

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Told apart by name; a caller could invent others without end."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """Durations in fixed buckets."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Metrics:
    """What this process has counted."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.durations: dict[tuple[str, str], Histogram] = {}
        self.submitted: Counter[str] = Counter()
        self.frames: Counter[tuple[str, str]] = Counter()
        self.reaped = 0

    def request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one answered HTTP request; `route` is its pattern, never its path; a stream has no duration."""
        method = method if method in METHODS else "other"
        self.requests[(method, route, status)] += 1
        if seconds is None:
            return
        histogram = self.durations.get((method, route))
        if histogram is None:
            histogram = self.durations[(method, route)] = Histogram()
        histogram.observe(seconds)

    def render(self, gauges: Mapping[str, tuple[str, Mapping[Labels, float]]]) -> str:
        """The page that Prometheus reads. `gauges`: name to help text and values by labels."""
        lines: list[str] = []
        _family(lines, "hubgate_http_requests_total", "counter", "HTTP requests answered, by route and status.")
        for (method, route, status), count in sorted(self.requests.items()):
            _sample(lines, "hubgate_http_requests_total", _labels(method, route, status), count)
        _family(lines, "hubgate_http_request_seconds", "histogram", "Time to answer, without streams.")
        for (method, route), histogram in sorted(self.durations.items()):
            _histogram(lines, "hubgate_http_request_seconds", _labels(method, route), histogram)
        _family(lines, "hubgate_jobs_submitted_total", "counter", "Jobs accepted by this process, by interface.")
        for interface, count in sorted(self.submitted.items()):
            _sample(lines, "hubgate_jobs_submitted_total", (("interface", interface),), count)
        _family(lines, "hubgate_socket_messages_total", "counter", "WebSocket messages, by role and direction.")
        for (role, direction), count in sorted(self.frames.items()):
            _sample(lines, "hubgate_socket_messages_total", (("role", role), ("direction", direction)), count)
        _family(lines, "hubgate_jobs_reaped_total", "counter", "Jobs whose lease this process found expired.")
        _sample(lines, "hubgate_jobs_reaped_total", (), self.reaped)
        for name, (text, values) in gauges.items():
            _family(lines, name, "counter" if name.endswith("_total") else "gauge", text)
            for labels, value in values.items():
                _sample(lines, name, labels, value)
        return "\n".join(lines) + "\n"


def _labels(method: str, route: str, status: int | None = None) -> Labels:
    labels: Labels = (("method", method), ("route", route))
    return labels if status is None else (*labels, ("status", str(status)))


def _family(lines: list[str], name: str, kind: str, text: str) -> None:
    lines += (f"# HELP {name} {text}", f"# TYPE {name} {kind}")


def _sample(lines: list[str], name: str, labels: Labels, value: float) -> None:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")


def _histogram(lines: list[str], name: str, labels: Labels, histogram: Histogram) -> None:
    running = 0
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), histogram.counts, strict=True):
        running += count
        _sample(lines, f"{name}_bucket", (*labels, ("le", bound)), running)
    _sample(lines, f"{name}_sum", labels, histogram.total)
    _sample(lines, f"{name}_count", labels, running)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
