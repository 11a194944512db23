from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from harness.load.comparison import compare
from harness.load.comparison_report import write_comparison, write_saturation
from harness.load.results import LoadResult, LoadSummary
from harness.load.saturation import Saturation
from harness.load.spec import LoadSpec
from harness.results import Verdict
from harness.results import load as load_run
from harness.targets import Side
from tests.harness.load.test_report import loaded


async def test_a_comparison_becomes_one_run_with_both_sides_in_each_plot(tmp_path: Path) -> None:
    async def load(spec: LoadSpec, out: Path, **_: Any) -> LoadResult:
        result = msgspec.structs.replace(loaded(), side=spec.side)
        out.mkdir(parents=True)
        (out / "load.json").write_bytes(msgspec.json.encode(result))
        return result

    found = await compare(LoadSpec(side=Side.HUB), LoadSpec(), tmp_path, load=load)
    write_comparison(found, tmp_path, ["hubgate", "load", "--compare"])
    run = load_run(tmp_path)
    assert (run.verdict, run.problems) == (Verdict.PASS, ())
    assert [series.label for series in run.distributions[0].series] == ["1-hub", "2-stack", "3-stack", "4-hub"]
    assert "submit to claimed p99 1.00 (1.00 to 1.00" in run.criteria[0].explanation
    assert len(run.tallies) == 4


def test_a_search_becomes_a_run_with_its_limit_drawn(tmp_path: Path) -> None:
    probes = [
        LoadSummary(
            side=Side.HUB,
            folder=f"rate-{rate:g}-1",
            rate=rate,
            verdict=Verdict.PASS,
            reason="",
            submitted=9,
            ended=9,
            values={"submit to claimed p99": p99},
        )
        for rate, p99 in ((5, 10.0), (10, 700.0))
    ]
    found = Saturation(side=Side.HUB, highest=5, lowest_failed=10, generator_bound=False, limit_ms=500, probes=probes)
    write_saturation(found, tmp_path, [], seconds=10)
    run = load_run(tmp_path)
    assert run.headline == "The hub holds 5 jobs/s, and not 10."
    assert [(point.x, point.y) for point in run.charts[0].lines[0].points] == [(5, 10), (10, 700)]
    assert run.charts[0].limits[0].value == 500
    assert run.problems == ()
