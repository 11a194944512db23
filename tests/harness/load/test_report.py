from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.history.absences import Absence, Part
from harness.load.judge import judge
from harness.load.latencies import Histogram, Metric, Transport
from harness.load.report import run_of, write_run
from harness.load.results import LoadResult, MemorySeries, WorkerExit
from harness.load.spec import Demands
from harness.load.swarm import LatencyResult, Throughput, Window
from harness.results import Moment, Verdict
from harness.results import load as load_run
from tests.harness.load import test_judge


def loaded(**more: int) -> LoadResult:
    claimed = Histogram.of(number / 1000 for number in range(1, 101))
    found = LatencyResult(
        overall=claimed.series("all"),
        by_transport={one: claimed.series(one) for one in Transport},
        over_time=[Window(second=0, count=100, p50_ms=50, p99_ms=99, max_ms=100, slowest={"job-7": 100.0})],
    )
    swarm = msgspec.structs.replace(
        test_judge.result(**more),
        started_at=1_800_000_000.0,
        latencies={Metric.SENT: test_judge.measured(0.001), Metric.CLAIMED: found},
        over_time=[
            Throughput(second=second, submitted=50, accepted=50, claimed=50, ended=50, waiting=0, running=2)
            for second in (0.0, 1.0)
        ],
    )
    gone = WorkerExit(worker="worker-1", at=swarm.started_at + 1, ours=True, back_after_s=0.5)
    result = test_judge.loaded(
        swarm,
        Demands(most_p99_ms={Metric.CLAIMED: 500}),
        fleet=msgspec.structs.replace(test_judge.fleet(), exits=[gone]),
        memory=[MemorySeries(part="api", processes=1, points=[(0.0, 30_000_000)], per_process=(1, 2, 3))],
        history=["history-local.jsonl"],
    )
    return msgspec.structs.replace(result, judgement=judge(result))


def test_a_load_becomes_a_run_without_contradictions(tmp_path: Path) -> None:
    write_run(loaded(), tmp_path, ["hubgate", "load"])
    run = load_run(tmp_path / "run.json")
    assert (run.verdict, run.problems) == (Verdict.PASS, ())
    assert run.headline == "The stack passes this load."


def test_its_plots_are_at_full_resolution_and_by_protocol() -> None:
    plot = run_of(loaded(), Path("x"), []).distributions[1]
    assert [series.label for series in plot.series] == ["all", "websocket", "sse"]
    assert plot.series[0].at(90) == pytest.approx(90, rel=0.001)
    assert plot.series[0].at(100) == pytest.approx(100, rel=0.001)
    assert plot.limits[0].value == 500


def test_a_latency_over_time_knows_whose_its_spikes_are() -> None:
    charts = {chart.id: chart for chart in run_of(loaded(), Path("x"), []).charts}
    assert charts["stack-claimed-over-time"].moments == (Moment(x=0, jobs={"job-7": 100.0}),)
    assert charts["stack-throughput"].moments == ()


def test_memory_is_drawn_in_megabytes_with_the_kills_marked() -> None:
    charts = {chart.id: chart for chart in run_of(loaded(), Path("x"), []).charts}
    memory = charts["stack-memory"]
    assert (memory.unit, memory.lines[0].points[0].y) == ("MB", 30)
    assert [mark.x for mark in memory.marks] == [1]


def test_a_latency_over_time_has_its_limit_and_what_was_away() -> None:
    was_away = msgspec.structs.replace(
        loaded(),
        absences=[Absence(Part.REDIS, 1_800_000_002.0, 1_800_000_002.5), Absence(Part.SERVER, 1_800_000_003.0)],
    )
    charts = {chart.id: chart for chart in run_of(was_away, Path("x"), []).charts}
    claimed = charts["stack-claimed-over-time"]
    assert [(limit.value, limit.label) for limit in claimed.limits] == [(500, "limit of p99")]
    end = was_away.swarm.seconds
    assert [(mark.label, mark.x, mark.until) for mark in claimed.marks[1:]] == [
        ("Redis away", min(2, end), min(2.5, end)),
        ("a server away", min(3, end), end),
    ]


def test_a_lost_job_is_in_the_verdict_and_in_the_tally() -> None:
    run = run_of(loaded(lost=2), Path("x"), [])
    assert run.verdict is Verdict.FAIL
    assert {part.label: part.count for part in run.tallies[0].classes if part.bad}["lost"] == 2
    assert run.tallies[0].unaccounted == 0
