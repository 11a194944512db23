"""The one set of actors: clients and monitors of both protocols, workers of the hub. They use nothing but the wire.

`sessions` and `hub_worker.WorkerSession` have no I/O: what to send, and what it means that is received, as `JobEvent`s.
The rest is the same over asyncio (`transport` has its one opener of WebSockets and its one reader of event streams).
`recorders` write down as history what the parties of a run see.
"""

from harness.clients.hub_clients import Disconnected as Disconnected
from harness.clients.hub_clients import ExpectationTimeout as ExpectationTimeout
from harness.clients.hub_clients import LegacyClient as LegacyClient
from harness.clients.hub_clients import Monitor as Monitor
from harness.clients.hub_clients import Received as Received
from harness.clients.hub_clients import RecordingSocket as RecordingSocket
from harness.clients.hub_clients import SubmissionRefused as SubmissionRefused
from harness.clients.hub_worker import HubWorker as HubWorker
from harness.clients.stack_client import ModernClient as ModernClient
from harness.clients.stack_client import StreamEvent as StreamEvent
from harness.clients.transport import Refused as Refused
from harness.clients.transport import Unreachable as Unreachable
