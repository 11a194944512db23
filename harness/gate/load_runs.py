"""The loads that phases ask for, and what the checkers say of their histories."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from harness.criteria.evidence import CheckedLoad
from harness.gate.context import RunContext
from harness.history import History, HistoryWriter, Limits, check_all
from harness.load.deployment import Site
from harness.load.plan import Plan
from harness.load.results import LiveLine
from harness.load.runner import LoadResult, run
from harness.load.spec import LoadSpec, Mix, Side
from harness.processes import empty

LEASE_MS: Final = 10_000
"""The lease that every stack of the gate runs with: the product's own default, said aloud."""
Disturb = Callable[[Site, HistoryWriter], Awaitable[None]]


def spec_for(context: RunContext, side: Side, *, rate: float, seconds: float, mix: Mix, **more: Any) -> LoadSpec:
    """A load with the profile's workers on one side, started here or given by the run's options."""
    options = context.options
    given: dict[str, Any] = {"url": options.legacy} if side is Side.HUB else {"url": options.candidate}
    if side is Side.STACK and context.given_redis:
        given["redis"] = context.given_redis
        given["prefix"] = "" if options.candidate else f"hubgate-{uuid4().hex[:12]}:"
    settings = {
        "worker_environment": stack_terms(),
        "server_environment": stack_terms(),
        "overlay": str(context.overlay) if context.overlay else None,
    }
    return LoadSpec(
        side=side,
        plan=Plan(rate=rate, duration_s=seconds, seed=options.seed),
        mix=mix,
        **{"fleet": context.profile.workers, **(settings if side is Side.STACK else {}), **given, **more},
    )


def stack_terms(**more: str) -> dict[str, str]:
    """The settings that the gate's stacks run with, by their names in the environment."""
    return {"HUBGATE_LEASE_MS": str(LEASE_MS), **more}


async def run_load(context: RunContext, name: str, spec: LoadSpec, disturb: Disturb | None = None) -> LoadResult:
    """Run a load, telling how it goes; its files are in `load_folder`."""

    def live(line: LiveLine) -> None:
        context.report(f"{name}: {line.second:.0f} s, {line.acknowledged} jobs accepted, {line.ended} ended")

    context.report(f"{name}: starting {spec.fleet} workers")
    result = await run(spec, load_folder(context, name), on_live=live, disturb=disturb)
    if spec.redis and spec.prefix and spec.redis != "docker":
        await asyncio.to_thread(empty, spec.redis, spec.prefix)
    return result


async def checked_load(
    context: RunContext, name: str, spec: LoadSpec, disturb: Disturb | None = None
) -> tuple[CheckedLoad, History]:
    """Run a load, and have every checker go through its history."""
    result = await run_load(context, name, spec, disturb)

    def examine() -> tuple[CheckedLoad, History]:
        history = History.load(*sorted(load_folder(context, name).glob("history-*.jsonl")))
        checks = {check.name: check for check in check_all(history, Limits(lease_ms=LEASE_MS))}
        return CheckedLoad(result=result, checks=checks), history

    return await asyncio.to_thread(examine)


def load_folder(context: RunContext, name: str) -> Path:
    """Where a load of this run keeps its files."""
    return context.path("loads", name, "load.json").parent


def memory_of_part(result: LoadResult, part: str) -> tuple[int, list[tuple[float, int]]]:
    """Median bytes of one process of that part under load, and its series over time; (0, []) where there is none."""
    for series in result.memory:
        if series.part == part:
            return series.per_process[1], series.points
    return 0, []
