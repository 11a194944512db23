"""Locust users for a hub or a stack, to be used from any locustfile. Locust runs only subclasses of them:

from loadtests.users import LegacyWebSocketUser, constant_arrivals

class OldClient(LegacyWebSocketUser):
    host = "http://127.0.0.1:8000"
    wait_time = constant_arrivals(5)
"""

from loadtests.users.jobs import HybridUser as HybridUser
from loadtests.users.jobs import JobUser as JobUser
from loadtests.users.jobs import LegacyWebSocketUser as LegacyWebSocketUser
from loadtests.users.jobs import ModernSseUser as ModernSseUser
from loadtests.users.jobs import TwinWebSocketUser as TwinWebSocketUser
from loadtests.users.jobs import constant_arrivals as constant_arrivals
from loadtests.users.monitors import MonitorUser as MonitorUser
from loadtests.users.monitors import SlowReaderUser as SlowReaderUser
from loadtests.users.monitors import SseMonitorUser as SseMonitorUser
