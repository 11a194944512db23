"""A load of the generated population under faults of every kind, drawn by the run's seed: the same on stack and hub."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from harness.criteria.definition import NotMeasured
from harness.criteria.evidence import ChaosLoads, ChaosWorld
from harness.faults import Drawn, Kind, Proxy, Reach
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.gate.hub_comparison import or_why, outcome_of, under_faults, why_not
from harness.gate.load_runs import load_folder, run_load, spec_for
from harness.gate.phases.faults import CUT_OFF
from harness.history import HistoryWriter
from harness.history.absences import Part
from harness.history.strikes import begun_again_ms, strikes_of
from harness.load.population import read_population
from harness.load.recording import history_in, until_submitted
from harness.load.spec import Demands, LoadSpec, Mix
from harness.processes import Valkey, free_port, start_valkey
from harness.processes.redis import KEEPS_ALL
from harness.targets import Deployment, Side

NAME: Final = "chaos"
ON_HUB: Final = "chaos-hub"
RATE: Final = 12.0
USERS: Final = 20
WORKERS: Final = 6
"""Few, so that jobs wait: a fault that meets idle workers shows nothing."""
LEASE_MS: Final = 2_500
SETTLE_S: Final = {Side.STACK: 25.0, Side.HUB: 60.0}
"""The hub looks for the jobs of lost workers every 30 s, and is given two of its rounds."""
FIRST_JOBS: Final = {Side.STACK: 20, Side.HUB: WORKERS}
"""So many are there, of the hub so many have been begun, before anything is broken."""
EXCUSED: Final = {
    **CUT_OFF,
    Part.SERVER: (*CUT_OFF[Part.SERVER], "the server closed the connection", "the stream ended too early"),
}
"""Beside what a kill causes: what a server says that is stopped in order."""
DECK: Final = frozenset(Kind) - {Kind.FAILOVER, Kind.FAILOVER_ORDERED}
"""What is drawn from, for both sides: all that can be done to one Redis."""
SPARED_ON_HUB: Final = {Kind.REDIS_FLUSHED: "the hub keeps no functions in Redis that could be gone"}
"""What has no counterpart on the hub, and why."""
HOW: Final = (
    "The same seed draws the same faults for both. What befalls the stack's line to Redis befalls the lines of the "
    "hub's workers to the hub, what befalls the API befalls the hub's process. Not done to the hub: "
    + "; ".join(f"{kind} ({why})" for kind, why in SPARED_ON_HUB.items())
    + "."
)


async def gather(context: RunContext) -> PhaseResult:
    """Both sides at the same time, each a world of its own."""
    if context.options.candidate:
        raise NotMeasured("The stack and its Redis were not started by this run, so nothing of them was broken.")
    async with asyncio.TaskGroup() as sides:
        ours, theirs = sides.create_task(_on_stack(context)), sides.create_task(on_hub(context))
    world, hub = ours.result(), theirs.result()
    hub_world, outcome = (None, hub) if isinstance(hub, str) else (hub, outcome_of(hub.load, hub.begun_again_ms))
    return under_faults(
        NAME,
        world.load,
        await asyncio.to_thread(history_in, load_folder(context, NAME)),
        outcome,
        evidence=ChaosLoads(worlds=[world], hub=hub_world),
        title="Everything at random, several at once",
        how=HOW,
    )


async def _on_stack(context: RunContext) -> ChaosWorld:
    """Everything reaches Redis over one line that can be broken."""
    async with _own_redis(context, "valkey-chaos") as valkey, Proxy("127.0.0.1", valkey.port, name="redis") as link:
        more = {"rate": RATE, "lease_ms": LEASE_MS, "demands": Demands(excused_errors=EXCUSED)}
        spec = _spec(context, Side.STACK, f"redis://127.0.0.1:{link.port}/0", **more)
        return await _under_faults(context, NAME, spec, Reach(valkey=valkey, link=link))


async def on_hub(context: RunContext) -> ChaosWorld | str:
    """Its workers reach their jobs by way of the hub: that is the line that can be broken.

    The hub's own line to Redis is straight: it reads every job at every step, and would hold no load over a longer one.
    A hub that was given is never struck. Answers why, where none is.
    """
    jobs = context.profile.hub_chaos_jobs
    if why := why_not(context, jobs):
        return why
    port, rate = free_port(), RATE * jobs / context.profile.chaos_jobs
    async with _own_redis(context, "valkey-chaos-hub") as valkey, Proxy("127.0.0.1", port, name="redis") as link:
        more = {"port": port, "workers_url": f"ws://127.0.0.1:{link.port}", "apart": True}
        spec = _spec(context, Side.HUB, f"redis://127.0.0.1:{valkey.port}/0", rate=rate, **more)
        reach = Reach(valkey=valkey, link=link, spared=frozenset(SPARED_ON_HUB))
        return await or_why(_under_faults(context, ON_HUB, spec, reach))


@asynccontextmanager
async def _own_redis(context: RunContext, name: str) -> AsyncIterator[Valkey]:
    valkey = await asyncio.to_thread(start_valkey, context.processes, name=name, appendonly=True, options=KEEPS_ALL)
    try:
        yield valkey
    finally:
        await asyncio.to_thread(valkey.close)


async def _under_faults(context: RunContext, name: str, spec: LoadSpec, reach: Reach) -> ChaosWorld:
    drawn: list[Drawn] = []

    async def disturb(deployment: Deployment, writer: HistoryWriter) -> None:
        whole = dataclasses.replace(
            reach, workers=deployment.workers, servers=deployment.servers, stopped_s=LEASE_MS / 1000 + 1
        )
        await until_submitted(writer, FIRST_JOBS[spec.side])
        seed, for_s = context.options.seed, spec.plan.duration_s * 0.8
        async with Drawn(whole, writer, seed=seed, for_s=for_s, deck=DECK) as nemesis:
            drawn.append(nemesis)
            await nemesis.done()

    load = await run_load(context, name, spec, disturb)
    history = await asyncio.to_thread(history_in, load_folder(context, name))
    return ChaosWorld(
        name=f"The {spec.side} on one Redis over a line",
        load=load,
        offered=DECK - reach.spared,
        drawn=[kinds for nemesis in drawn for kinds in nemesis.struck],
        strikes=strikes_of(history),
        begun_again_ms=begun_again_ms(history),
    )


def _spec(context: RunContext, side: Side, redis_url: str, **more: Any) -> LoadSpec:
    return spec_for(
        context,
        side,
        seconds=context.profile.chaos_jobs / RATE,
        mix=Mix.of(USERS),
        population=read_population().slower().calm(),
        fleet=WORKERS,
        drain_s=SETTLE_S[side],
        redis=redis_url,
        prefix="",
        **more,
    )


CHAOS: Final = Phase(
    name=NAME,
    about="break everything, drawn at random and several at once, under a load of every kind of job",
    gathers=(ChaosLoads,),
    gather=gather,
)
