"""The gate judged: it is run against a sound stack and against stacks that are wrong in one way each.

Every seeded defect has to be caught by a criterion that should catch it, none by the accident of a crash; and the sound
stack has to pass under the same amounts, or being caught would prove nothing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from harness import defects
from harness.criteria.statements import CriterionId
from harness.defects import Defect
from harness.gate.bench import Options, Phase, Recall, Stage
from harness.gate.breakdown import DIED
from harness.gate.profiles import SELFTEST
from harness.gate.run import describe, new_folder, run_gate
from harness.results import (
    Comparison,
    Criterion,
    DefectRow,
    Detection,
    Evidence,
    Measurement,
    Run,
    Threshold,
    Verdict,
    conclude,
    detection,
)

LEAST_DEFECTS: Final = 20
COST: Final = (
    CriterionId.LEGACY_CLIENTS,
    CriterionId.SAME_FACTS,
    CriterionId.NO_CONFLICTS,
    CriterionId.MODERN_CLIENTS,
    CriterionId.MIXED_CLIENTS,
    CriterionId.MIGRATION,
    CriterionId.CLAIMS,
    CriterionId.PROGRESS,
    CriterionId.NOTHING_LOST,
    CriterionId.RECOVERY,
    CriterionId.RESTARTS,
)
"""The criteria by what they cost: a defect is put to the cheapest of those that should catch it first."""
Write = Callable[[Run, Path], object]
Tell = Callable[[str], None]


async def selftest(names: Sequence[str], options: Options, *, write: Write, tell: Tell) -> tuple[Run, Path]:
    """Try the sound stack, then each defect of that name (none given: all). `write` keeps the report of each run."""
    chosen = [defects.named(name) for name in names] or list(defects.all())
    options = dataclasses.replace(options, profile=SELFTEST.name)
    started, clock, folder = datetime.now(UTC), time.monotonic(), new_folder(options)
    trial = dataclasses.replace(options, out=folder)
    tester = Tester(trial, write=write, tell=tell)
    expected = {CriterionId(which) for defect in chosen for which in defect.caught_by}
    sound = await tester.sound(sorted(expected, key=COST.index))
    rows = [await tester.defect(defect, f"{number} of {len(chosen)}") for number, defect in enumerate(chosen, 1)]
    about = describe(options, folder.name, started, time.monotonic() - clock)
    criterion = judge(rows, sound, least=min(LEAST_DEFECTS, len(chosen)))
    return conclude(about, criteria=[criterion], defects=rows, headline=headline(criterion.verdict, rows)), folder


class Tester:
    """Runs the gate again and again, remembering how the hub plays."""

    def __init__(self, options: Options, *, write: Write, tell: Tell) -> None:
        self._options = options
        self._write = write
        self._tell = tell
        self._recall = Recall()

    async def sound(self, criteria: Sequence[CriterionId]) -> Run:
        """The stack as it is."""
        return await self._run("the sound stack", self._options, criteria)

    async def defect(self, defect: Defect, place: str) -> DefectRow:
        """One defect, put to the criteria that should catch it until one does."""
        began = time.monotonic()
        caught: list[str] = []
        crashed = False
        said = ""
        options = dataclasses.replace(self._options, defect=defect.name)
        for which in sorted(map(CriterionId, defect.caught_by), key=COST.index):
            run = await self._run(f"{place}: {defect.name}, by {which}", options, [which])
            criterion = run.criteria[0]
            crashed = crashed or has_crashed(criterion)
            said = criterion.explanation
            if criterion.verdict is Verdict.FAIL:
                caught.append(criterion.id)
                break
        return DefectRow(
            id=defect.name,
            mistake=defect.mistake,
            expected_by=defect.caught_by,
            caught_by=tuple(caught),
            detection=detection(defect.caught_by, tuple(caught), crashed=crashed),
            explanation=said,
            seconds=round(time.monotonic() - began, 1),
        )

    async def _run(self, what: str, options: Options, criteria: Sequence[CriterionId]) -> Run:
        self._tell(what)
        only = dataclasses.replace(options, only=tuple(criteria))

        def report(phase: Phase, stage: Stage, sentence: str) -> None:
            if stage is Stage.RUNNING and sentence:
                self._tell(f"{what}: {phase.name}: {sentence}")

        run, folder = await run_gate(only, report, recall=self._recall)
        self._write(run, folder)
        return run


def has_crashed(criterion: Criterion) -> bool:
    """Whether it failed because a process of the stack ended, which shows nothing about the defect."""
    return any(measured.what == DIED for measured in criterion.measurements)


def judge(rows: Sequence[DefectRow], sound: Run, *, least: int) -> Criterion:
    """Every defect caught by whom it should be, and the sound stack passed by the same criteria."""
    missed = [row.id for row in rows if row.detection is not Detection.CAUGHT]
    wronged = [criterion for criterion in sound.criteria if criterion.verdict is not Verdict.PASS]
    zero = Threshold(comparison=Comparison.EQUAL, limit=0)
    why = [f"Not caught: {', '.join(missed)}."] if missed else []
    why += [f"The sound stack: {criterion.title}: {criterion.explanation}" for criterion in wronged[:2]]
    return Criterion.judged(
        id="selftest",
        title="The gate catches what it should",
        sentence="A stack that is wrong in one way is caught by a criterion that should catch it; a sound one passes.",
        source="DESIGN, seeded defects: a gate that cannot fail is no gate",
        measured="The gate is run, in small, against a copy of the stack with each defect, and against the stack.",
        measurements=[
            Measurement(what="defects not caught", observed=len(missed), threshold=zero, counterexample=True),
            Measurement(what="criteria that a sound stack missed", observed=len(wronged), threshold=zero),
        ],
        evidence=[Evidence(what="defects tried", had=len(rows), least=least)],
        explanation=" ".join(why) or None,
    )


def headline(verdict: Verdict, rows: Sequence[DefectRow]) -> str:
    """The verdict in a sentence."""
    caught = sum(row.detection is Detection.CAUGHT for row in rows)
    if verdict is Verdict.PASS:
        return f"The gate can be trusted: all {len(rows)} seeded defects were caught, and the sound stack passes."
    return f"The gate cannot be trusted as it is: {caught} of {len(rows)} seeded defects were caught as they should be."
