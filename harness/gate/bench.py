"""What every phase works with: the run's folder and processes, its limits, its options, and a voice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from harness.environment import Processes, Valkey, start_valkey
from harness.gate.findings import Findings
from harness.gate.profiles import Profile
from harness.gate.statements import CriterionId
from harness.gate.thresholds import Least, Limits
from harness.history import CheckResult


class Stage(StrEnum):
    """Where a phase stands, for the live display."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked of the gate. URLs name a side that somebody else started; None is started here."""

    profile: str = "quick"
    out: Path = Path("out")
    legacy: str | None = None
    candidate: str | None = None
    redis: str | None = None
    only: tuple[CriterionId, ...] = ()
    defect: str | None = None
    thresholds: Path | None = None
    seed: int = 1729
    command: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Bench:
    """The bench that phases share. `tell` takes a sentence for the live display, `overlay` is a seeded defect."""

    options: Options
    folder: Path
    processes: Processes
    limits: Limits
    least: Least
    profile: Profile
    tell: Callable[[str], None]
    overlay: Path | None = None
    wanted: frozenset[CriterionId] = field(default_factory=lambda: frozenset(CriterionId))
    checks: list[tuple[str, dict[str, CheckResult]]] = field(default_factory=list)
    """What the checkers said of each phase's history, for criteria that look at all of them."""
    _valkey: Valkey | None = None

    def wants(self, *criteria: CriterionId) -> bool:
        """Whether any of these is to be judged in this run (`--only`)."""
        return bool(self.wanted.intersection(criteria))

    async def valkey(self) -> Valkey:
        """The Valkey that phases share, a database each; started when it is first asked for."""
        if self._valkey is None:
            self._valkey = await asyncio.to_thread(start_valkey, self.processes)
        return self._valkey

    def path(self, *parts: str) -> Path:
        """A path below the run's folder, its parent made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One part of the run. `feeds` are the criteria that it judges: all of them, whatever happens."""

    name: str
    about: str
    feeds: tuple[CriterionId, ...]
    gather: Callable[[Bench], Awaitable[Findings]]
