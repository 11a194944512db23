"""The gate's way to the project's one load generator: the loads that phases ask for, and what their histories say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from harness.gate.bench import Bench
from harness.history import CheckResult, History, HistoryWriter, Limits, check_all
from harness.load.deployment import Site
from harness.load.jobs import JobSpec
from harness.load.latencies import Figure, Wire
from harness.load.plan import Plan
from harness.load.report import charts_of, distributions_of
from harness.load.results import LiveLine
from harness.load.runner import LoadResult, run
from harness.load.spec import LoadSpec, Mix, Side
from harness.processes import empty

__all__ = [
    "LEASE_MS",
    "Figure",
    "JobSpec",
    "LoadResult",
    "Mix",
    "Side",
    "Site",
    "Wire",
    "charts_of",
    "checks_of",
    "distributions_of",
    "memory_of_part",
    "put_load",
    "spec_for",
    "stack_terms",
]

LEASE_MS: Final = 10_000
"""The lease that every stack of the gate runs with: the product's own default, said aloud."""
Disturb = Callable[[Site, HistoryWriter], Awaitable[None]]


def spec_for(bench: Bench, side: Side, *, rate: float, seconds: float, mix: Mix, **more: Any) -> LoadSpec:
    """A load with the profile's workers on one side, started here or given by the run's options."""
    options = bench.options
    given: dict[str, Any] = {"url": options.legacy} if side is Side.HUB else {"url": options.candidate}
    if side is Side.STACK and bench.given_redis:
        given["redis"] = bench.given_redis
        given["prefix"] = "" if options.candidate else f"hubgate-{uuid4().hex[:12]}:"
    settings = {
        "worker_environment": stack_terms(),
        "server_environment": stack_terms(),
        "overlay": str(bench.overlay) if bench.overlay else None,
    }
    return LoadSpec(
        side=side,
        plan=Plan(rate=rate, duration_s=seconds, seed=options.seed),
        mix=mix,
        **{"fleet": bench.profile.workers, **(settings if side is Side.STACK else {}), **given, **more},
    )


def stack_terms(**more: str) -> dict[str, str]:
    """The settings that the gate's stacks run with, by their names in the environment."""
    return {"HUBGATE_LEASE_MS": str(LEASE_MS), **more}


async def put_load(bench: Bench, name: str, spec: LoadSpec, disturb: Disturb | None = None) -> tuple[LoadResult, Path]:
    """Run a load, telling how it goes; answers what it came to and its folder."""

    def live(line: LiveLine) -> None:
        bench.tell(f"{name}: {line.second:.0f} s, {line.acknowledged} jobs accepted, {line.ended} ended")

    bench.tell(f"{name}: starting {spec.fleet} workers")
    folder = bench.path("loads", name, "load.json").parent
    result = await run(spec, folder, on_live=live, disturb=disturb)
    if spec.redis and spec.prefix and spec.redis != "docker":
        await asyncio.to_thread(empty, spec.redis, spec.prefix)
    return result, folder


async def checks_of(folder: Path) -> tuple[History, dict[str, CheckResult]]:
    """What every checker says of a load's history, by the checker's name."""

    def examine() -> tuple[History, dict[str, CheckResult]]:
        history = History.load(*sorted(folder.glob("history-*.jsonl")))
        found = check_all(history, Limits(lease_ms=LEASE_MS))
        return history, {result.name: result for result in found}

    return await asyncio.to_thread(examine)


def memory_of_part(result: LoadResult, part: str) -> tuple[int, list[tuple[float, int]]]:
    """Median bytes of one process of that part under load, and its series over time; (0, []) where there is none."""
    for series in result.memory:
        if series.part == part:
            return series.per_process[1], series.points
    return 0, []
