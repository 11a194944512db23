"""What this process counts. Its text is made where somebody asks for it (`exposition`)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Final

from aiohttp import web

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Told apart by name; a caller could invent others without end."""


class Durations:
    """How many took how long, by bucket, and all together."""

    def __init__(self) -> None:
        self.by_bucket = [0] * (len(BUCKETS) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.by_bucket[bisect_left(BUCKETS, seconds)] += 1
        self.total_s += seconds


class Metrics:
    """The counters of this process, each by its labels."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """By method, route and status."""
        self.durations: defaultdict[tuple[str, str], Durations] = defaultdict(Durations)
        """By method and route."""
        self.submitted: Counter[str] = Counter()
        """By interface."""
        self.frames: Counter[tuple[str, str]] = Counter()
        """By role and direction."""
        self.reaped = 0

    def answered(self, request: web.Request, response: web.StreamResponse, seconds: float) -> None:
        """Count one request, by its route's pattern; a stream has no duration."""
        route = request.match_info.route.resource
        pattern = route.canonical if route is not None else "(none)"
        self.request(request.method, pattern, response.status, seconds if isinstance(response, web.Response) else None)

    def request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one answered HTTP request; `route` is its pattern, never its path; a stream has no duration."""
        method = method if method in METHODS else "other"
        self.requests[method, route, str(status)] += 1
        if seconds is not None:
            self.durations[method, route].observe(seconds)
