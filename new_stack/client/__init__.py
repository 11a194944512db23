"""Clients of the server: `HybridClient` for asyncio, `BlockingClient` for everybody else."""

from new_stack.client.blocking import BlockingClient
from new_stack.client.client import HybridClient, Mode, Wanted
from new_stack.client.errors import (
    ClientError,
    Conflict,
    NotServed,
    RequestRefused,
    Retired,
    ServerUnavailable,
    UnknownJob,
    WaitTimeout,
)
from new_stack.client.timeouts import Timeouts
from new_stack.client.types import (
    Accepted,
    Deprecation,
    EventKind,
    Gap,
    JobEvent,
    JobPage,
    JobState,
    JobStatus,
    LogLine,
    OwnFields,
)
from new_stack.failure import JobFailed

__all__ = [
    "Accepted",
    "BlockingClient",
    "ClientError",
    "Conflict",
    "Deprecation",
    "EventKind",
    "Gap",
    "HybridClient",
    "JobEvent",
    "JobFailed",
    "JobPage",
    "JobState",
    "JobStatus",
    "LogLine",
    "Mode",
    "NotServed",
    "OwnFields",
    "RequestRefused",
    "Retired",
    "ServerUnavailable",
    "Timeouts",
    "UnknownJob",
    "WaitTimeout",
    "Wanted",
]
