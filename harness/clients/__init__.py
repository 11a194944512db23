"""The one set of actors: clients and monitors of both protocols, workers of the hub. They use nothing but the wire.

`sessions` and `hub_worker.WorkerSession` have no I/O: what to send, and what it means that is received, as `JobEvent`s.
The rest is the same over asyncio (`transport` has its one opener of WebSockets and its one reader of event streams).
`recorders` write down as history what the parties of a run see.
"""

from harness.clients.hub_clients import (
    ExpectationTimeout,
    LegacyClient,
    Monitor,
    Received,
    RecordingSocket,
    SubmissionRefused,
)
from harness.clients.hub_worker import HubWorker
from harness.clients.stack_client import ModernClient, StreamEvent
from harness.clients.transport import Refused, Unreachable

__all__ = [
    "ExpectationTimeout",
    "HubWorker",
    "LegacyClient",
    "ModernClient",
    "Monitor",
    "Received",
    "RecordingSocket",
    "Refused",
    "StreamEvent",
    "SubmissionRefused",
    "Unreachable",
]
