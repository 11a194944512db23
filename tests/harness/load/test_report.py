from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.load.fleet import Death, FleetResult
from harness.load.latencies import Figure, Histogram, Wire
from harness.load.report import run_of, write_run
from harness.load.results import FigureResult, Flow, Window
from harness.load.runner import LoadResult, MemorySeries
from harness.load.spec import LoadSpec, Side
from harness.load.verdict import Demands, judge
from harness.results import Verdict
from harness.results import load as load_run
from tests.harness.load.test_verdict import result as swarm_result


def loaded(**more: int) -> LoadResult:
    claimed = Histogram.of(number / 1000 for number in range(1, 101))
    found = FigureResult(
        overall=claimed.distribution(),
        by_wire={str(wire): claimed.distribution() for wire in Wire},
        over_time=[Window(second=0, count=100, p50_ms=50, p99_ms=99, max_ms=100)],
    )
    swarm = msgspec.structs.replace(
        swarm_result(**more),
        started_at=1_800_000_000.0,
        figures={Figure.CLAIMED: found},
        flow=[
            Flow(second=second, submitted=50, accepted=50, claimed=50, ended=50, waiting=0, running=2)
            for second in (0.0, 1.0)
        ],
    )
    death = Death(worker="worker-1", at=swarm.started_at + 1, ours=True, back_after_s=0.5)
    spec = LoadSpec(side=Side.STACK, demands=Demands(most_p99_ms={Figure.CLAIMED: 500}))
    return LoadResult(
        side=Side.STACK,
        spec=spec,
        owned=True,
        judgement=judge(swarm, spec.demands),
        swarm=swarm,
        fleet=FleetResult(size=1, alive=1, started_s=0.1, start_ms=None, start_cpu_ms=None, deaths=[death]),
        memory=[MemorySeries(part="api", processes=1, points=[(0.0, 30_000_000)], per_process=(1, 2, 3))],
        depth=[],
        history=["history-local.jsonl"],
        checks=[],
    )


def test_a_load_becomes_a_run_without_contradictions(tmp_path: Path) -> None:
    write_run(loaded(), tmp_path, ["hubgate", "load"])
    run = load_run(tmp_path / "run.json")
    assert (run.verdict, run.problems) == (Verdict.PASS, ())
    assert run.headline == "The stack passes this load."


def test_its_plots_are_at_full_resolution_and_by_protocol() -> None:
    plot = run_of(loaded(), Path("x"), []).distributions[0]
    assert [series.label for series in plot.series] == ["all", "websocket", "sse"]
    assert plot.series[0].at(90) == pytest.approx(90, rel=0.001)
    assert plot.series[0].at(100) == pytest.approx(100, rel=0.001)
    assert plot.limits[0].value == 500


def test_memory_is_drawn_in_megabytes_with_the_kills_marked() -> None:
    charts = {chart.id: chart for chart in run_of(loaded(), Path("x"), []).charts}
    memory = charts["stack-memory"]
    assert (memory.unit, memory.lines[0].points[0].y) == ("MB", 30)
    assert [mark.x for mark in memory.marks] == [1]


def test_a_lost_job_is_in_the_verdict_and_in_the_tally() -> None:
    run = run_of(loaded(lost=2), Path("x"), [])
    assert run.verdict is Verdict.FAIL
    assert {part.label: part.count for part in run.tallies[0].classes if part.bad}["lost"] == 2
    assert run.tallies[0].unaccounted == 0
