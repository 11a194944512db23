"""What the parts of one worker share."""

from __future__ import annotations

import random
from typing import NamedTuple

from new_stack.queue import Queue
from new_stack.worker.log import EventLog
from new_stack.worker.outage import Outage
from new_stack.worker.roster import Roster
from new_stack.worker.settings import WorkerSettings


class Station(NamedTuple):
    """One worker's settings and tools."""

    settings: WorkerSettings
    queue: Queue
    roster: Roster
    outage: Outage
    log: EventLog
    chance: random.Random

    @property
    def worker_id(self) -> str:
        """The worker's name."""
        return self.settings.worker_id
