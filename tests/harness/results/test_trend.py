"""A run against earlier ones: what counts as worse, as better, and as nothing that could be compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from harness.results import About, Criterion, Machine, Parts, Run, at_most, conclude, count
from harness.results.criteria import Comparison, Measurement, Statement, Threshold
from harness.results.standing import Standing
from harness.results.trend import environment_of, trend

MACHINE = Machine(system="Linux", cores=2, memory_bytes=2**34, processor="x", python="3.11")
PROMISE = Statement(id="claims", title="Claims", sentence="They are fast.", source="plan", measured="by hand")


def run(number: int, *measured: Measurement, machine: Machine = MACHINE) -> Run:
    started = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=number)
    about = About(id=f"run-{number}", started_at=started, seconds=1, profile="quick", command=(), machine=machine)
    return conclude(about, Parts(criteria=(Criterion.judged(PROMISE, measurements=measured),)))


def p99(value: float) -> Measurement:
    return at_most("p99", value, 20, "ms")


@pytest.mark.parametrize(
    ("earlier", "now", "change"),
    [
        ([10.0], 12.4, Standing.SAME),
        ([10.0], 12.6, Standing.WORSE),
        ([10.0], 7.4, Standing.BETTER),
        ([10.0, 10.2, 10.1], 11.1, Standing.SAME),
        ([10.0, 10.2, 10.1], 11.3, Standing.WORSE),
        ([8.0, 12.0, 10.0], 15.0, Standing.SAME),
        ([8.0, 12.0, 10.0], 16.5, Standing.WORSE),
        ([8.0, 12.0, 10.0], 3.5, Standing.BETTER),
    ],
)
def test_a_time_is_worse_beyond_all_and_beyond_their_spread(earlier: list[float], now: float, change: Standing) -> None:
    before = [run(number, p99(value)) for number, value in enumerate(earlier)]
    [found] = trend(before, run(9, p99(now)))
    assert found.change is change
    assert found.before == tuple(earlier)


def test_one_lost_job_is_worse() -> None:
    [found] = trend([run(0, count("lost", 0))], run(1, count("lost", 1)))
    assert found.change is Standing.WORSE


def test_of_a_throughput_less_is_worse() -> None:
    def rate(value: float) -> Measurement:
        limit = Threshold(comparison=Comparison.AT_LEAST, limit=1)
        return Measurement(what="jobs", observed=value, unit="jobs/s", threshold=limit)

    changes = [trend([run(0, rate(100))], run(1, rate(value)))[0].change for value in (70, 100, 130)]
    assert changes == [Standing.WORSE, Standing.SAME, Standing.BETTER]


def test_times_of_another_machine_are_not_compared_and_counts_are() -> None:
    other = msgspec.structs.replace(MACHINE, cores=64)
    before = [run(0, p99(1), count("lost", 0), machine=other)]
    assert environment_of(before[0]) != environment_of(run(1))
    found = {one.what: one.change for one in trend(before, run(1, p99(19), count("lost", 2)))}
    assert found == {"p99": Standing.ELSEWHERE, "lost": Standing.WORSE}


def test_a_figure_that_nobody_measured_before_is_new() -> None:
    [found] = trend([run(0)], run(1, p99(1)))
    assert (found.change, found.describe()) == (Standing.NEW, "p99: 1 ms")


def test_a_run_is_not_held_against_itself() -> None:
    newest = run(1, p99(30))
    [found] = trend([newest, run(0, p99(10))], newest)
    assert found.before == (10,)


def test_the_sentence_has_both_figures_and_the_share() -> None:
    [found] = trend([run(0, p99(8.4))], run(1, p99(9.1)))
    assert found.describe() == "p99: 9.1 ms, was 8.4 ms (8 % more)"
