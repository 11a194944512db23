"""What the parts of one worker share: settings, queue, connectors, log, and the back-off while Redis is away."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from new_stack.backoff import Backoff
from new_stack.log import EventLog
from new_stack.matching import CapabilitiesError, offered
from new_stack.queue import Claimant, Queue, QueueError
from new_stack.settings import SettingsError
from new_stack.worker.capabilities import merged
from new_stack.worker.connector_registry import ConnectorRegistry
from new_stack.worker.settings import WorkerSettings


class RedisBackoff(Backoff):
    """One back-off for all loops of a worker while Redis is away, and one log line at each edge of an outage."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(first_s=0.05, longest_s=2.0)
        self._log = log
        self._away_since: float | None = None

    async def forever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step again and again, through every outage: whatever kind of error Redis answers, it may pass."""
        while True:
            try:
                await step()
            except QueueError as error:
                self.failed(error)
                await self.pause()
            else:
                self.succeeded()

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
            super().succeeded()


class WorkerContext:
    """One worker's settings and tools, and what it tells of itself."""

    def __init__(self, settings: WorkerSettings, queue: Queue, connectors: ConnectorRegistry, log: EventLog) -> None:
        self.settings = settings
        self.queue = queue
        self.connectors = connectors
        self.log = log
        self.redis_backoff = RedisBackoff(log)
        self.worker_id = settings.worker_id

    def tell(self) -> None:
        """Put together what the worker tells of itself, once its connectors are open: its capabilities, and as whom it
        claims, for the services that its connectors serve. Nothing of it is there before.

        Raises SettingsError where that is too much, or makes no sense.
        """
        self.capabilities = merged(self.settings.capabilities, self.connectors.capabilities())
        try:
            offers = offered(self.capabilities) if self.settings.queue.matching else ""
        except CapabilitiesError as error:
            raise SettingsError(f"this worker's connectors and WORKER_CAPABILITIES: {error}.") from error
        self.claimant = Claimant(worker_id=self.worker_id, services=self.connectors.services, offers=offers)
