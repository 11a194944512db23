"""What a criterion is made of: its statement, the evidence that it needs, its limits, and its judge.

Each module of this package with a `CRITERION` is a criterion, one with `CRITERIA` is several (`discover`).
`docs/architecture.md` tells how to add one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import harness.criteria
from harness.errors import CouldNotRun
from harness.history import CheckResult
from harness.results import Criterion, Evidence, Link, Measurement, Statement

Part = TypeVar("Part")
L = TypeVar("L")
E = TypeVar("E")

Checks = dict[str, CheckResult]
"""What each checker says of one history, by the checker's name."""


class Collected:
    """What the phases of a run have found out: one value of each type of evidence, and every checked history."""

    def __init__(self) -> None:
        self._parts: dict[type, object] = {}
        self.histories: list[tuple[str, Checks]] = []
        """The checks of every load's history, by the load's name."""

    def add(self, *parts: object) -> None:
        """Keep evidence."""
        self._parts.update({type(part): part for part in parts})

    def __contains__(self, kind: type) -> bool:
        return kind in self._parts

    def get(self, kind: type[Part]) -> Part:
        """The evidence of that type. Raises KeyError where no phase found any."""
        part = self._parts[kind]
        if not isinstance(part, kind):
            raise TypeError(f"{part!r} is no {kind.__name__}")
        return part


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a judge says: the figures, how much was seen, and what else a reader wants to know."""

    measurements: Sequence[Measurement]
    evidence: Sequence[Evidence] = ()
    links: Sequence[Link] = ()
    explanation: str = ""


class CriterionSpec(Statement, Generic[L, E], frozen=True, kw_only=True):
    """One promise of the plan and how the gate judges it.

    `needs` are the types of evidence that `judge` takes from what was collected; `limits` and `least` are the types of
    its tables in limits.toml, where it has its id, as in `--only`, in the report and in the seeded defects.
    """

    needs: tuple[type, ...]
    limits: type[L]
    least: type[E]
    judge: Callable[[Collected, L, E], Judged]

    def judged(self, collected: Collected, limits: L, least: E) -> Criterion:
        """The criterion with the verdict that the evidence comes to."""
        return self.concluded(self.judge(collected, limits, least))

    def concluded(self, judged: Judged) -> Criterion:
        """The criterion with what was said of it."""
        return Criterion.judged(
            self,
            measurements=judged.measurements,
            evidence=judged.evidence,
            links=judged.links,
            explanation=judged.explanation,
        )


AnySpec = CriterionSpec[Any, Any]


class NotMeasured(CouldNotRun):
    """It has no meaning in this run (a stack that somebody else runs is not killed); the sentence says why."""


def discover() -> dict[str, AnySpec]:
    """Every criterion by its id, in the order of the modules' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(harness.criteria.__path__))
    found: list[AnySpec] = []
    for module in (importlib.import_module(f"harness.criteria.{name}") for name in names):
        one = getattr(module, "CRITERION", None)
        found += getattr(module, "CRITERIA", [one] if one else [])
    return {spec.id: spec for spec in found}
