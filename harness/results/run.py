"""A run: everything that was found, in one value with a verdict, written as run.json and read back.

Every report is made from it. What contradicts itself in it is said, and then it does not pass.
"""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import msgspec
import psutil

from harness.errors import CouldNotRun
from harness.results.criteria import Criterion, Link, LinkTo, Verdict, combine
from harness.results.figures import Chart, Distribution
from harness.results.formatting import listed, plural, quantity
from harness.results.matrix import ScenarioRow
from harness.results.outcomes import DefectRow, FaultRow, MutantRow, Score, SuiteRow, Tally, Timeline
from harness.results.standing import FigureTrend

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
    baseline: str = ""
    """What it was held against (`--baseline`)."""
    clients: str = ""
    """The version of the clients whose traffic was played (`--client-version`)."""
    only: tuple[str, ...] = ()
    """The criteria that were judged alone (`--only`); none where all were."""
    changed: str = ""
    """What was wrong on purpose with the stack (`--defect`)."""

    @property
    def partial(self) -> str:
        """Why the run does not speak of a whole, sound stack, as a part of a sentence; empty where it does."""
        if self.changed:
            return f"its stack was made wrong on purpose ({self.changed})"
        return f"it judged {listed(list(self.only))} alone" if self.only else ""


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


class PhaseTime(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a phase was at work, in seconds since the run began, and how much of the machine it could have."""

    name: str
    began: float
    seconds: float
    machine_percent: float
    """What others left."""


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
    phases: Sequence[PhaseTime] = ()
    logs: Sequence[LogFile] = ()
    preflight: Sequence[PreflightRow] = ()
    left_behind: Sequence[str] = ()
    """Jobs of this run that could not be brought to an end, in sentences."""
    suites: Sequence[SuiteRow] = ()
    """The tests of the scenario suites."""
    changes: Sequence[FigureTrend] = ()
    """Each figure against the runs that this one was held against."""
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


def conclude(about: About, parts: Parts, *, headline: str | None = None, criteria_in_all: int | None = None) -> Run:
    """The run with its verdict: the criteria's, and inconclusive at best where the results have a problem.

    The problems of `parts` are sentences of the caller's own (a phase that broke off); the checks of `inconsistencies`
    are added. `headline` takes the place of the sentence on replacing the hub, for runs that judge something else. A
    run that tried fewer than `criteria_in_all` does not claim that the stack can replace the hub.
    """
    problems = (*parts.problems, *inconsistencies(parts))
    verdict = judge_run(parts.criteria, problems)
    carried = {name: getattr(parts, name) for name in Parts.__struct_fields__}
    return Run(
        **carried | {"problems": problems},
        schema=SCHEMA,
        about=about,
        verdict=verdict,
        headline=headline or headline_of(verdict, parts.criteria, criteria_in_all),
        reasons=tuple(reasons(verdict, parts.criteria, problems)),
    )


def judge_run(criteria: Iterable[Criterion], problems: Sequence[str]) -> Verdict:
    """The criteria combined; a problem with the results themselves counts as one inconclusive criterion."""
    doubts = [Verdict.INCONCLUSIVE] if problems else []
    return combine([*(criterion.counts_as for criterion in criteria if not criterion.left_out), *doubts])


def inconsistencies(run: Parts) -> list[str]:
    """Where the results contradict themselves: counts that do not add up, ids used twice, links to nothing."""
    return [*_sums(run.tallies), *_doubles(run), *_dangling(run)]


_OPENING: Final = {
    Verdict.PASS: "The stack can replace the hub",
    Verdict.FAIL: "The stack cannot replace the hub yet",
    Verdict.INCONCLUSIVE: "This run cannot tell whether the stack can replace the hub",
}


WHAT_COULD_BE_ASKED: Final = "All that could be asked speaks for it"
"""Of a run that passes, but could not ask its target everything: that is not yet that it can replace the hub."""

_VERBS: Final = {
    Verdict.PASS: ("passes", "pass"),
    Verdict.FAIL: ("fails", "fail"),
    Verdict.INCONCLUSIVE: ("is inconclusive", "are inconclusive"),
}


def headline_of(verdict: Verdict, criteria: Sequence[Criterion], in_all: int | None = None) -> str:
    """The verdict in a sentence; `in_all` is how many criteria a whole run has."""
    judged = [criterion for criterion in criteria if not criterion.left_out]
    count, waivers = len(judged), sum(criterion.waiver is not None for criterion in judged)
    decisive = sum(criterion.counts_as is verdict for criterion in judged)
    beyond = f"; {len(criteria) - count} cannot be asked of this target" if count < len(criteria) else ""
    with_waivers = f", with {plural(waivers, 'waiver')}" if waivers and verdict is Verdict.PASS else ""
    if verdict is Verdict.PASS and in_all is not None and len(criteria) < in_all:
        passed = "1 criterion passes" if count - waivers == 1 else f"{count - waivers} criteria pass"
        tried = f"{passed}{_and(waivers)}, of the {in_all} that a whole run has{beyond}"
        return f"What was tried passes{with_waivers}: {tried}."
    opening = WHAT_COULD_BE_ASKED if verdict is Verdict.PASS and beyond else _OPENING[verdict]
    return f"{opening}{with_waivers}: {_detail(verdict, count, decisive, waivers)}{beyond}."


def _detail(verdict: Verdict, count: int, decisive: int, waivers: int) -> str:
    if not count:
        return "nothing was judged"
    if not decisive:
        return "the results contradict themselves or are not complete"
    one, several = _VERBS[verdict]
    if waivers and verdict is Verdict.PASS:
        return f"{count - waivers} of {count} criteria pass{_and(waivers)}"
    if count == 1:
        return f"the one criterion that was tried {one}"
    if verdict is Verdict.PASS:
        return f"all {count} criteria pass"
    return f"{decisive} of {count} criteria {one if decisive == 1 else several}{_and(waivers)}"


def _and(waivers: int) -> str:
    return f" and {waivers} {'is' if waivers == 1 else 'are'} waived" if waivers else ""


def reasons(verdict: Verdict, criteria: Sequence[Criterion], problems: Sequence[str]) -> list[str]:
    """Why the verdict is what it is: what is waived, each criterion that decides it, then the problems."""
    waivers = [
        f"Waived until {c.waiver.expires} by {c.waiver.owner}: {c.title}. {c.waiver.reason} {c.reason}"
        for c in criteria
        if c.waiver
    ]
    decisive = [] if verdict is Verdict.PASS else [c for c in criteria if c.counts_as is verdict and not c.left_out]
    said = {criterion.explanation for criterion in decisive}
    more = [problem for problem in dict.fromkeys(problems) if problem not in said]
    return [*waivers, *(f"{criterion.title}: {criterion.explanation}" for criterion in decisive), *more]


def _sums(tallies: Iterable[Tally]) -> Iterator[str]:
    for tally in tallies:
        below = [part.label for part in tally.classes if part.count < 0]
        if below:
            yield f"{tally.title}: fewer than no {tally.total_label} are in {listed(below)}."
        if tally.unaccounted > 0:
            yield f"{tally.title}: {tally.unaccounted:,} of {tally.total:,} {tally.total_label} are in no class."
        elif tally.unaccounted < 0:
            yield (
                f"{tally.title}: the classes hold {quantity(-tally.unaccounted)} more than the {tally.total:,} "
                f"{tally.total_label} there are."
            )


def _doubles(run: Parts) -> Iterator[str]:
    for kind, names in _names(run).items():
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            yield f"More than one {kind} is called {listed(twice)}."


def _names(run: Parts) -> dict[str, list[str]]:
    return {
        "criterion": [criterion.id for criterion in run.criteria],
        LinkTo.CELL: [f"{row.name}/{cell.column}" for row in run.matrix for cell in row.cells],
        LinkTo.FIGURE: [*(plot.id for plot in run.distributions), *(plot.id for plot in run.charts)],
        LinkTo.TIMELINE: [timeline.id for timeline in run.timelines],
        LinkTo.TALLY: [tally.id for tally in run.tallies],
        LinkTo.FAULT: [fault.id for fault in run.faults],
        LinkTo.DEFECT: [defect.id for defect in run.defects],
        LinkTo.SUITE: [row.ref for row in run.suites],
    }


def _dangling(run: Parts) -> Iterator[str]:
    names = {kind: set(values) for kind, values in _names(run).items()}
    for owner, links in _links(run):
        for link in links:
            if link.to is not LinkTo.FILE and link.ref not in names[link.to]:
                yield f"{owner} points to the {link.to} {link.ref}, which is not in the results."


def _links(run: Parts) -> Iterator[tuple[str, Sequence[Link]]]:
    for criterion in run.criteria:
        yield criterion.title, criterion.links
    for fault in run.faults:
        yield fault.title, fault.links
