"""Clients that work under gevent: every wait gives the other users of the process their turn."""

from __future__ import annotations

from typing import Protocol

from loadtests.clients.legacy import LegacyClient
from loadtests.clients.modern import ModernClient

__all__ = ["JobClient", "LegacyClient", "ModernClient"]


class JobClient(Protocol):
    """One client's way to submit jobs and be told about them."""

    def open(self) -> None:
        """Connect."""

    def submit(self, job_id: str, intended: float) -> None:
        """Send a job; its news go to the load as they come."""

    def audit(self, timeout_s: float) -> None:
        """Ask the server what became of every job whose end was not seen."""

    def close(self) -> None:
        """Disconnect."""
