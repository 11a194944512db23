"""Locust users for a hub or a stack, to be used from any locustfile. Locust runs only subclasses of them:

from loadtests.users import LegacyWebSocketUser, constant_arrivals

class OldClient(LegacyWebSocketUser):
    host = "http://127.0.0.1:8000"
    wait_time = constant_arrivals(5)
"""

from loadtests.users.jobs import (
    HybridUser,
    JobUser,
    LegacyWebSocketUser,
    ModernSseUser,
    TwinWebSocketUser,
    constant_arrivals,
)
from loadtests.users.monitors import MonitorUser, SlowReaderUser, SseMonitorUser

__all__ = [
    "HybridUser",
    "JobUser",
    "LegacyWebSocketUser",
    "ModernSseUser",
    "MonitorUser",
    "SlowReaderUser",
    "SseMonitorUser",
    "TwinWebSocketUser",
    "constant_arrivals",
]
