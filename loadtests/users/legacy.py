"""The user that has not been ported: everything over one WebSocket of the old protocol."""

from __future__ import annotations

from harness.load.latencies import Wire
from loadtests.clients import JobClient, LegacyClient
from loadtests.users.jobs import JobUser


class LegacyWebSocketUser(JobUser):
    """Submits over `/ws/client/{id}` and is told of its jobs there. Works against a hub and against a stack."""

    wire = Wire.WEBSOCKET

    def make_client(self) -> JobClient:
        """A WebSocket."""
        return LegacyClient(self.load, self.host or "", self.name)
