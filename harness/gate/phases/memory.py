"""What each side's server holds in memory while it serves the same load."""

from __future__ import annotations

from typing import Final

from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged
from harness.gate.loads import Mix, Side, memory_of_part, put_load, spec_for
from harness.gate.statements import CriterionId
from harness.results import Chart, Comparison, Evidence, Line, Link, LinkTo, Measurement, Threshold

PARTS: Final = {Side.HUB: "hub", Side.STACK: "api"}


async def gather(bench: Bench) -> Findings:
    """The same load on both, at a rate that the hub holds."""
    profile = bench.profile
    held: dict[Side, tuple[int, list[tuple[float, int]]]] = {}
    for side, part in PARTS.items():
        spec = spec_for(
            bench,
            side,
            rate=profile.hub_rate,
            seconds=profile.memory_s,
            mix=Mix.of(profile.subscribers),
            sample_s=1.0,
        )
        result, _ = await put_load(bench, f"memory-{side.value}", spec)
        held[side] = memory_of_part(result, part)
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


def _megabytes(points: list[tuple[float, int]]) -> list[tuple[float, float]]:
    return [(second, size / 1e6) for second, size in points]


MEMORY: Final = Phase(
    name="memory", about="the same load on both sides: who holds less", feeds=(CriterionId.MEMORY,), gather=gather
)
