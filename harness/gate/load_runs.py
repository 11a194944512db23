"""The loads that phases ask for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import psutil

from harness.gate.context import RunContext
from harness.history import Limits
from harness.history.timelines import timelines_of
from harness.load.arrivals import Plan, Shape
from harness.load.population import DEFAULT_JOB, read_population
from harness.load.recording import history_in
from harness.load.results import LoadResult
from harness.load.runner import Disturb, run
from harness.load.spec import LoadSpec, Mix
from harness.load.swarm import LiveLine
from harness.processes import empty
from harness.results import Timeline
from harness.targets import LEASE_MS, Side

CPU_SAMPLE_S: Final = 1.0


async def free_percent() -> float:
    """How much of the processors is free, in percent over a second. Asked while nothing of ours is at work."""
    busy: float = await asyncio.to_thread(psutil.cpu_percent, CPU_SAMPLE_S)
    return 100 - busy


def spec_for(context: RunContext, side: Side, *, rate: float, seconds: float, mix: Mix, **more: Any) -> LoadSpec:
    """A load with the profile's workers on one side, started here or given by the run's options."""
    options = context.options
    lease_ms = more.pop("lease_ms", LEASE_MS)
    lease = _leased(lease_ms) if side is Side.STACK and lease_ms != LEASE_MS else {}
    given: dict[str, Any] = {"url": options.legacy, "token": options.token if options.legacy else None}
    if side is Side.STACK:
        given = {"overlay": str(context.overlay) if context.overlay else None}
        if stack := options.given_stack:
            given |= {"url": stack.http_url, "redis": stack.redis_url, "prefix": stack.prefix, "token": stack.token}
        elif context.given_redis:
            given |= {"redis": context.given_redis, "prefix": f"hubgate-{uuid4().hex[:12]}:"}
    job = msgspec.structs.replace(more.pop("job", DEFAULT_JOB), service=context.service)
    if given.get("url") and more.get("population"):
        more["population"] = more["population"].on_shared(_ending(context))
    return LoadSpec(
        side=side,
        plan=Plan(shape=more.pop("shape", Shape.STEADY), rate=rate, duration_s=seconds, seed=options.seed),
        mix=mix,
        job=job,
        allowed_hosts=options.allow_load_on,
        limits=Limits(lease_ms=lease_ms),
        server_environment=lease,
        worker_environment=lease,
        **{"fleet": context.profile.workers, **given, **more},
    )


def own_services(context: RunContext) -> list[str]:
    """All that jobs of this run's loads need on a target that others use, too."""
    return [context.service, *read_population().on_shared(_ending(context)).all_services]


def _ending(context: RunContext) -> str:
    return context.service.removeprefix(DEFAULT_JOB.service)


def _leased(lease_ms: int) -> dict[str, str]:
    """The settings of a stack with that lease; a worker tells twice in it that it lives, or it does not start."""
    return {"HUBGATE_LEASE_MS": str(lease_ms), "WORKER_HEARTBEAT_INTERVAL_MS": str(lease_ms // 4)}


async def run_load(context: RunContext, name: str, spec: LoadSpec, disturb: Disturb | None = None) -> LoadResult:
    """Run a load, telling how it goes; its files are in `load_folder`.

    Where something is broken meanwhile, nothing is measured of what its processes take: they may be warm.
    """

    def live(line: LiveLine) -> None:
        context.report(f"{name}: {line.second:.0f} s, {line.acknowledged} jobs accepted, {line.ended} ended")

    context.report(f"{name}: starting {spec.fleet} workers")
    machine = context.processes.machine
    warm = context.profile.warm and (disturb is not None or bool(spec.brown_outs))
    result = await run(spec, load_folder(context, name), on_live=live, disturb=disturb, machine=machine, warm=warm)
    if spec.redis and spec.prefix and not spec.url and spec.redis != "docker":
        await asyncio.to_thread(empty, spec.redis, spec.prefix)
    return result


async def lives(context: RunContext, name: str, load: LoadResult) -> list[Timeline]:
    """The lives of jobs in trouble of a load that went through without a fault."""
    if all(check.clean for check in load.checks.values()):
        return []
    history = await asyncio.to_thread(history_in, load_folder(context, name), shared=not load.owned)
    return timelines_of(history, load.checks.values(), side=f"stack, {name}")


def load_folder(context: RunContext, name: str) -> Path:
    """Where a load of this run keeps its files."""
    return context.path("loads", name, "load.json").parent
