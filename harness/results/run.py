"""A run: everything that was found, in one value, written as run.json and read back. Every report is made from it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import msgspec
import psutil

from harness.errors import CouldNotRun
from harness.results.criteria import Criterion, Verdict
from harness.results.figures import Chart, Distribution
from harness.results.formatting import plural
from harness.results.matrix import ScenarioRow
from harness.results.outcomes import DefectRow, FaultRow, Tally, Timeline
from harness.results.power import MutantRow, Score

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
    environment: str = ""
    """Where this was judged for (`--env`): such a run is evidence for `hubgate can-switch`."""
    clients: str = ""
    """The version of the clients whose traffic was played (`--client-version`)."""


class LogFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file kept beside run.json; `path` is below the run's folder."""

    path: str
    about: str


class PreflightRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was looked at before anything was sent to a target that somebody else runs."""

    target: str
    """`hub` or `stack`."""
    what: str
    found: str
    note: str = ""
    """What follows from it for this run, in a sentence."""
    stops: bool = False
    """Whether the run may not go on."""


class Parts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run is made of: a phase brings some of it, and the run has all. Any sequence may be given."""

    criteria: Sequence[Criterion] = ()
    matrix: Sequence[ScenarioRow] = ()
    distributions: Sequence[Distribution] = ()
    charts: Sequence[Chart] = ()
    tallies: Sequence[Tally] = ()
    timelines: Sequence[Timeline] = ()
    faults: Sequence[FaultRow] = ()
    defects: Sequence[DefectRow] = ()
    mutants: Sequence[MutantRow] = ()
    power: Sequence[Score] = ()
    """What share of the mutants was caught: of all, then by room of the stack."""
    logs: Sequence[LogFile] = ()
    preflight: Sequence[PreflightRow] = ()
    left_behind: Sequence[str] = ()
    """Jobs of this run that could not be brought to an end, in sentences."""
    problems: Sequence[str] = ()
    """What is wrong with the results themselves; with any, a run does not pass."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if isinstance(value := getattr(self, name), list):
                msgspec.structs.force_setattr(self, name, tuple(value))

    @classmethod
    def merged(cls, parts: Iterable[Self]) -> Self:
        """All parts as one, in their order."""
        given = list(parts)
        return cls(**{name: [one for part in given for one in getattr(part, name)] for name in cls.__struct_fields__})


class Run(Parts, frozen=True, kw_only=True, omit_defaults=True):
    """One run and what it came to. Made by `conclude`, which gives it its verdict."""

    schema: int
    about: About
    verdict: Verdict
    headline: str
    """The verdict in a sentence."""
    reasons: tuple[str, ...] = ()
    """Why, one sentence each, the weightiest first."""

    @property
    def waived(self) -> list[Criterion]:
        """The criteria that fail and are waived."""
        return [criterion for criterion in self.criteria if criterion.waiver]

    @property
    def outcome(self) -> str:
        """The verdict as a reader sees it: `pass, with 1 waiver`."""
        number = len(self.waived) if self.verdict is Verdict.PASS else 0
        return self.verdict.value + (f", with {plural(number, 'waiver')}" if number else "")


FILE_NAME: Final = "run.json"


class UnreadableRun(CouldNotRun):
    """A run that cannot be read, with a sentence that says why."""


class _Version(msgspec.Struct):
    schema: int


def encode(run: Run) -> bytes:
    """The run as the bytes of run.json. What UTF-8 cannot carry (half of a surrogate pair in a frame) becomes `?`."""
    made = msgspec.to_builtins(run)
    verdict_first = {name: made.pop(name) for name in Run.__struct_fields__[-5:] if name in made} | made
    return msgspec.json.format(msgspec.json.encode(_encodable(verdict_first)), indent=1) + b"\n"


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(part) for name, part in value.items()}
    return [_encodable(part) for part in value] if isinstance(value, list | tuple) else value


def decode(data: bytes, name: str = FILE_NAME) -> Run:
    """Raises UnreadableRun for what is no run, and for one that a newer hubgate wrote."""
    try:
        version = msgspec.json.decode(data, type=_Version).schema
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableRun(f"{name} is not a run of hubgate: {error}") from error
    if version > SCHEMA:
        raise UnreadableRun(
            f"{name} has schema {version}, and this hubgate reads up to {SCHEMA}: read it with a newer hubgate"
        )
    if version < 1:
        raise UnreadableRun(f"{name} has schema {version}, which never was: the first one is 1")
    if version < SCHEMA:
        raise UnreadableRun(
            f"{name} has schema {version}, whose verdicts have other names: read it with the hubgate that wrote it"
        )
    try:
        return msgspec.json.decode(data, type=Run)
    except msgspec.DecodeError as error:
        raise UnreadableRun(f"{name} does not fit schema {version}: {error}") from error


def save(run: Run, folder: Path) -> Path:
    """Write run.json into the folder (made where it is missing) and answer its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    path.write_bytes(encode(run))
    return path


def load(path: Path) -> Run:
    """Read a run from its folder or its file. Raises UnreadableRun."""
    file = path / FILE_NAME if path.is_dir() else path
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UnreadableRun(f"{file} cannot be read: {error.strerror}") from error
    return decode(data, str(file))
