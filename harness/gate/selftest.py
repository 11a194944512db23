"""The gate judged: it is run against a sound stack and against stacks that are wrong in one way each.

Every seeded defect has to be caught by a criterion that should catch it, for the reason that the catalogue names, none
by the accident of a crash; and the sound stack has to pass under the same amounts, or being caught would prove nothing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from harness import defects
from harness.defects import Defect
from harness.gate.context import HubReplayCache, Options, Phase, PhaseStatus
from harness.gate.profiles import SELFTEST
from harness.gate.run import describe, new_folder, run_gate
from harness.results import (
    CellVerdict,
    Criterion,
    DefectRow,
    Detection,
    Evidence,
    Parts,
    Run,
    Statement,
    Verdict,
    at_most,
    conclude,
    count,
    detection,
)
from harness.tasks import few_at_once

LEAST_DEFECTS: Final = 90
COST: Final = (
    *("legacy-clients", "same-facts", "no-conflicts", "routing", "security", "monitors", "later-clients", "retention"),
    *("api-restarts", "retirement", "modern-clients", "mixed-clients", "migration"),
    *("claims", "progress", "nothing-lost", "recovery", "restarts", "chaos", "latencies", "resources"),
)
"""The criteria by what they cost: a defect is put to the cheapest of those that should catch it first."""
AT_ONCE: Final = 2
"""Stacks that are tried at the same time."""
NEED_THE_MACHINE: Final = frozenset({"claims", "progress", "latencies", "resources"})
"""Criteria that cannot tell where something else runs beside: what only they catch is tried alone, at the end."""
STATEMENT: Final = Statement(
    id="selftest",
    title="The gate catches what it should",
    sentence="A stack that is wrong in one way is caught by a criterion that should, for the reason that should.",
    source="DESIGN, seeded defects: a gate that cannot fail is no gate",
    measured="The gate is run, in small, against a copy of the stack with each defect, and against the stack.",
)
Write = Callable[[Run, Path], object]
Report = Callable[[str], None]


async def selftest(names: Sequence[str], options: Options, *, write: Write, report: Report) -> tuple[Run, Path]:
    """Try the sound stack, then each defect of that name (none given: all). `write` keeps the report of each run."""
    chosen = [defects.named(name) for name in names] or list(defects.all())
    options = dataclasses.replace(options, profile=SELFTEST.name, waivers=None)
    started, clock, folder = datetime.now(UTC), time.monotonic(), new_folder(options)
    trial = dataclasses.replace(options, out=folder)
    tester = Tester(trial, write=write, report=report)
    expected = {which for defect in chosen for which in defect.caught_by}
    sound = await tester.sound(sorted(expected, key=cost))
    rows = await tester.defects(chosen)
    about = describe(options, folder.name, started, time.monotonic() - clock)
    criterion = judge(rows, sound, least=min(LEAST_DEFECTS, len(chosen)))
    parts = Parts(criteria=[criterion], defects=rows)
    return conclude(about, parts, headline=headline(criterion.verdict, rows)), folder


def cost(criterion: str) -> int:
    """What it costs to judge a criterion, as its place in COST; one that is not there comes last."""
    return COST.index(criterion) if criterion in COST else len(COST)


class Tester:
    """Runs the gate again and again, remembering how the hub plays."""

    def __init__(self, options: Options, *, write: Write, report: Report) -> None:
        self._options = options
        self._write = write
        self._report = report
        self._hub_replays = HubReplayCache()

    async def sound(self, criteria: Sequence[str]) -> Run:
        """The stack as it is."""
        run, folder = await self.run("the sound stack", self._options, criteria)
        self._write(run, folder)
        return run

    async def defects(self, chosen: Sequence[Defect]) -> list[DefectRow]:
        """Each defect, in the order given."""
        places = {defect.name: f"{number} of {len(chosen)}" for number, defect in enumerate(chosen, 1)}
        alone = [defect for defect in chosen if NEED_THE_MACHINE.issuperset(defect.caught_by)]
        others = [defect for defect in chosen if defect not in alone]

        async def tried(defect: Defect) -> DefectRow:
            return await self.defect(defect, places[defect.name])

        rows = [*await few_at_once(tried, others, AT_ONCE), *await few_at_once(tried, alone, 1)]
        by_name = {row.id: row for row in rows}
        return [by_name[defect.name] for defect in chosen]

    async def defect(self, defect: Defect, place: str) -> DefectRow:
        """One defect, put to the criteria that should catch it until one does, for the reason that it should."""
        began = time.monotonic()
        caught: list[str] = []
        finding, said = False, ""
        options = dataclasses.replace(self._options, defect=defect.name)
        for which in sorted(defect.caught_by, key=cost):
            run, folder = await self.run(f"{place}: {defect.name}, by {which}", options, [which])
            self._write(run, folder)
            criterion = run.criteria[0]
            said = criterion.explanation
            if criterion.verdict is Verdict.FAIL:
                caught.append(criterion.id)
                finding = says(run, criterion, defect.reasons)
            if finding:
                break
        return DefectRow(
            id=defect.name,
            mistake=defect.mistake,
            expected_by=defect.caught_by,
            caught_by=tuple(caught),
            detection=detection(defect.caught_by, tuple(caught), finding=finding),
            explanation=said,
            seconds=round(time.monotonic() - began, 1),
        )

    async def run(self, what: str, options: Options, criteria: Sequence[str]) -> tuple[Run, Path]:
        """The gate's run by these criteria, with its folder; `what` is for the display."""
        self._report(what)
        only = dataclasses.replace(options, only=tuple(criteria))

        def show(phase: Phase, status: PhaseStatus, sentence: str) -> None:
            if status is PhaseStatus.RUNNING and sentence:
                self._report(f"{what}: {phase.name}: {sentence}")

        return await run_gate(only, show, hub_replays=self._hub_replays)


def says(run: Run, criterion: Criterion, reasons: Sequence[str]) -> bool:
    """Whether the criterion failed for one of these reasons, by its explanation or by what differs in the recordings.

    A stack that crashed fails everything: that shows nothing, but for a defect whose reason is the crash.
    """
    told = [criterion.explanation]
    told += [
        f"{row.name}: {finding.sentence}"
        for row in run.matrix
        for cell in row.cells
        for finding in cell.findings
        if cell.verdict is CellVerdict.DIFFERENT and not finding.excused
    ]
    return any(reason.casefold() in one.casefold() for one in told for reason in reasons)


def judge(rows: Sequence[DefectRow], sound: Run, *, least: int) -> Criterion:
    """Every defect caught by whom it should be, and the sound stack passed by the same criteria."""
    missed = [row.id for row in rows if row.detection is not Detection.CAUGHT]
    wronged = [criterion for criterion in sound.criteria if criterion.verdict is not Verdict.PASS]
    why = [f"Not caught: {', '.join(missed)}."] if missed else []
    why += [f"The sound stack: {criterion.title}: {criterion.explanation}" for criterion in wronged[:2]]
    return Criterion.judged(
        STATEMENT,
        measurements=[
            count("defects not caught", len(missed)),
            at_most("criteria that a sound stack missed", len(wronged), 0),
        ],
        evidence=[Evidence(what="defects tried", had=len(rows), least=least)],
        explanation=" ".join(why),
    )


def headline(verdict: Verdict, rows: Sequence[DefectRow]) -> str:
    """The verdict in a sentence."""
    caught = sum(row.detection is Detection.CAUGHT for row in rows)
    if verdict is Verdict.PASS:
        return f"The gate can be trusted: all {len(rows)} seeded defects were caught, and the sound stack passes."
    return f"The gate cannot be trusted as it is: {caught} of {len(rows)} seeded defects were caught as they should be."
