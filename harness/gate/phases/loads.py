"""Loads without faults: the steady one with every worker and subscriber, one by polling alone, one for memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import psutil

from harness import defects
from harness.criteria import claims, progress
from harness.criteria.evidence import CheckedLoad, MemoryLoads, PollingLoad, SteadyLoad
from harness.criteria.memory import FIGURE
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.gate.load_runs import checked_load, memory_of_part, run_load, spec_for
from harness.load.latencies import Figure
from harness.load.report import charts_of, distributions_of
from harness.load.runner import LoadResult
from harness.load.spec import Mix, Side
from harness.results import Chart, Line

NOBODY_IS_WOKEN: Final = "nobody-is-woken"
POLL_MS: Final = 250
POLLING_RATE: Final = 4.0
ATTEMPTS: Final = 3
"""A latency over its limit is measured again, so that the median of the attempts counts."""
CPU_SAMPLE_S: Final = 1.0
PARTS: Final = {Side.HUB: "hub", Side.STACK: "api"}


async def gather_steady(context: RunContext) -> PhaseResult:
    """Load, and where a latency was over its limit as often as there are attempts."""
    profile, attempts, free = context.profile, list[CheckedLoad](), 100.0
    while not attempts or (len(attempts) < ATTEMPTS and over_a_limit(context, attempts[0].result)):
        spec = spec_for(
            context, Side.STACK, rate=profile.load_rate, seconds=profile.load_s, mix=Mix.of(profile.subscribers)
        )
        free = min(free, await _free_percent())
        attempts.append((await checked_load(context, f"steady-{len(attempts) + 1}", spec))[0])
    evidence = SteadyLoad(attempts=attempts, free_percent=free)
    shown = evidence.typical(Figure.CLAIMED).result
    return PhaseResult(
        evidence=[evidence],
        histories=[("steady load", attempt.checks) for attempt in attempts],
        distributions=distributions_of(shown),
        charts=charts_of(shown),
    )


async def _free_percent() -> float:
    """How much of the processors is free, in percent over a second. Asked while nothing of ours is at work."""
    busy: float = await asyncio.to_thread(psutil.cpu_percent, CPU_SAMPLE_S)
    return 100 - busy


def over_a_limit(context: RunContext, result: LoadResult) -> bool:
    """Whether a latency that a criterion judges is at its limit or over it, or was not measured."""
    limits = {
        Figure.CLAIMED: context.limits.limits(claims.CRITERION).p99_ms,
        Figure.PROGRESS_SEEN: context.limits.limits(progress.CRITERION).p99_ms,
    }
    measured = {figure: result.swarm.p99_ms(figure) for figure in limits}
    return any(value is None or value >= limits[figure] for figure, value in measured.items())


async def gather_polling(context: RunContext) -> PhaseResult:
    """A slow load, so that each job meets idle workers, on a stack that wakes nobody."""
    spec = spec_for(
        context,
        Side.STACK,
        rate=POLLING_RATE,
        seconds=context.profile.polling_jobs / POLLING_RATE,
        mix=Mix.of(10),
        poll_ms=POLL_MS,
        overlay=str(_without_wake_ups(context)),
    )
    load, _ = await checked_load(context, "polling", spec)
    return PhaseResult(evidence=[PollingLoad(load=load)], histories=[("polling", load.checks)])


def _without_wake_ups(context: RunContext) -> Path:
    """The stack, as it is judged, with its wake-ups switched off: nothing but polling is left."""
    if context.overlay and context.options.defect == NOBODY_IS_WOKEN:
        return context.overlay
    source = context.overlay / "new_stack" if context.overlay else None
    return defects.apply(defects.named(NOBODY_IS_WOKEN), context.folder / "overlay-polling", source=source)


async def gather_memory(context: RunContext) -> PhaseResult:
    """The same load on both sides at once, at a rate that the hub can bear: memory is not a matter of speed."""
    profile = context.profile
    measured = await asyncio.gather(*(_memory(context, side) for side in PARTS))
    (hub, hub_points), (api, api_points) = measured
    conditions = (
        f"Median PSS: hub {hub / 1e6:.1f} MB, API {api / 1e6:.1f} MB, both with {profile.workers} workers, "
        f"{profile.subscribers} clients and {profile.hub_rate:g} jobs a second."
    )
    evidence = MemoryLoads(
        hub_bytes=hub,
        hub_samples=len(hub_points),
        api_bytes=api,
        api_samples=len(api_points),
        conditions=conditions,
    )
    chart = Chart(
        id=FIGURE,
        title="Memory of the hub and of the API under the same load",
        unit="MB",
        lines=(Line.of("hub", _megabytes(hub_points)), Line.of("API", _megabytes(api_points))),
        sentence=conditions,
    )
    return PhaseResult(evidence=[evidence], charts=[chart])


async def _memory(context: RunContext, side: Side) -> tuple[int, list[tuple[float, int]]]:
    profile = context.profile
    mix = Mix.of(profile.subscribers)
    spec = spec_for(context, side, rate=profile.hub_rate, seconds=profile.memory_s, mix=mix, sample_s=1.0)
    return memory_of_part(await run_load(context, f"memory-{side.value}", spec), PARTS[side])


def _megabytes(points: list[tuple[float, int]]) -> list[tuple[float, float]]:
    return [(second, size / 1e6) for second, size in points]


STEADY: Final = Phase(
    name="load",
    about="48 workers, 100 subscribers: how soon jobs are claimed and progress is seen",
    gathers=(SteadyLoad,),
    gather=gather_steady,
)
POLLING: Final = Phase(
    name="polling",
    about="the same without wake-ups: workers find jobs by polling alone",
    gathers=(PollingLoad,),
    gather=gather_polling,
)
MEMORY: Final = Phase(
    name="memory", about="the same load on both sides: who needs less", gathers=(MemoryLoads,), gather=gather_memory
)
