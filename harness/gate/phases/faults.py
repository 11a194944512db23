"""Loads with faults: workers killed, stopped and sent away in waves; Redis and the API killed and started again."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from harness.criteria.definition import NotMeasured
from harness.criteria.evidence import Restarts, WorkerFaults
from harness.faults import KillRedis, KillServers, Signal, Waves
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.gate.hub_comparison import on_hub, under_faults
from harness.gate.load_runs import load_folder, run_load, spec_for
from harness.history import CheckResult, HistoryWriter
from harness.history.absences import Part
from harness.history.strikes import ends_met, strikes_of
from harness.load.population import read_population
from harness.load.recording import history_in, until_submitted
from harness.load.results import LoadResult
from harness.load.spec import Demands, Mix
from harness.processes import Valkey
from harness.results import Distribution, FaultOutcome, Series
from harness.targets import Deployment, Side

POPULATION: Final = read_population().slower()
"""Its plain jobs run for about a second, so that waves of kills meet jobs in every state."""
BEYOND_LEASE_S: Final = 2.0
"""For so much longer than a lease a worker is stopped: it wakes up and finds its job with somebody else."""
USERS: Final = 40
HUB_WORKERS: Final = 12
"""Of the hub, at the rate that it holds."""
CUT_OFF: Final = {
    Part.SERVER: (
        *("cannot connect: ", "cannot send: ", "no answer: ", "connection lost: ", "stream lost: "),
        "not connected",
        "Failed to cancel job ",
    ),
    Part.REDIS: (
        *("HTTP 503 The queue is not available", "Server error processing message: Redis "),
        "Failed to cancel job ",
    ),
}
"""The errors that clients have while the API is away, and what it answers while Redis is. A cancellation that was held
up comes too late, or its job was never taken. No other is excused.
"""
RESTART_RATE: Final = 15.0
RESTART_USERS: Final = 20
RESTART_WORKERS: Final = 6
"""So few that jobs wait when Redis and the API are killed."""
BETWEEN_KILLS_S: Final = 3.0
"""Longer than what a killed Redis may forget: an end that met the first kill is not excused by the second."""


async def gather_faults(context: RunContext) -> PhaseResult:
    """Load, break, settle, check; beside it, in a run that is long enough, the same on the hub."""
    load, hub = await asyncio.gather(_stack(context), _hub(context))
    history = await asyncio.to_thread(history_in, load_folder(context, "faults"), shared=not load.owned)
    found = under_faults(
        "faults",
        load,
        history,
        hub,
        evidence=WorkerFaults(load=load, lease_ms=context.profile.fault_lease_ms),
        title="Workers killed under load",
        how="A third of the workers killed in each wave, some stopped beyond a lease, some sent away.",
    )
    return msgspec.structs.replace(found, distributions=[_recoveries(load.checks["recovery"])])


async def _stack(context: RunContext) -> LoadResult:
    profile = context.profile
    seconds = profile.fault_jobs / profile.fault_rate
    spec = spec_for(
        context,
        Side.STACK,
        rate=profile.fault_rate,
        seconds=seconds,
        mix=Mix.of(min(USERS, profile.subscribers)).crowded(),
        population=POPULATION.without(*profile.fault_kinds_left_out),
        drain_s=40.0,
        lease_ms=profile.fault_lease_ms,
    )

    async def disturb(deployment: Deployment, writer: HistoryWriter) -> None:
        await _waves(context, deployment, writer, seconds)

    return await run_load(context, "faults", spec, disturb)


async def _hub(context: RunContext) -> FaultOutcome | str:
    async def disturb(deployment: Deployment, writer: HistoryWriter) -> None:
        await _waves(context, deployment, writer, context.profile.hub_fault_jobs / context.profile.hub_rate)

    load = {"mix": Mix.of(USERS), "population": POPULATION, "fleet": HUB_WORKERS, "drain_s": 60.0}
    return await on_hub(context, "faults-hub", disturb, **load)


async def _waves(context: RunContext, deployment: Deployment, writer: HistoryWriter, seconds: float) -> None:
    """A third killed in each wave; meanwhile some are stopped for longer than a lease, and some asked to leave."""
    workers = deployment.workers
    apart = max(1, len(workers) // 8)
    stopped, leaving, killed = workers[:apart], workers[apart : 2 * apart], workers[2 * apart :]
    waves, seed = context.profile.kill_waves, context.options.seed
    stopped_s = context.profile.fault_lease_ms / 1000 + BEYOND_LEASE_S
    every_s = max(2.0, 0.8 * seconds / (waves + 1))
    share = (len(workers) / 3) / max(1, len(killed))
    async with (
        Waves(killed, writer, seed=seed, share=share, waves=waves, every_s=every_s) as killing,
        Waves(
            stopped, writer, seed=seed + 1, how=Signal.STOP, share=1, waves=1, every_s=2, down_s=stopped_s
        ) as stopping,
        Waves(leaving, writer, seed=seed + 2, how=Signal.TERMINATE, share=1, waves=1, every_s=4, down_s=1.0) as ending,
    ):
        await killing.done()
        await stopping.done()
        await ending.done()


def _recoveries(recovery: CheckResult) -> Distribution:
    again = recovery.figures.get("claimed_again", ())
    return Distribution(
        id="recovery",
        title="From the loss of a worker to the job's next claim",
        unit="ms",
        series=(Series.of_values("claimed again", again),),
    )


async def gather_restarts(context: RunContext) -> PhaseResult:
    """Load, kill both, settle, check. A stack that somebody else runs is not killed."""
    if context.options.candidate:
        raise NotMeasured("The API and its Redis were not started by this run, so they were not killed.")
    load, hub = await asyncio.gather(_restarted_stack(context), _restarted_hub(context))
    history = await asyncio.to_thread(history_in, load_folder(context, "restarts"))
    return under_faults(
        "restarts",
        load,
        history,
        hub,
        evidence=Restarts(load=load, strikes=strikes_of(history), ends_met=ends_met(history)),
        title="Redis and the server killed under load",
        how="Redis, with an append-only file, killed twice and then the API or the hub twice, each started again.",
    )


async def _restarted_stack(context: RunContext) -> LoadResult:
    seconds = context.profile.restart_jobs / RESTART_RATE
    spec = spec_for(
        context,
        Side.STACK,
        rate=RESTART_RATE,
        seconds=seconds,
        mix=Mix.of(RESTART_USERS),
        durable=True,
        drain_s=25.0,
        demands=Demands(excused_errors=CUT_OFF),
        fleet=RESTART_WORKERS,
        population=POPULATION.calm(),
        redis=None,
        prefix="",
    )

    async def disturb(deployment: Deployment, writer: HistoryWriter) -> None:
        await _kills(context, deployment, writer, context.profile.restart_jobs // 3, seconds)

    return await run_load(context, "restarts", spec, disturb)


async def _restarted_hub(context: RunContext) -> FaultOutcome | str:
    """The hub with its jobs in a Redis that keeps them, as the hub can be run at best."""
    jobs = context.profile.hub_fault_jobs

    async def disturb(deployment: Deployment, writer: HistoryWriter) -> None:
        await _kills(context, deployment, writer, jobs // 3, jobs / context.profile.hub_rate)

    load = {"mix": Mix.of(RESTART_USERS), "population": POPULATION.calm(), "fleet": RESTART_WORKERS}
    return await on_hub(context, "restarts-hub", disturb, durable=True, drain_s=25.0, **load)


async def _kills(
    context: RunContext, deployment: Deployment, writer: HistoryWriter, first: int, seconds: float
) -> None:
    """Redis twice once the first jobs are there, so that it meets some in every state, then the API twice."""
    seed = context.options.seed
    await until_submitted(writer, first)
    if isinstance(deployment.redis, Valkey):
        async with KillRedis(deployment.redis, writer, seed=seed, times=2, every_s=BETWEEN_KILLS_S) as killing:
            await killing.done()
    if deployment.servers:
        async with KillServers(deployment.servers, writer, seed=seed, times=2, every_s=seconds / 6) as killing_servers:
            await killing_servers.done()


FAULTS: Final = Phase(
    name="faults",
    about="kill, stop and restart workers under load; nothing may be lost",
    gathers=(WorkerFaults,),
    gather=gather_faults,
)
RESTARTS: Final = Phase(
    name="restarts",
    about="kill Redis and the API under load and start them again",
    gathers=(Restarts,),
    gather=gather_restarts,
)
