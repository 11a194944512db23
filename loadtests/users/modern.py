"""The user that has been ported: REST to submit, server-sent events to follow."""

from __future__ import annotations

from harness.load.latencies import Wire
from loadtests.clients import JobClient, ModernClient
from loadtests.users.jobs import JobUser


class ModernSseUser(JobUser):
    """Posts to `/api/jobs` and follows each job at `/api/jobs/{id}/progress`."""

    wire = Wire.SSE

    def make_client(self) -> JobClient:
        """REST and server-sent events."""
        return ModernClient(self.load, self.host or "", self.name)
