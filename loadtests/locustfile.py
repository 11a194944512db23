"""`locust -f loadtests/locustfile.py --host http://127.0.0.1:8000`: all of hubgate's users, options and figures."""

from __future__ import annotations

from locust import events

from loadtests.swarm import install
from loadtests.users import HybridUser, LegacyWebSocketUser, ModernSseUser, MonitorUser, SseMonitorUser

__all__ = ["HybridUser", "LegacyWebSocketUser", "ModernSseUser", "MonitorUser", "SseMonitorUser"]

LegacyWebSocketUser.weight = 10
ModernSseUser.weight = 8
HybridUser.weight = 1
MonitorUser.weight = 1
SseMonitorUser.weight = 1

install(events)
