"""What was broken on purpose: faults put to both sides, and defects seeded to try the gate itself."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from harness.results.criteria import Link


class Standing(StrEnum):
    """The stack under a fault, held against the hub under the same one."""

    WORSE = "worse than the hub"
    SAME = "same as the hub"
    BETTER = "better than the hub"
    ALONE = "not comparable"
    """The fault has no meaning on the hub, or the hub was not put through it."""
    INCONCLUSIVE = "inconclusive"


class FaultOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one side came to under the fault; `figures` such as `{"lost": 0, "recovered after, ms": 5200}`."""

    sentence: str
    figures: dict[str, float] = {}


class FaultRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault. `how` says what was done, in a sentence."""

    id: str
    title: str
    how: str
    standing: Standing
    stack: FaultOutcome | None = None
    hub: FaultOutcome | None = None
    explanation: str = ""
    links: tuple[Link, ...] = ()


class Detection(StrEnum):
    """Whether a seeded defect was caught, and rightly."""

    CAUGHT = "caught"
    """By the criterion that should."""
    ELSEWHERE = "caught elsewhere"
    """Only by a criterion that has nothing to do with it, or by a crash: that counts as missed."""
    MISSED = "missed"
    NOT_RUN = "not run"


class DefectRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One seeded defect: the mistake in a sentence, who should catch it (criteria ids), who did."""

    id: str
    mistake: str
    expected_by: tuple[str, ...]
    caught_by: tuple[str, ...]
    detection: Detection
    explanation: str = ""
    seconds: float | None = None


def detection(expected_by: tuple[str, ...], caught_by: tuple[str, ...], *, crashed: bool = False) -> Detection:
    """Caught only where a criterion that should have caught it did, and the run did not merely crash."""
    if not caught_by and not crashed:
        return Detection.MISSED
    if crashed or not set(expected_by) & set(caught_by):
        return Detection.ELSEWHERE
    return Detection.CAUGHT
