"""Puts the reports of all generator processes together; Locust's master has one, and so has a single process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from harness.load.latencies import Cell, Figure, Histogram, Recorder, Wire
from harness.load.ledger import Outcome
from harness.load.plan import Plan
from harness.load.results import NAMED, FigureResult, Jobs, LiveLine, Rounded, SwarmResult, Window
from harness.load.throughput import Step, flow_of
from loadtests.load import Load

LIVE_WINDOWS = 5
"""How many of the last windows a live percentile looks at."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One process's account: histograms since its last report, and all counts so far."""

    cells: list[Cell]
    submitted: int
    acknowledged: int
    outstanding: int
    finished: bool
    outcomes: dict[Outcome, int]
    named: dict[Outcome, list[str]]
    errors: dict[str, int]
    watched: dict[str, int]
    flow: list[tuple[Step, int, int]]


def report_of(load: Load) -> Report:
    """Take a process's report; what it has recorded is handed over once."""
    ledger = load.ledger
    return Report(
        cells=load.recorder.take(),
        submitted=ledger.submitted,
        acknowledged=ledger.acknowledged,
        outstanding=ledger.outstanding,
        finished=load.finished,
        outcomes=ledger.outcomes(),
        named={outcome: ids[:NAMED] for outcome, ids in ledger.named.items()},
        errors=dict(load.errors),
        watched=dict(load.watched),
        flow=load.flow.dump(),
    )


Rounding = Callable[[Figure, Wire], Rounded | None]


def no_rounding(figure: Figure, wire: Wire) -> Rounded | None:  # noqa: ARG001 - the shape of a Rounding
    """Nothing to say."""
    return None


class Assembly:
    """The whole load, as far as it was reported."""

    def __init__(self, window_s: float) -> None:
        self._recorder = Recorder(window_s)
        self._reports: dict[str, Report] = {}

    def take(self, generator: str, report: Report) -> None:
        """Merge the report of one process; the newest counts of each process stand."""
        self._recorder.merge(report.cells)
        self._reports[generator] = report

    @property
    def outstanding(self) -> int:
        """Jobs under way, as far as was reported."""
        return sum(report.outstanding for report in self._reports.values())

    def finished(self, generators: int) -> bool:
        """Whether so many processes have sent all that was planned and seen all of it end."""
        return len(self._reports) >= generators and all(report.finished for report in self._reports.values())

    @property
    def reports(self) -> list[Report]:
        """The newest of each process."""
        return list(self._reports.values())

    def live(self, second: float, users: int) -> LiveLine:
        """How it stands."""
        jobs = self._jobs()
        return LiveLine(
            second=round(second, 1),
            users=users,
            submitted=jobs.submitted,
            acknowledged=jobs.acknowledged,
            ended=jobs.ended,
            outstanding=self.outstanding,
            errors=sum(sum(report.errors.values()) for report in self.reports),
            claimed_p99_ms=self._lately(Figure.CLAIMED),
            progress_p99_ms=self._lately(Figure.PROGRESS_SEEN),
            ended_p99_ms=self._lately(Figure.ENDED),
        )

    def figures(self, rounded: Rounding = no_rounding) -> dict[Figure, FigureResult]:
        """Every figure that has values; `rounded` tells what Locust says of each."""
        found = {}
        for figure in Figure:
            total = self._recorder.total(figure)
            if total.count:
                found[figure] = FigureResult(
                    overall=total.distribution(),
                    by_wire={
                        wire.value: by.distribution()
                        for wire in Wire
                        if (by := self._recorder.total(figure, wire)).count
                    },
                    over_time=[_window(second, one) for second, one in self._recorder.over_time(figure)],
                    by_locust={wire.value: said for wire in Wire if (said := rounded(figure, wire))},
                )
        return found

    def result(
        self,
        plan: Plan,
        *,
        host: str,
        users: dict[str, int],
        started_at: float,
        seconds: float,
        rounded: Rounding = no_rounding,
    ) -> SwarmResult:
        """The whole load, when it is over."""
        errors: Counter[str] = Counter()
        watched: dict[str, int] = {}
        for report in self.reports:
            errors.update(report.errors)
            watched |= report.watched
        return SwarmResult(
            plan=plan,
            host=host,
            users=users,
            generators=len(self._reports),
            started_at=started_at,
            seconds=round(seconds, 3),
            jobs=self._jobs(),
            figures=self.figures(rounded),
            flow=flow_of((report.flow for report in self.reports), self._recorder.window_s),
            errors=dict(errors.most_common()),
            watched=watched,
        )

    def _jobs(self) -> Jobs:
        outcomes: Counter[Outcome] = Counter(dict.fromkeys(Outcome, 0))
        named: dict[Outcome, list[str]] = {}
        for report in self.reports:
            outcomes.update(report.outcomes)
            for outcome, ids in report.named.items():
                named[outcome] = (named.get(outcome, []) + ids)[:NAMED]
        return Jobs(
            submitted=sum(report.submitted for report in self.reports),
            acknowledged=sum(report.acknowledged for report in self.reports),
            outcomes=dict(outcomes),
            named=named,
        )

    def _lately(self, figure: Figure) -> float:
        return self._recorder.lately(figure, LIVE_WINDOWS).percentile_ms(99)


def _window(second: float, histogram: Histogram) -> Window:
    return Window(
        second=second,
        count=histogram.count,
        p50_ms=histogram.percentile_ms(50),
        p99_ms=histogram.percentile_ms(99),
        max_ms=histogram.percentile_ms(100),
    )
