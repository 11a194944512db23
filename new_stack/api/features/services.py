"""What the features that the hub had not keep for a whole process."""

from __future__ import annotations

from collections.abc import Callable

from new_stack.api.guard.limits import ByteBudget, ConnectionLimiter
from new_stack.api.operation.metrics import Metrics
from new_stack.api.operation.redis_clock import RedisClock
from new_stack.api.retirement.in_flight import InFlight
from new_stack.api.retirement.retirement import Retirement
from new_stack.api.retirement.usage import UsageCounter
from new_stack.api.settings import ApiSettings
from new_stack.api.sse.large_results import LargeResults
from new_stack.api.streaming.fanout import FanOut
from new_stack.queue.queue import Queue


class FeatureServices:
    """Their limits, counters and clocks; the rest of the services are the hub's as well."""

    def __init__(self, queue: Queue, settings: ApiSettings, fanout: FanOut, clock: Callable[[], float]) -> None:
        self.bodies = ByteBudget(settings.bodies_limit)
        self.limiter = ConnectionLimiter(settings.connections_per_address)
        self.metrics = Metrics()
        self.usage = UsageCounter(queue.usage, clock)
        self.retirement = Retirement(settings, self.usage, InFlight(queue, fanout), clock)
        self.redis_clock = RedisClock(queue, clock)
        self.large_results = LargeResults()
