"""The stack under a fault, held against the hub under the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.history import CheckResult
from harness.results import FaultOutcome, Standing

BAD: Final = ("lost", "ended_twice", "stuck", "double_claim")
NEVER: Final = "never taken again"
LONGEST: Final = "taken again after, at most, ms"
MATTERS_MS: Final = 2_000
"""Times that differ by less are the same."""


def outcome_of(checks: Mapping[str, CheckResult]) -> FaultOutcome:
    """What one side came to, from what the checkers say of its history."""
    recovery = checks["recovery"]
    never = sum(violation.form == "never" for violation in recovery.violations)
    again = recovery.figures.get("claimed_again", ())
    figures: dict[str, float] = {name.replace("_", " "): len(checks[name].violations) for name in BAD}
    figures[NEVER] = never
    if again:
        figures[LONGEST] = round(max(again))
    jobs = checks["accounting"].counts.get("acknowledged", 0)
    wrong = {name: number for name, number in figures.items() if number and name != LONGEST}
    broken = ", ".join(f"{number:g} {name}" for name, number in wrong.items()) or "every job ended once"
    return FaultOutcome(sentence=f"Of {jobs:,} acknowledged jobs: {broken}.", figures=figures)


def compare(stack: FaultOutcome, hub: FaultOutcome | None) -> Standing:
    """By what went wrong with jobs first, and by how long a lost worker's job waited where that is the same."""
    if hub is None:
        return Standing.ALONE
    ours, theirs = _wrong(stack), _wrong(hub)
    if ours == theirs:
        ours, theirs = stack.figures.get(LONGEST, 0.0), hub.figures.get(LONGEST, 0.0)
        if abs(ours - theirs) <= MATTERS_MS:
            return Standing.SAME
    return Standing.BETTER if ours < theirs else Standing.WORSE


def _wrong(outcome: FaultOutcome) -> float:
    return sum(number for name, number in outcome.figures.items() if name != LONGEST)
