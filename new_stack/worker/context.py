"""What the parts of one worker share."""

from __future__ import annotations

import random
from typing import NamedTuple

from new_stack.queue import Queue
from new_stack.worker.connector_registry import ConnectorRegistry
from new_stack.worker.log import EventLog
from new_stack.worker.outage import Outage
from new_stack.worker.settings import WorkerSettings


class WorkerContext(NamedTuple):
    """One worker's settings and tools."""

    settings: WorkerSettings
    queue: Queue
    connectors: ConnectorRegistry
    outage: Outage
    log: EventLog
    chance: random.Random

    @property
    def worker_id(self) -> str:
        """The worker's name."""
        return self.settings.worker_id
