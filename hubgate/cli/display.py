"""The live display of a run: a line for each phase, what it is doing, how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.gate.context import Phase, PhaseStatus

_STYLE: Final = {
    PhaseStatus.WAITING: "dim",
    PhaseStatus.RUNNING: "bold",
    PhaseStatus.DONE: "green",
    PhaseStatus.BROKEN: "red",
}
_MARK: Final = {PhaseStatus.WAITING: "·", PhaseStatus.RUNNING: "▸", PhaseStatus.DONE: "✓", PhaseStatus.BROKEN: "✗"}

LOG_EVERY_S: Final = 15.0


class Display:
    """Shows where each phase stands. On a terminal the lines move; in a log each change is one line."""

    def __init__(self, phases: Iterable[Phase], console: Console) -> None:
        self._console = console
        self._rows = {phase.name: (PhaseStatus.WAITING, phase.about) for phase in phases}
        self._since: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._told_at = time.monotonic()
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def report(self, phase: Phase, status: PhaseStatus, sentence: str) -> None:
        """Take where a phase stands now."""
        before, _ = self._rows.get(phase.name, (PhaseStatus.WAITING, ""))
        self._rows[phase.name] = (status, sentence or phase.about)
        if status is PhaseStatus.RUNNING:
            self._since.setdefault(phase.name, time.monotonic())
        else:
            self._took[phase.name] = time.monotonic() - self._since.get(phase.name, time.monotonic())
        if not self._console.is_terminal and (before is not status or self._is_time()):
            self._console.print(
                f"{_MARK[status]} {phase.name}: {sentence or phase.about}", markup=False, highlight=False
            )

    def _is_time(self) -> bool:
        """In a log, what a phase is doing is told at times, not at each step."""
        now = time.monotonic()
        if now - self._told_at < LOG_EVERY_S:
            return False
        self._told_at = now
        return True

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for name, (status, sentence) in self._rows.items():
            seconds = self._took.get(name) or (time.monotonic() - self._since[name] if name in self._since else None)
            clock = "" if seconds is None else f"{seconds:.0f} s"
            style = _STYLE[status]
            table.add_row(Text(_MARK[status], style), Text(name, style), Text(sentence, "dim"), Text(clock, "dim"))
        return table
