"""Plays cassette files against one side and judges each. What `hubgate replay` calls."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.cassettes import Cassette, Event, Receive, Response, load
from harness.cassettes.replay.compatibility import LeftOut, check_compatible, needs_of
from harness.cassettes.replay.expectations import Deadlines
from harness.cassettes.replay.order_of_work import followed, order_findings, without_crossings
from harness.cassettes.replay.player import DEFAULT_DEADLINES, Transcript, replay
from harness.errors import CouldNotRun
from harness.machine_time import FREE, HALF, NOBODY_WATCHES, QUARTER, MachineLog, MachineTime
from harness.parity import Finding, Noise, parity_of
from harness.parity.alignment import Place
from harness.parity.deviations import Deviations, View
from harness.parity.facts import as_facts, asks_for_facts
from harness.parity.findings import folded
from harness.results import CellVerdict
from harness.results.matrix import FindingKind, judge_cell
from harness.targets import Side, TargetPool
from harness.tasks import few_at_once

NO_DEVIATIONS = Deviations()
STARVED = "It differs, but others had the machine while it was played."
NO_FACTS = "No client of this recording submits or follows a job: there is nothing for another kind of client to do."


class CassetteResult(msgspec.Struct, frozen=True, kw_only=True):
    """One cassette on one side. `verdict` is same, declared, different or inconclusive; the latter has a reason."""

    path: Path
    verdict: CellVerdict
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    left_out: bool = False
    """Whether it cannot be played on a target of somebody else's."""
    cassette: Cassette | None = None
    transcript: Transcript | None = None
    reference: tuple[Event, ...] = ()
    """What it was held against."""
    rows: tuple[Place, ...] = ()
    """Both transcripts side by side, as they were aligned for the comparison."""
    took_s: float = 0.0

    @property
    def name(self) -> str:
        """The scenario."""
        return self.cassette.name if self.cassette else self.path.stem

    @property
    def undeclared(self) -> tuple[Finding, ...]:
        """The findings that count."""
        return tuple(finding for finding in self.findings if not finding.excused)

    @property
    def causes(self) -> tuple[Finding, ...]:
        """Those of them that follow from no other."""
        return tuple(finding for finding in self.undeclared if finding.follows is None)

    def describe(self) -> str:
        """One line for a terminal."""
        following = len(self.undeclared) - len(self.causes)
        first = [one.sentence for one in self.causes[:1]] + [f"{following} more follow"] * bool(following)
        more = self.reason or "; ".join(part.removesuffix(".") for part in first)
        return f"{self.name}: {self.verdict.value}" + (f" ({more})" if more else "")


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """What a side is held against: declared differences count on a stack only."""

    deviations: Deviations = NO_DEVIATIONS
    today: dt.date
    references: Mapping[str, Sequence[Event]] = {}
    """By scenario: another run's events to compare with, instead of the recording itself."""
    noise: Mapping[str, Noise] = {}


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """One cassette played, or the reason why it could not be."""

    path: Path
    cassette: Cassette | None = None
    transcript: Transcript | None = None
    reason: str = ""
    left_out: bool = False
    """Whether it cannot be played on a target of somebody else's."""
    view: View = View.FRAMES
    took_s: float = 0.0
    machine: MachineTime = FREE
    """What others had of the machine meanwhile."""

    def is_left_less_than(self, share: float) -> bool:
        """Whether it had less than that share of the machine."""
        began_s = self.transcript.began_s if self.transcript else None
        return began_s is not None and self.machine.left_less_than(share, began_s, began_s + self.took_s)


async def run_files(
    files: Sequence[Path],
    pool: TargetPool,
    against: Against,
    *,
    at_once: int = 3,
    done: Callable[[CassetteResult], None] = lambda _: None,
) -> list[CassetteResult]:
    """Play every file, some of them at once, and answer the results in the files' order.

    A file that cannot be read or played is inconclusive, with the reason. `done` is called with each result as it
    comes, for a display of progress.
    """

    def judge(played: Played) -> None:
        results[played.path] = judged(played, against)
        done(results[played.path])

    results: dict[Path, CassetteResult] = {}
    await play_files(files, pool, at_once=at_once, done=judge)
    return [results[path] for path in files]


async def play_files(
    files: Sequence[Path],
    pool: TargetPool,
    *,
    deadlines: Deadlines = DEFAULT_DEADLINES,
    at_once: int = 3,
    view: View = View.FRAMES,
    done: Callable[[Played], None] = lambda _: None,
    machine: MachineLog = NOBODY_WATCHES,
) -> list[Played]:
    """Play every file without judging it; the longest recordings begin first, the answer is in the files' order.

    With the view FACTS the clients are played as clients of the stack's own kind.
    """

    async def one(path: Path) -> Played:
        played = await play_file(path, pool, deadlines=deadlines, view=view, machine=machine)
        done(played)
        return played

    longest_first = sorted(set(files), key=recorded_ms, reverse=True)
    made = dict(zip(longest_first, await few_at_once(one, longest_first, at_once), strict=True))
    return [made[path] for path in files]


async def play_file(
    path: Path,
    pool: TargetPool,
    *,
    deadlines: Deadlines = DEFAULT_DEADLINES,
    view: View = View.FRAMES,
    machine: MachineLog = NOBODY_WATCHES,
) -> Played:
    """Play one file."""
    began = time.monotonic()
    cassette = transcript = None
    reason, left_out = "", False
    try:
        cassette = await asyncio.to_thread(load, path)
        if view is View.FACTS and not asks_for_facts(cassette.events):
            reason = NO_FACTS
        else:
            async with pool.acquire(needs_of(cassette)) as target:
                check_compatible(cassette, target)
                modern = view is View.FACTS
                transcript = await replay(cassette, target, deadlines=deadlines, modern_clients=modern, machine=machine)
    except CouldNotRun as error:
        reason, left_out = str(error), isinstance(error, LeftOut)
    took_s = transcript.took_s if transcript else time.monotonic() - began
    return Played(
        path=path,
        cassette=cassette,
        transcript=transcript,
        reason=reason,
        left_out=left_out,
        view=view,
        took_s=took_s,
        machine=machine.time() if transcript else FREE,
    )


def recorded_ms(path: Path) -> float:
    """How long the recording took; 0 where that cannot be read."""
    try:
        return load(path).events[-1].at
    except CouldNotRun:
        return 0.0


def judged(played: Played, against: Against) -> CassetteResult:
    """Compare what was played with its reference and judge it."""
    cassette, transcript = played.cassette, played.transcript
    if cassette is None or transcript is None:
        return CassetteResult(
            path=played.path,
            cassette=cassette,
            verdict=CellVerdict.NOT_APPLICABLE
            if played.left_out or played.reason == NO_FACTS
            else CellVerdict.INCONCLUSIVE,
            reason=played.reason,
            left_out=played.left_out,
            took_s=played.took_s,
        )
    reference = tuple(against.references.get(cassette.name, cassette.events))
    if played.view is View.FACTS:
        reference = as_facts(reference)
    reference = followed(without_crossings(reference), transcript.exchanges)
    on_stack = transcript.target == Side.STACK.value
    parity = parity_of(reference, transcript.events, workers_by_facts=on_stack, began=transcript.began_s)
    findings = against.noise.get(cassette.name, Noise()).mark(parity.findings)
    order = order_findings(transcript.exchanges)
    findings, frames = [*(each for each, _ in order), *findings], [*(frame for _, frame in order), *parity.frames]
    if on_stack:
        findings = against.deviations.declare(findings, cassette.name, against.today, played.view, frames, parity.jobs)
    result = concluded(played.path, cassette, transcript, reference, folded(findings, frames), parity.rows)
    return _unless_starved(result, played)


def _unless_starved(result: CassetteResult, played: Played) -> CassetteResult:
    """Inconclusive in place of different, where others had so much of the machine that this explains what differs:
    half of it for what came too late or too early, three quarters for anything else.
    """
    changed = any(cause.kind is FindingKind.CHANGED for cause in result.causes)
    if result.verdict is not CellVerdict.DIFFERENT or not played.is_left_less_than(QUARTER if changed else HALF):
        return result
    return msgspec.structs.replace(result, verdict=CellVerdict.INCONCLUSIVE, reason=STARVED)


def concluded(
    path: Path,
    cassette: Cassette,
    transcript: Transcript,
    reference: Sequence[Event],
    findings: Sequence[Finding],
    rows: Iterable[Place],
) -> CassetteResult:
    """What came of a recording that was played and compared with the `reference`."""
    verdict, reason = verdict_of(findings, transcript, reference)
    return CassetteResult(
        path=path,
        cassette=cassette,
        transcript=transcript,
        verdict=verdict,
        reason=reason,
        findings=tuple(findings),
        reference=tuple(reference),
        rows=tuple(rows),
        took_s=transcript.took_s,
    )


def verdict_of(
    findings: Iterable[Finding], transcript: Transcript, reference: Iterable[Event]
) -> tuple[CellVerdict, str]:
    """Different outranks declared outranks same. A side that sent nothing where the reference has some is
    inconclusive, and so is a difference after a wait that was cut short.
    """
    told = any(isinstance(event, Receive | Response) for event in transcript.events)
    silent = not told and any(isinstance(event, Receive | Response) for event in reference)
    verdict = judge_cell(findings, anything_seen=not silent)
    if verdict is CellVerdict.DIFFERENT and transcript.cut_short:
        return CellVerdict.INCONCLUSIVE, transcript.cut_short
    return verdict, "Nothing was seen on this side." if verdict is CellVerdict.INCONCLUSIVE else ""
