"""The names of everything in Redis, for the few reads that go past the functions library."""

from __future__ import annotations

import msgspec


class Keys(msgspec.Struct, frozen=True):
    """Every key starts with the prefix; the Lua library derives its keys from `pending` alone (functions/shared)."""

    prefix: str = ""

    @property
    def pending(self) -> str:
        """The line, a sorted set; also the key by which each function call is routed and learns the prefix."""
        return f"{self.prefix}jobs:pending"

    @property
    def wake(self) -> str:
        """The list on which idle workers wait: one token for each job that may be claimed, at most."""
        return f"{self.prefix}jobs:wake"

    @property
    def events(self) -> str:
        """The stream of all jobs' events."""
        return f"{self.prefix}events"

    def job(self, job_id: str) -> str:
        """One job's record, a hash."""
        return f"{self.prefix}job:{job_id}"

    def progress(self, job_id: str) -> str:
        """The stream of one job's events."""
        return f"{self.prefix}progress:{job_id}"

    def signals(self, worker_id: str) -> str:
        """The list of words to one worker."""
        return f"{self.prefix}worker:{worker_id}:signals"
