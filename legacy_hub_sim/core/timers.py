"""What the hub does by itself, and when: stats for monitors, the sweep of stale claims, silent workers."""

from __future__ import annotations

import enum
from typing import Any

from legacy_hub_sim.core import stats
from legacy_hub_sim.core.leaks import Leak
from legacy_hub_sim.core.leaving import drop_silent
from legacy_hub_sim.core.offers import offer_waiting
from legacy_hub_sim.core.peers import Role
from legacy_hub_sim.core.turn import Turn
from legacy_hub_sim.faults import Fault

SILENT_SECONDS = 60
"""A worker heard of less recently than this is disconnected; one in each round."""


class Task(enum.Enum):
    """One of the hub's rounds."""

    CHANGES = "changes"
    STATUS = "status"
    STALE_CLAIMS = "stale claims"
    SILENT_WORKERS = "silent workers"
    OFFERS = "offers"


class Timers:
    """When each round is due, and the last stats that were shown."""

    def __init__(self, started_at: float) -> None:
        self._due = dict.fromkeys(Task, started_at)
        self._shown: dict[str, Any] | None = None

    @property
    def due(self) -> float:
        """When the next round is due."""
        return min(self._due.values())

    def run(self, turn: Turn) -> None:
        """The rounds that are due. A store that cannot be read ends a round; the next comes at its time."""
        for task in Task:
            if self._due[task] <= turn.now:
                self._due[task] = turn.now + self._round(turn, task)

    def _round(self, turn: Turn, task: Task) -> float:
        """One round; returns the seconds until the next."""
        watched = bool(turn.memory.connections[Role.MONITOR])
        try:
            match task:
                case Task.CHANGES if watched:
                    self._show_changes(turn)
                case Task.STATUS if watched:
                    stats.send_status(turn)
                case Task.STALE_CLAIMS:
                    sweep(turn)
                case Task.SILENT_WORKERS:
                    drop_silent(turn, SILENT_SECONDS)
                case Task.OFFERS if Fault.LOST_OFFERS not in turn.faults:
                    offer_waiting(turn)
        except Leak:
            pass  # The hub logs it and goes on; what it wanted to send before is sent.
        match task:
            case Task.CHANGES:
                return 1 if watched else 3
            case Task.STATUS:
                return 5
            case Task.OFFERS:
                return 1
        return 30

    def _show_changes(self, turn: Turn) -> None:
        """Show monitors the stats if they are not those shown last."""
        system = stats.system_stats(turn)
        if system != self._shown:
            self._shown = system
            stats.send_change(turn, system)


def sweep(turn: Turn) -> None:
    """Take back stale claims. That nobody is then offered them is fault `vanished-worker`."""
    taken = turn.jobs.take_back_stale(turn.now)
    if taken and Fault.VANISHED_WORKER not in turn.faults:
        offer_waiting(turn)
