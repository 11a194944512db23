"""A run: everything that was found, in one value. It is what run.json holds and what every report is made from."""

from __future__ import annotations

import os
import platform
from datetime import datetime
from typing import Final, Self

import msgspec
import psutil

from harness.results.criteria import Criterion
from harness.results.figures import Chart, Distribution
from harness.results.jobs import Tally, Timeline
from harness.results.matrix import ScenarioRow
from harness.results.trials import DefectRow, FaultRow
from harness.results.verdict import Verdict

SCHEMA: Final = 2
"""The version of run.json. A field may be added under the same number; one that goes or changes meaning raises it."""


class Machine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the run took place."""

    system: str
    cores: int
    memory_bytes: int | None = None
    processor: str = ""
    python: str = ""

    @classmethod
    def here(cls) -> Self:
        """The machine that this process runs on."""
        return cls(
            system=f"{platform.system()} {platform.release()}",
            cores=os.cpu_count() or 1,
            memory_bytes=psutil.virtual_memory().total,
            processor=platform.processor() or platform.machine(),
            python=platform.python_version(),
        )


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One side that was judged, or held against. `started_by_us` is false for one given by its URL."""

    name: str
    kind: str
    url: str = ""
    version: str = ""
    started_by_us: bool = True


class About(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which run this is, and what one needs to run it again."""

    id: str
    started_at: datetime
    seconds: float
    profile: str
    command: tuple[str, ...]
    machine: Machine
    versions: dict[str, str] = {}
    targets: tuple[Target, ...] = ()
    revision: str | None = None
    seed: int | None = None


class LogFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file kept beside run.json; `path` is below the run's folder."""

    path: str
    about: str


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run and what it came to. Made by `conclude`, which gives it its verdict."""

    schema: int
    about: About
    verdict: Verdict
    headline: str
    """The verdict in a sentence."""
    reasons: tuple[str, ...] = ()
    """Why, one sentence each, the weightiest first."""
    criteria: tuple[Criterion, ...] = ()
    matrix: tuple[ScenarioRow, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    charts: tuple[Chart, ...] = ()
    tallies: tuple[Tally, ...] = ()
    timelines: tuple[Timeline, ...] = ()
    faults: tuple[FaultRow, ...] = ()
    defects: tuple[DefectRow, ...] = ()
    logs: tuple[LogFile, ...] = ()
    problems: tuple[str, ...] = ()
    """What is wrong with the results themselves; with any, a run does not pass."""
