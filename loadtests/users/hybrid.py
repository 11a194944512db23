"""The user in the middle of the migration: it speaks both protocols, one at a time."""

from __future__ import annotations

import itertools
from typing import Any

from harness.load.latencies import Transport
from harness.load.population import PlannedJob
from loadtests.clients import JobClient, LegacyClient, ModernClient
from loadtests.transport import ConnectionFailed
from loadtests.users.jobs import JobUser

_places = itertools.count()
GOLDEN = 0.6180339887498949
"""Its multiples, modulo 1, spread any number of users evenly between 0 and 1."""


class HybridUser(JobUser):
    """Speaks the old protocol while its place lies below the load's share of legacy users, else the new one.

    Whether to switch is decided before each job. Jobs in flight are followed to their end in the language they were
    submitted in, as by a client that is replaced while its work runs.
    """

    abstract = True

    def __init__(self, environment: Any) -> None:
        self.place = (next(_places) * GOLDEN) % 1.0
        super().__init__(environment)

    def make_client(self) -> JobClient:
        """Both, as one client."""
        return HybridJobClient(self)


class HybridJobClient:
    """Two clients, each opened when it is first needed; each job goes by the one in force."""

    def __init__(self, user: HybridUser) -> None:
        self._user = user
        host = user.host or ""
        self._legacy = LegacyClient(user.load, host, f"{user.name}-old")
        self._modern = ModernClient(user.load, host, f"{user.name}-new")
        self._open: set[Transport] = set()

    def open(self) -> None:
        """Connect in the language in force."""
        self._current()

    def submit(self, job: PlannedJob, intended: float) -> None:
        """Send a job in the language in force now."""
        try:
            client = self._current()
        except ConnectionFailed as error:
            self._user.load.error(Transport.WEBSOCKET, "connection", str(error))
            client = self._legacy
        client.submit(job, intended)

    def audit(self) -> None:
        """Ask after the jobs of both."""
        self._legacy.audit()
        self._modern.audit()

    def close(self) -> None:
        """Disconnect both."""
        self._legacy.close()
        self._modern.close()

    def _current(self) -> JobClient:
        old = self._user.place < self._user.load.legacy_share
        transport = Transport.WEBSOCKET if old else Transport.SSE
        client: JobClient = self._legacy if old else self._modern
        if transport not in self._open:
            client.open()
            self._open.add(transport)
        if not old and Transport.WEBSOCKET in self._open and self._legacy.idle:
            self._legacy.close()
            self._open.discard(Transport.WEBSOCKET)
        return client
