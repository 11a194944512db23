"""`hubgate compare` and `trend`: figures of a run against those of earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.errors import CouldNotRun
from harness.results import Run, load
from harness.results.changes import Change
from harness.results.formatting import plural, quantity
from harness.results.run import FILE_NAME
from harness.results.trend import trend as trend_of

STYLE: Final = {Change.WORSE: "bold red", Change.BETTER: "green"}
BARS: Final = "▁▂▃▄▅▆▇█"
FAIL_ON_WORSE: Final = click.option(
    "--fail-on-worse", is_flag=True, help="Exit with 1 where a figure is worse, within its limit or not."
)
RUN: Final = click.Path(path_type=Path, exists=True)


def runs_in(path: Path) -> list[Run]:
    """The run of a folder or a run.json, or all runs below a folder, the oldest first. Raises CouldNotRun."""
    if path.is_file() or (path / FILE_NAME).exists():
        return [load(path)]
    found = [load(file) for file in path.glob(f"*/{FILE_NAME}") if not file.parent.is_symlink()]
    if not found:
        raise CouldNotRun(f"there is no run in {path}")
    return sorted(found, key=lambda run: run.about.started_at)


@click.command("compare")
@click.argument("before", type=RUN)
@click.argument("after", type=RUN)
@FAIL_ON_WORSE
def compare(before: Path, after: Path, *, fail_on_worse: bool) -> None:
    """Hold the run AFTER against BEFORE: a run, or a folder of several, whose spread then counts.

    A figure is worse where it is beyond all of BEFORE by more than 10 % of their median (25 % of a single run) and by
    more than they are apart; a count that must be 0, by one. Between two machines only counts and ratios are compared.
    """
    show_comparison(runs_in(before), runs_in(after)[-1], fail_on_worse=fail_on_worse)


@click.command("trend")
@click.argument("folder", type=RUN)
def trend(folder: Path) -> None:
    """Show each figure over the runs in FOLDER, the newest against the others."""
    *earlier, newest = runs_in(folder)
    shown = table("Criterion", "Figure", "Runs", "Median", "Newest", "", "Change")
    for one in trend_of(earlier, newest):
        median = quantity(one.median, one.unit) if one.before else ""
        values = (*one.before, one.after)
        row = (one.criterion, one.what, str(len(values)), median, quantity(one.after, one.unit), bars(values))
        shown.add_row(*row, _word(one.change))
    Console().print(shown)


def show_comparison(before: Sequence[Run], after: Run, *, fail_on_worse: bool) -> None:
    """Print what changed, worst first; leave with 1 where something is worse and that is to fail."""
    changes = trend_of(before, after)
    order = [Change.WORSE, Change.BETTER, Change.SAME, Change.NEW, Change.ELSEWHERE]
    shown = table("Change", "Criterion", "Figure")
    for one in sorted(changes, key=lambda change: order.index(change.change)):
        shown.add_row(_word(one.change), one.criterion, one.describe())
    console = Console()
    console.print(shown)
    worse = [one for one in changes if one.change is Change.WORSE]
    console.print(
        f"{plural(len(worse), 'figure is', 'figures are')} worse than in {plural(len(before), 'earlier run')}."
    )
    if worse and fail_on_worse:
        raise SystemExit(1)


def bars(values: Sequence[float]) -> str:
    """The values as a row of bars, the least one lowest."""
    least, most = min(values), max(values)
    span = most - least or 1.0
    return "".join(BARS[round((value - least) / span * (len(BARS) - 1))] for value in values)


def _word(change: Change) -> Text:
    return Text(change.value, STYLE.get(change, ""))


def table(*columns: str) -> Table:
    """An empty one without lines, as all tables of the command line are."""
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column)
    return made
