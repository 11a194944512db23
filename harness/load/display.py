"""What a person at the terminal sees of a load, while it runs and when it is over."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from harness.load.arrivals import Plan
from harness.load.comparison import Comparison
from harness.load.latencies import Metric
from harness.load.results import LoadResult, LoadSummary
from harness.load.saturation import Saturation
from harness.load.swarm import LiveLine
from harness.results import Verdict
from harness.results.formatting import plural

STYLE = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}
PLAIN_EVERY_S = 5.0
SHOWN = (50, 90, 99, 99.9, 100)


class LiveDisplay:
    """A table that is redrawn on a terminal; elsewhere, a line every few seconds."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._last = 0.0

    def show(self, line: LiveLine) -> None:
        """The newest second."""
        if self._live:
            self._live.update(self._table(line))
        elif line.second < self._last or line.second >= self._last + PLAIN_EVERY_S:
            self._last = line.second
            self._console.print(
                f"{line.second:.0f} s: {line.submitted} submitted, {line.ended} ended, {line.outstanding} under way, "
                f"{line.errors} errors; p99 claim {line.claimed_p99_ms:.1f} ms, progress {line.progress_p99_ms:.1f} ms",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def _table(self, line: LiveLine) -> Table:
        title = f"{self._plan.shape}, second {max(0.0, line.second):.0f} of {self._plan.duration_s:g}"
        table = Table(title=title, show_header=False, title_justify="left")
        rows = {
            "users": line.users,
            "planned rate now": f"{self._plan.rate_at(max(0.0, line.second)):.1f} jobs/s",
            "submitted, acknowledged, ended": f"{line.submitted}, {line.acknowledged}, {line.ended}",
            "under way": line.outstanding,
            "errors": line.errors,
            "submit to claimed, p99": f"{line.claimed_p99_ms:.1f} ms",
            "progress to client, p99": f"{line.progress_p99_ms:.1f} ms",
            "submit to ended, p99": f"{line.ended_p99_ms:.1f} ms",
        }
        for name, value in rows.items():
            table.add_row(name, str(value))
        return table


def show_load(console: Console, result: LoadResult) -> None:
    """The latencies, the ledger's totals, the memory, the verdict."""
    table = Table(title=f"load on the {result.side}", title_justify="left")
    for column in ("latency", "count", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"):
        table.add_column(column, justify="left" if column == "latency" else "right")
    for metric, found in result.swarm.latencies.items():
        shown = (f"{found.overall.at(percent) or 0:.1f}" for percent in SHOWN)
        table.add_row(str(metric), str(found.overall.count), *shown)
    console.print(table)
    jobs = result.swarm.jobs
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in jobs.outcomes.items() if count)
    console.print(f"{jobs.submitted} submitted, {jobs.acknowledged} acknowledged: {outcomes}", highlight=False)
    for note in result.notes if result.judgement.verdict is Verdict.PASS else ():  # else the reason has them
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    for series in result.memory:
        least, median, most = (value / 1e6 for value in series.per_process)
        console.print(
            f"memory of {series.part} ({series.processes}): each {least:.1f} to {most:.1f} MB, median {median:.1f} MB",
            highlight=False,
            soft_wrap=True,
        )
    if fleet := result.fleet:
        console.print(
            f"fleet of {fleet.size} up in {fleet.started_s:.1f} s; a worker is ready after "
            f"{fleet.start_ms.at(50) or 0:.0f} ms, {fleet.start_cpu_ms.at(50) or 0:.0f} ms of processor time; "
            f"{plural(len(fleet.exits), 'exit')} of workers",
            highlight=False,
            soft_wrap=True,
        )
    if (around := result.surroundings).busy:
        said = (
            f"the machine was busy before the load began: load average {around.load_before:g} on {around.cores} cores"
        )
        console.print(said, style="yellow", highlight=False, soft_wrap=True)
    _verdict(console, result.judgement.verdict, result.judgement.explanation)


def show_comparison(console: Console, found: Comparison) -> None:
    """The ratios."""
    table = Table(title="stack over hub", title_justify="left")
    for column in ("value", "hub", "stack", "ratio", "between"):
        table.add_column(column, justify="left" if column == "value" else "right")
    for name, ratio in found.ratios.items():
        scale = 1e6 if name.endswith("memory") else 1.0
        sides = (", ".join(f"{value / scale:.2f}" for value in side) for side in (ratio.hub, ratio.stack))
        table.add_row(name, *sides, f"{ratio.ratio:.2f}", f"{ratio.low:.2f} to {ratio.high:.2f}")
    console.print(table)
    _verdict(console, found.verdict)


def show_summary(console: Console, load: LoadSummary) -> None:
    """One load of a comparison or of a search."""
    claimed = load.values.get(f"{Metric.CLAIMED} p99")
    p99 = "-" if claimed is None else f"{claimed:.1f} ms"
    said = f"{load.folder}: {load.ended} of {load.submitted} ended, p99 of the claim {p99}: "
    _verdict(console, load.verdict, load.reason, said)


def show_saturation(console: Console, found: Saturation) -> None:
    """The answer of a search."""
    if found.highest is None:
        console.print(f"the {found.side} did not hold even the lowest rate tried", style="yellow")
        return
    above = "the search's ceiling was reached" if found.lowest_failed is None else f"not {found.lowest_failed:g}/s"
    bound = "; there, the generator was at its end" if found.generator_bound else ""
    console.print(f"the {found.side} holds {found.highest:g} jobs/s, {above}{bound}", highlight=False)


def _verdict(console: Console, verdict: Verdict, reason: str = "", before: str = "") -> None:
    console.print(f"{before}{verdict}", style=STYLE[verdict], markup=False, highlight=False, soft_wrap=True)
    if reason and verdict is not Verdict.PASS:
        console.print(f"  {reason}", markup=False, highlight=False, soft_wrap=True)
