"""Puts the reports of all generator processes together; Locust's master has one, and so has a single process."""

from __future__ import annotations

from collections import Counter

import msgspec

from harness.load.account import Account
from harness.load.arrivals import Plan
from harness.load.excuses import ErrorCount
from harness.load.latencies import Cell, Histogram, Metric, Recorder, Transport
from harness.load.ledger import Jobs
from harness.load.swarm import Count, LatencyResult, LiveLine, SwarmResult, Window, throughput_of


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One process's account: histograms since they were last asked for, and all counts so far."""

    cells: list[Cell]
    lately_p99_ms: dict[Metric, float]
    jobs: Jobs
    outstanding: int
    finished: bool
    errors: dict[str, int]
    errors_at: list[ErrorCount]
    watched: dict[str, int]
    throughput: list[Count]


def report_of(load: Account, *, whole: bool = True) -> Report:
    """Take a process's report; what it has recorded is handed over once.

    Histograms take tens of ms, in which the process's clients stand still: one that is not `whole` leaves them out.
    """
    return Report(
        cells=load.recorder.take() if whole else [],
        lately_p99_ms=load.recorder.lately_p99_ms(),
        jobs=load.ledger.jobs(),
        outstanding=load.ledger.outstanding,
        finished=load.finished,
        errors=dict(load.errors),
        errors_at=[(second, kind, number) for (second, kind), number in load.errors_at.items()],
        watched=dict(load.watched),
        throughput=load.throughput.dump(),
    )


class Aggregation:
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
            claimed_p99_ms=self._lately(Metric.CLAIMED) or self._lately(Metric.CLAIM_SEEN),
            progress_p99_ms=self._lately(Metric.PROGRESS_SEEN),
            ended_p99_ms=self._lately(Metric.ENDED),
        )

    def latencies(self) -> dict[Metric, LatencyResult]:
        """Every latency that has values."""
        totals = {metric: self._recorder.total(metric) for metric in Metric}
        return {metric: self._latency(metric, total) for metric, total in totals.items() if total.count}

    def _latency(self, metric: Metric, total: Histogram) -> LatencyResult:
        parts = {transport: self._recorder.total(metric, transport) for transport in Transport}
        slowest = self._recorder.slowest(metric)
        return LatencyResult(
            overall=total.series("all"),
            by_transport={one: part.series(one) for one, part in parts.items() if part.count},
            over_time=[
                _window(second, one, slowest.get(second, {})) for second, one in self._recorder.over_time(metric)
            ],
        )

    def result(self, plan: Plan, *, host: str, users: dict[str, int], started_at: float, seconds: float) -> SwarmResult:
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
            latencies=self.latencies(),
            over_time=throughput_of((report.throughput for report in self.reports), self._recorder.window_s),
            errors=dict(errors.most_common()),
            errors_at=sorted(one for report in self.reports for one in report.errors_at),
            watched=watched,
        )

    def _jobs(self) -> Jobs:
        return Jobs.together([report.jobs for report in self.reports])

    def _lately(self, metric: Metric) -> float:
        """The slowest process's."""
        return max((report.lately_p99_ms.get(metric, 0.0) for report in self.reports), default=0.0)


def _window(second: float, histogram: Histogram, slowest: dict[str, float]) -> Window:
    median, p99, longest = histogram.percentiles_ms(50, 99, 100)
    return Window(second=second, count=histogram.count, p50_ms=median, p99_ms=p99, max_ms=longest, slowest=slowest)
