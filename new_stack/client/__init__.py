"""Clients of the server: `HybridClient` for asyncio, `BlockingClient` for everybody else."""

from new_stack.client.client import BlockingClient, HybridClient, Mode
from new_stack.client.errors import (
    ClientError,
    Conflict,
    NotServed,
    RequestRefused,
    ServerUnavailable,
    UnknownJob,
    WaitTimeout,
)
from new_stack.client.timeouts import Timeouts
from new_stack.client.types import Accepted, EventKind, Gap, JobEvent, JobPage, JobState, JobStatus, LogLine, OwnFields

__all__ = [
    "Accepted",
    "BlockingClient",
    "ClientError",
    "Conflict",
    "EventKind",
    "Gap",
    "HybridClient",
    "JobEvent",
    "JobPage",
    "JobState",
    "JobStatus",
    "LogLine",
    "Mode",
    "NotServed",
    "OwnFields",
    "RequestRefused",
    "ServerUnavailable",
    "Timeouts",
    "UnknownJob",
    "WaitTimeout",
]
