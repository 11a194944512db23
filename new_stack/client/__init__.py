"""Clients of the server: `HybridClient` for asyncio, `BlockingClient` for everybody else."""

from new_stack.client.blocking import BlockingClient
from new_stack.client.client import HybridClient, Mode
from new_stack.client.errors import (
    ClientError,
    Conflict,
    NotServed,
    RequestRefused,
    ServerUnavailable,
    UnknownJob,
    WaitedTooLong,
)
from new_stack.client.patience import Patience
from new_stack.client.words import Accepted, Gap, JobEvent, JobPage, JobStatus
from new_stack.queue.events import EventKind
from new_stack.queue.jobs import JobState

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
    "Mode",
    "NotServed",
    "Patience",
    "RequestRefused",
    "ServerUnavailable",
    "UnknownJob",
    "WaitedTooLong",
]
