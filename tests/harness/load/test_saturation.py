from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.load.arrivals import Plan
from harness.load.results import LoadResult
from harness.load.saturation import Search, find_saturation
from harness.load.spec import LoadSpec
from harness.results import Verdict
from harness.targets import Side
from tests.harness.load import test_judge


@settings(deadline=None)
@given(st.floats(0.3, 3000), st.floats(0.5, 50), st.floats(0.02, 0.5))
def test_the_search_closes_in_on_the_true_limit(limit: float, start: float, precision: float) -> None:
    search, tried = Search(start, 1000, precision), 0
    while (rate := search.rate) is not None:
        search.record(held=rate <= limit)
        tried += 1
    assert tried < 40
    if search.held is not None:
        assert search.held <= limit
    if search.failed is None:
        assert limit >= 1000 or start >= 1000
    else:
        assert search.failed > limit
        if search.held is not None:
            assert search.failed - search.held <= precision * search.failed + 0.01


async def loaded(spec: LoadSpec, limit: float, at_limit: Verdict) -> LoadResult:
    verdict = Verdict.PASS if spec.plan.rate <= limit else at_limit
    result = test_judge.loaded(test_judge.result(), side=spec.side)
    judgement = msgspec.structs.replace(result.judgement, verdict=verdict)
    return msgspec.structs.replace(result, spec=spec, judgement=judgement)


async def test_a_search_reports_the_highest_rate_and_what_stopped_it(tmp_path: Path) -> None:
    async def load(spec: LoadSpec, _: Path, **__: Any) -> LoadResult:
        return await loaded(spec, 33, Verdict.FAIL)

    found = await find_saturation(LoadSpec(side=Side.HUB, plan=Plan(duration_s=5)), tmp_path, load=load)
    assert found.highest is not None
    assert 30 <= found.highest <= 33 < (found.lowest_failed or 0)
    assert not found.generator_bound
    assert [probe.rate for probe in found.probes[:5]] == [5, 10, 20, 40, 40], "what fails is tried again"
    assert (tmp_path / "saturation.json").exists()


async def test_one_stumble_is_forgiven(tmp_path: Path) -> None:
    tried: list[float] = []

    async def load(spec: LoadSpec, _: Path, **__: Any) -> LoadResult:
        tried.append(spec.plan.rate)
        return await loaded(spec, 0 if tried == [5] else 33, Verdict.FAIL)

    assert ((await find_saturation(LoadSpec(), tmp_path, load=load)).highest or 0) >= 30


async def test_a_search_that_the_generator_ended_says_so(tmp_path: Path) -> None:
    async def load(spec: LoadSpec, _: Path, **__: Any) -> LoadResult:
        return await loaded(spec, 33, Verdict.INCONCLUSIVE)

    assert (await find_saturation(LoadSpec(), tmp_path, load=load)).generator_bound
