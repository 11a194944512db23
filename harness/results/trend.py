"""A run held against earlier ones, figure by figure: worse, the same, or better, by a rule that is stated here.

A figure is *worse* (or *better*) where it is beyond every earlier one by more than a tenth of their median and by more
than the distance between the least and the greatest of them. One earlier run shows no such distance: then by more than
a quarter. A count that must be 0 is worse by one. Between two machines only counts and ratios are compared.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from harness.results.criteria import Comparison, Measurement
from harness.results.formatting import plural
from harness.results.run import Run
from harness.results.standing import FigureTrend, Standing
from harness.results.switching import stack_version

MATTERS: Final = 0.10
"""Of the median of several runs."""
MATTERS_OF_ONE: Final = 0.25
LOWER_IS_BETTER: Final = frozenset({Comparison.BELOW, Comparison.AT_MOST})
GIB: Final = 2**30


def environment_of(run: Run) -> str:
    """A short name of the machine and the profile: runs with the same one can be compared in time and memory."""
    machine = run.about.machine
    memory = round((machine.memory_bytes or 0) / GIB)
    parts = (machine.system, machine.cores, memory, machine.processor, machine.python, run.about.profile)
    return hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()


def trend(earlier: Sequence[Run], run: Run) -> list[FigureTrend]:
    """Every figure of a run against the same one of the earlier runs (itself, where it is among them, left out)."""
    here = environment_of(run)
    others = sorted((one for one in earlier if one.about.id != run.about.id), key=lambda one: one.about.started_at)
    known = [(environment_of(one) == here, _figures(one)) for one in others]
    return [_trend(name, figure, known) for name, figure in _figures(run).items()]


def name_of(runs: Sequence[Run]) -> str:
    """What earlier runs are called: one by its stack's version, several by their number."""
    if len(runs) != 1:
        return plural(len(runs), "earlier run")
    (run,) = runs
    return stack_version(run) or run.about.revision or run.about.id


Name = tuple[str, str]


def _figures(run: Run) -> dict[Name, Measurement]:
    return {(owner, figure.what): figure for owner, figure in _measured(run)}


def _measured(run: Run) -> Iterator[tuple[str, Measurement]]:
    for criterion in run.criteria:
        yield from ((criterion.id, one) for one in criterion.measurements if one.observed is not None)


def _trend(name: Name, figure: Measurement, known: Sequence[tuple[bool, dict[Name, Measurement]]]) -> FigureTrend:
    had = [(same, figures[name].observed) for same, figures in known if name in figures]
    values = [value for same, value in had if value is not None and (same or not figure.unit)]
    after = figure.observed or 0.0
    unknown = Standing.ELSEWHERE if had else Standing.NEW
    change = change_of(values, after, figure) if values else unknown
    return FigureTrend(
        criterion=name[0], what=name[1], unit=figure.unit, after=after, before=tuple(values), change=change
    )


def change_of(before: Sequence[float], after: float, figure: Measurement) -> Standing:
    """The rule above."""
    sign = 1 if figure.threshold.comparison in LOWER_IS_BETTER else -1
    earlier, now = [sign * value for value in before], sign * after
    matters = 0.0
    if not (figure.counterexample and figure.threshold.limit == 0):
        share = MATTERS if len(before) > 1 else MATTERS_OF_ONE
        matters = max(share * abs(statistics.median(before)), max(before) - min(before))
    if now > max(earlier) + matters:
        return Standing.WORSE
    return Standing.BETTER if now < min(earlier) - matters else Standing.SAME
