"""What each side's server holds in memory while it serves the same load."""

from __future__ import annotations

import asyncio
from typing import Final

from harness.criteria.statements import CriterionId
from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged
from harness.gate.loads import Mix, Side, memory_of_part, put_load, spec_for
from harness.results import Chart, Comparison, Evidence, Line, Link, LinkTo, Measurement, Threshold

PARTS: Final = {Side.HUB: "hub", Side.STACK: "api"}


async def gather(bench: Bench) -> Findings:
    """The same load on both at once, at a rate that the hub holds: memory is not a matter of speed."""
    profile = bench.profile
    held = dict(zip(PARTS, await asyncio.gather(*(_held(bench, side) for side in PARTS)), strict=True))
    (hub, hub_points), (stack, stack_points) = held[Side.HUB], held[Side.STACK]
    measurement = Measurement(
        what="the API's memory as a share of the hub's",
        observed=stack / hub if hub and stack else None,
        threshold=Threshold(comparison=Comparison.BELOW, limit=bench.limits.memory.ratio_to_hub),
    )
    evidence = [
        Evidence(what=f"samples of the {side.value}", had=len(held[side][1]), least=bench.least.memory_samples)
        for side in PARTS
    ]
    chart = Chart(
        id="memory-both-sides",
        title="Memory of the hub and of the API under the same load",
        unit="MB",
        lines=(Line.of("hub", _megabytes(hub_points)), Line.of("API", _megabytes(stack_points))),
        sentence=f"Median PSS: hub {hub / 1e6:.1f} MB, API {stack / 1e6:.1f} MB, both with {profile.workers} workers, "
        f"{profile.subscribers} clients and {profile.hub_rate:g} jobs a second.",
    )
    criterion = judged(
        CriterionId.MEMORY,
        [measurement],
        evidence,
        links=[Link(to=LinkTo.FIGURE, ref=chart.id, label="memory over time")],
        explanation=chart.sentence,
    )
    return Findings(criteria=[criterion], charts=[chart])


async def _held(bench: Bench, side: Side) -> tuple[int, list[tuple[float, int]]]:
    profile = bench.profile
    mix = Mix.of(profile.subscribers)
    spec = spec_for(bench, side, rate=profile.hub_rate, seconds=profile.memory_s, mix=mix, sample_s=1.0)
    result, _ = await put_load(bench, f"memory-{side.value}", spec)
    return memory_of_part(result, PARTS[side])


def _megabytes(points: list[tuple[float, int]]) -> list[tuple[float, float]]:
    return [(second, size / 1e6) for second, size in points]


MEMORY: Final = Phase(
    name="memory", about="the same load on both sides: who holds less", feeds=(CriterionId.MEMORY,), gather=gather
)
