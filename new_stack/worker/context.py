"""What the parts of one worker share: settings, queue, connectors, log, and the back-off while Redis is away."""

from __future__ import annotations

import random
import time
from typing import Any, NamedTuple

from new_stack.backoff import Backoff
from new_stack.log import EventLog
from new_stack.queue import Claimant, Queue, QueueError
from new_stack.worker.connector_registry import ConnectorRegistry
from new_stack.worker.settings import WorkerSettings


class RedisBackoff:
    """One back-off for all loops of a worker while Redis is away, and one log line at each edge of an outage."""

    def __init__(self, log: EventLog, chance: random.Random) -> None:
        self._log = log
        self._backoff = Backoff(first_s=0.05, longest_s=2.0, chance=chance.random)
        self._away_since: float | None = None

    async def pause(self, error: QueueError | None = None) -> None:
        """Wait before the next try. With an error: a call has just failed because Redis is away."""
        if error is not None:
            self.failed(error)
        await self._backoff.pause()

    def failed(self, error: QueueError) -> None:
        """A call failed because Redis is away."""
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._log.warning("redis_away", error=error.detail)

    def succeeded(self) -> None:
        """A call went through."""
        if self._away_since is not None:
            self._log.info("redis_back", away_s=round(time.monotonic() - self._away_since, 3))
            self._away_since = None
            self._backoff.succeeded()


class Told:
    """What the worker tells of itself, beside its services; set once its connectors are open."""

    def __init__(self) -> None:
        self.capabilities: dict[str, Any] = {}
        self.offers = ""
        """What matching looks at of them; empty where it is off."""


class WorkerContext(NamedTuple):
    """One worker's settings and tools."""

    settings: WorkerSettings
    queue: Queue
    connectors: ConnectorRegistry
    redis_backoff: RedisBackoff
    log: EventLog
    chance: random.Random
    told: Told

    @property
    def claimant(self) -> Claimant:
        """As whom the worker claims: for the services that its connectors serve, with what it offers."""
        return Claimant(worker_id=self.settings.worker_id, services=self.connectors.services, offers=self.told.offers)

    @property
    def worker_id(self) -> str:
        """The worker's name."""
        return self.settings.worker_id
