"""Loads without faults: the steady one with every worker and subscriber, one by polling alone, one for memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from harness import defects
from harness.criteria import claims, progress
from harness.criteria.definition import NotMeasured
from harness.criteria.evidence import MemoryLoads, PollingLoad, SteadyLoad
from harness.criteria.memory import FIGURE
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.gate.load_runs import free_percent, lives, run_load, spec_for
from harness.load.latencies import Metric
from harness.load.population import polled, read_population
from harness.load.report import charts_of, distributions_of, memory_line
from harness.load.results import SERVERS, LoadResult, MemorySeries
from harness.load.spec import Mix
from harness.results import Chart
from harness.targets import Side

NOBODY_IS_WOKEN: Final = "nobody-is-woken"
POLLING_RATE: Final = 4.0
POLLED_SERVICES: Final = 16
"""Each with one worker: a job in four seconds for each, so that it is idle."""
ATTEMPTS: Final = 3
"""A latency over its limit is measured again, so that the median of the attempts counts."""
NO_MEMORY: Final = MemorySeries(part="", processes=0, points=[], per_process=(0, 0, 0))


async def gather_steady(context: RunContext) -> PhaseResult:
    """Load, and where a latency was over its limit as often as there are attempts."""
    profile, attempts, free = context.profile, list[LoadResult](), 100.0
    mix, population = Mix.of(profile.subscribers).crowded(), read_population().calm()
    while not attempts or (len(attempts) < ATTEMPTS and over_a_limit(context, attempts[0])):
        rate, seconds = profile.load_rate, profile.load_s
        spec = spec_for(context, Side.STACK, rate=rate, seconds=seconds, mix=mix, population=population)
        free = min(free, await free_percent())
        attempts.append(await run_load(context, f"steady-{len(attempts) + 1}", spec))
        free = min(free, attempts[-1].machine_percent)
    evidence = SteadyLoad(attempts=attempts, free_percent=free)
    shown = evidence.typical(Metric.CLAIMED)
    return PhaseResult(
        evidence=[evidence],
        histories=[("steady load", attempt.checks) for attempt in attempts],
        timelines=[
            life
            for number, attempt in enumerate(attempts, 1)
            for life in await lives(context, f"steady-{number}", attempt)
        ],
        distributions=distributions_of(shown, _limits(context)),
        charts=charts_of(shown, _limits(context)),
    )


def over_a_limit(context: RunContext, result: LoadResult) -> bool:
    """Whether a latency that a criterion judges is at its limit or over it, or was not measured."""
    limits = _limits(context)
    measured = {metric: result.swarm.p99_ms(metric) for metric in limits}
    return any(value is None or value >= limits[metric] for metric, value in measured.items())


def _limits(context: RunContext) -> dict[Metric, float]:
    return {
        Metric.CLAIMED: context.limits.limits(claims.CRITERION).p99_ms,
        Metric.PROGRESS_SEEN: context.limits.limits(progress.CRITERION).p99_ms,
    }


async def gather_polling(context: RunContext) -> PhaseResult:
    """A slow load on a stack that wakes nobody: each job meets the one worker that serves it idle, which polls."""
    if context.options.candidate:
        return PhaseResult(evidence=[PollingLoad(load=None)])  # nobody can switch wake-ups off in it
    spec = spec_for(
        context,
        Side.STACK,
        rate=POLLING_RATE,
        seconds=context.profile.polling_jobs / POLLING_RATE,
        mix=Mix.of(10),
        fleet=POLLED_SERVICES,
        population=polled(POLLED_SERVICES),
        overlay=str(_without_wake_ups(context)),
    )
    load = await run_load(context, "polling", spec)
    return PhaseResult(
        evidence=[PollingLoad(load=load)],
        histories=[("polling", load.checks)],
        timelines=await lives(context, "polling", load),
    )


def _without_wake_ups(context: RunContext) -> Path:
    """The stack, as it is judged, with its wake-ups switched off: nothing but polling is left."""
    if context.overlay and context.options.defect == NOBODY_IS_WOKEN:
        return context.overlay
    source = context.overlay / "new_stack" if context.overlay else None
    return defects.apply(defects.named(NOBODY_IS_WOKEN), context.folder / "overlay-polling", source=source)


async def gather_memory(context: RunContext) -> PhaseResult:
    """The same load on both sides at once, at a rate that the hub can bear: memory is not a matter of speed."""
    if context.options.candidate or context.options.legacy:
        raise NotMeasured("The load that compares both sides is put only on a hub and a stack of this run's own.")
    profile = context.profile
    on_hub, on_stack = await asyncio.gather(*(_memory_load(context, side) for side in (Side.HUB, Side.STACK)))
    of_hub, of_api = (load.memory_of(SERVERS[load.side]) or NO_MEMORY for load in (on_hub, on_stack))
    hub, api = of_hub.per_process[1], of_api.per_process[1]
    conditions = (
        f"Median: API {api / 1e6:.1f} MB, the simulator of the hub {hub / 1e6:.1f} MB, both with {profile.workers} "
        f"workers, {profile.subscribers} clients and {profile.hub_rate:g} jobs a second."
    )
    evidence = MemoryLoads(
        api_bytes=api,
        api_samples=len(of_api.points),
        conditions=conditions,
        loads=[on_stack],
        on_hub=on_hub,
    )
    chart = Chart(
        id=FIGURE,
        title="Memory of the API and of the hub's simulator under the same load",
        unit="MB",
        lines=(memory_line("simulator of the hub", of_hub), memory_line("API", of_api)),
        sentence=conditions,
    )
    return PhaseResult(evidence=[evidence], histories=[("memory", on_stack.checks)], charts=[chart])


async def _memory_load(context: RunContext, side: Side) -> LoadResult:
    profile = context.profile
    mix = Mix.of(profile.subscribers)
    spec = spec_for(context, side, rate=profile.hub_rate, seconds=profile.memory_s, mix=mix, sample_s=1.0)
    return await run_load(context, f"memory-{side.value}", spec)


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
