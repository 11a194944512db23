"""The gate's power, measured: mutants of the stack that nobody chose, each put to the gate's fast profile.

What share a criterion fails is the score; what survives is a gap of the gate, unless it is declared, with a reason, as
one that no run can tell from the original (`scenarios/equivalent_mutants.toml`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from harness.defects.mutants import Equivalent, Mutant, load_equivalents, places, sample
from harness.errors import CouldNotRun
from harness.gate.context import Options
from harness.gate.phases.cassettes import scenarios_folder
from harness.gate.profiles import FAST
from harness.gate.run import describe, new_folder
from harness.gate.selftest import Report, Tester, Write
from harness.results import (
    Comparison,
    Criterion,
    Evidence,
    Fate,
    Measurement,
    MutantRow,
    Parts,
    Run,
    Score,
    Statement,
    Threshold,
    Verdict,
    at_most,
    conclude,
    save,
    scores,
)
from harness.tasks import few_at_once

LONGEST_S: Final = 120.0
"""A run that takes longer is broken off; it tells nothing."""
AT_ONCE: Final = 2
"""Mutants that are tried at the same time. Two keep two cores busy; with many more, what waits for a lease waits for
the machine, and a sound stack would be told wrong."""
CONTROL_EVERY: Final = 10
"""After so many mutants, and after the last one, the sound stack is tried again, beside the others of that moment: what
fails by chance fails there, too, and would be told as a catch else."""
LEAST_PERCENT: Final = 85.0
LEAST_MUTANTS: Final = 30
"""With fewer the interval is wider than any use of it."""
STAGES: Final = (
    ("modern-clients", "mixed-clients"),
    ("monitors", "later-clients", "security", "routing", "retention", "legacy-clients", "same-facts"),
)
"""A mutant is put to what catches most in the least time first, and no more is run of what caught it."""
EQUIVALENTS: Final = "equivalent_mutants.toml"
STATEMENT: Final = Statement(
    id="power",
    title="The gate catches mistakes that nobody chose",
    sentence="Of small changes of the stack, drawn by chance, a criterion fails most; the sound stack passes.",
    source="DESIGN, how it knows: the gate is measured, not believed",
    measured="The gate's fast profile is run against a copy of the stack with each mutant, and against the stack.",
)


async def measure_power(
    number: int, options: Options, *, write: Write, report: Report, at_once: int = AT_ONCE
) -> tuple[Run, Path]:
    """Try the sound stack, then so many mutants, drawn with the seed of the options, `at_once` of them side by side.

    `write` keeps the report of the sound run. Raises CouldNotRun, also where the sound stack fails.
    """
    options = dataclasses.replace(options, profile=FAST.name, waivers=None)
    started, clock, folder = datetime.now(UTC), time.monotonic(), new_folder(options)
    mutants = sample(await asyncio.to_thread(places), number, options.seed)
    trial = dataclasses.replace(options, out=folder)
    tester = Tester(trial, write=write, report=report)
    sound = await tester.sound(FAST.criteria)
    if failed := _failed(sound):
        first = failed[0]  # it would fail for every mutant, and each would seem to be caught
        raise CouldNotRun(f"the sound stack fails, so no mutant can be told: {first.title}: {first.explanation}")
    trials = _Trials(trial, tester, equivalents=load_equivalents(scenarios_folder() / EQUIVALENTS))
    rows = await trials.all(mutants, at_once)
    about = describe(options, folder.name, started, time.monotonic() - clock)
    found = scores(rows)
    criterion = judge(found[0], sound, trials.controls)
    headline = f"Of mistakes that nobody chose, the gate's profile {FAST.name} catches: {found[0].describe()}."
    return conclude(about, Parts(criteria=[criterion], mutants=rows, power=found), headline=headline), folder


@dataclasses.dataclass
class Controls:
    """The sound stack's tries among the mutants: how many, how many of them came to an end, and what failed in them."""

    tried: int = 0
    told: int = 0
    false_alarms: list[str] = dataclasses.field(default_factory=list)


def judge(score: Score, sound: Run, controls: Controls) -> Criterion:
    """Enough of the mutants were caught, and the sound stack passed under the same amounts, before and among them."""
    false_alarms = controls.false_alarms
    wronged = [criterion for criterion in sound.criteria if criterion.verdict is not Verdict.PASS]
    share = Measurement(
        what="of the mutants were caught",
        observed=round(100 * score.share, 1),
        unit="%",
        threshold=Threshold(comparison=Comparison.AT_LEAST, limit=LEAST_PERCENT),
    )
    return Criterion.judged(
        STATEMENT,
        measurements=[
            share,
            at_most("criteria that a sound stack missed", len(wronged), 0),
            at_most("times that the sound stack was called wrong among the mutants", len(false_alarms), 0),
        ],
        evidence=[
            Evidence(what="mutants that count", had=score.counted, least=LEAST_MUTANTS),
            Evidence(what="tries of the sound stack among the mutants", had=controls.told, least=controls.tried),
        ],
        explanation=" ".join(
            [
                f"{score.describe()}.",
                *(f"The sound stack: {criterion.title}: {criterion.explanation}" for criterion in wronged[:2]),
                *(f"The sound stack, among the mutants: {alarm}" for alarm in false_alarms[:2]),
            ]
        ),
    )


def _failed(run: Run) -> list[Criterion]:
    return [criterion for criterion in run.criteria if criterion.verdict is Verdict.FAIL]


class _Trials:
    """Mutants, a few at a time."""

    def __init__(self, options: Options, tester: Tester, *, equivalents: Sequence[Equivalent]) -> None:
        self._options = options
        self._tester = tester
        self._equivalents = equivalents
        self.controls = Controls()

    async def all(self, mutants: Sequence[Mutant], at_once: int) -> list[MutantRow]:
        """What became of each."""

        async def tried(numbered: tuple[int, Mutant]) -> MutantRow:
            number, mutant = numbered
            row = await self._tried(mutant, f"{number} of {len(mutants)}")
            if number % CONTROL_EVERY == 0 or number == len(mutants):
                await self._control(f"the sound stack after {number} of {len(mutants)}")
            return row

        return await few_at_once(tried, enumerate(mutants, 1), at_once)

    async def _tried(self, mutant: Mutant, place: str) -> MutantRow:
        began = time.monotonic()
        try:
            async with asyncio.timeout(LONGEST_S):
                fate, caught_by, explanation = await self._judged(mutant, f"{place}: {mutant.file}:{mutant.line}")
        except (TimeoutError, CouldNotRun) as error:
            why = str(error) or f"Its run took longer than {LONGEST_S:.0f} s."
            fate, caught_by, explanation = Fate.UNDECIDED, (), why
        return MutantRow(
            id=mutant.name,
            room=mutant.room,
            file=mutant.file,
            line=mutant.line,
            operator=mutant.operator,
            diff=mutant.diff,
            fate=fate,
            caught_by=caught_by,
            explanation=explanation,
            seconds=round(time.monotonic() - began, 1),
        )

    async def _control(self, what: str) -> None:
        """Try the sound stack as a mutant is tried; where that cannot be, the mutants' runs are kept all the same."""
        self.controls.tried += 1
        with contextlib.suppress(TimeoutError, CouldNotRun):
            async with asyncio.timeout(LONGEST_S):
                for criteria in STAGES:
                    run, folder = await self._tester.run(f"{what}, by {', '.join(criteria)}", self._options, criteria)
                    self.controls.false_alarms += [f"{one.title}: {one.explanation}" for one in _failed(run)]
                    await asyncio.to_thread(save, run, folder)
            self.controls.told += 1

    async def _judged(self, mutant: Mutant, what: str) -> tuple[Fate, tuple[str, ...], str]:
        """The fate, who caught it, and what was said. The folder of a run that caught it is not kept."""
        options = dataclasses.replace(self._options, mutant=mutant)
        undecided = ""
        for criteria in STAGES:
            run, folder = await self._tester.run(f"{what}, by {', '.join(criteria)}", options, criteria)
            if failed := _failed(run):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                return Fate.CAUGHT, tuple(criterion.id for criterion in failed), failed[0].explanation
            await asyncio.to_thread(save, run, folder)
            doubts = [f"{one.title}: {one.explanation}" for one in run.criteria if one.verdict is not Verdict.PASS]
            undecided = undecided or " ".join([*doubts, *run.problems])
        if undecided:
            return Fate.UNDECIDED, (), undecided
        today = date.today()  # noqa: DTZ011 - a day, as in the file
        declared = next((one for one in self._equivalents if one.covers(mutant, today)), None)
        return (Fate.EQUIVALENT, (), declared.reason) if declared else (Fate.SURVIVED, (), "")
