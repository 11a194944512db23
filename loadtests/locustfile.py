"""`locust -f loadtests/locustfile.py --host http://127.0.0.1:8000`: all of hubgate's users, options and latencies."""

from __future__ import annotations

from locust import events

from loadtests import users
from loadtests.locust_plugin import install


class LegacyWebSocketUser(users.LegacyWebSocketUser):  # noqa: D101 - see the class of that name
    weight = 10


class ModernSseUser(users.ModernSseUser):  # noqa: D101
    weight = 8


class HybridUser(users.HybridUser):  # noqa: D101
    weight = 1


class MonitorUser(users.MonitorUser):  # noqa: D101
    weight = 1


class SseMonitorUser(users.SseMonitorUser):  # noqa: D101
    weight = 1


class TwinWebSocketUser(users.TwinWebSocketUser):  # noqa: D101
    weight = 1


class LegacyRestUser(users.LegacyRestUser):  # noqa: D101
    weight = 1


class SlowReaderUser(users.SlowReaderUser):  # noqa: D101
    weight = 1


install(events)
