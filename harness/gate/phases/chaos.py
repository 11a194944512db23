"""A load of the generated population under faults of every kind, drawn by the run's seed."""

from __future__ import annotations

import asyncio
from typing import Final

from harness.criteria.definition import NotMeasured
from harness.criteria.evidence import ChaosLoads, ChaosWorld
from harness.faults import Drawn, Proxy, Reach
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.gate.load_runs import load_folder, run_load, spec_for
from harness.gate.phases.faults import CUT_OFF
from harness.history import HistoryWriter
from harness.history.absences import Part
from harness.history.strikes import strikes_of
from harness.history.timelines import tally_of, timelines_of
from harness.load.population import read_population
from harness.load.recording import history_in, until_submitted
from harness.load.results import LoadResult
from harness.load.spec import Demands, LoadSpec, Mix
from harness.processes import Valkey, start_valkey
from harness.processes.redis import KEEPS_ALL
from harness.targets import Deployment, Side

NAME: Final = "chaos"
RATE: Final = 12.0
USERS: Final = 20
WORKERS: Final = 6
"""Few, so that jobs wait: a fault that meets idle workers shows nothing."""
LEASE_MS: Final = 2_500
SETTLE_S: Final = 25.0
FIRST_JOBS: Final = 20
"""So many are there before anything is broken."""
EXCUSED: Final = {
    **CUT_OFF,
    Part.SERVER: (*CUT_OFF[Part.SERVER], "the server closed the connection", "the stream ended too early"),
}
"""Beside what a kill causes: what a server says that is stopped in order."""


async def gather(context: RunContext) -> PhaseResult:
    """One world: a Redis of its own, which everything reaches over a line that can be broken."""
    if context.options.candidate:
        raise NotMeasured("The stack and its Redis were not started by this run, so nothing of them was broken.")
    valkey = await asyncio.to_thread(
        start_valkey, context.processes, name="valkey-chaos", appendonly=True, options=KEEPS_ALL
    )
    try:
        async with Proxy("127.0.0.1", valkey.port, name="redis over a line") as link:
            load, drawn = await _load_under_faults(context, valkey, link)
    finally:
        await asyncio.to_thread(valkey.close)
    history = await asyncio.to_thread(history_in, load_folder(context, NAME))
    world = ChaosWorld(
        name="One Redis over a line",
        load=load,
        offered=frozenset(kind for nemesis in drawn for kind in nemesis.kinds),
        drawn=[kinds for nemesis in drawn for kinds in nemesis.struck],
        strikes=strikes_of(history),
    )
    return PhaseResult(
        evidence=[ChaosLoads(worlds=[world])],
        histories=[(NAME, load.checks)],
        timelines=timelines_of(history, load.checks.values(), side="stack, chaos"),
        tallies=[tally_of(load.checks["accounting"], id=NAME, title="Where every job is after the chaos")],
    )


async def _load_under_faults(context: RunContext, valkey: Valkey, link: Proxy) -> tuple[LoadResult, list[Drawn]]:
    spec = _spec(context, f"redis://127.0.0.1:{link.port}/0")
    drawn: list[Drawn] = []

    async def disturb(deployment: Deployment, writer: HistoryWriter) -> None:
        workers, servers = deployment.workers, deployment.servers
        reach = Reach(workers=workers, servers=servers, valkey=valkey, link=link, stopped_s=LEASE_MS / 1000 + 1)
        await until_submitted(writer, FIRST_JOBS)
        async with Drawn(reach, writer, seed=context.options.seed, for_s=spec.plan.duration_s * 0.8) as nemesis:
            drawn.append(nemesis)
            await nemesis.done()

    return await run_load(context, NAME, spec, disturb), drawn


def _spec(context: RunContext, redis_url: str) -> LoadSpec:
    return spec_for(
        context,
        Side.STACK,
        rate=RATE,
        seconds=context.profile.chaos_jobs / RATE,
        mix=Mix.of(USERS),
        population=read_population().slower().calm(),
        fleet=WORKERS,
        lease_ms=LEASE_MS,
        drain_s=SETTLE_S,
        demands=Demands(excused_errors=EXCUSED),
        redis=redis_url,
        prefix="",
    )


CHAOS: Final = Phase(
    name=NAME,
    about="break everything, drawn at random and several at once, under a load of every kind of job",
    gathers=(ChaosLoads,),
    gather=gather,
)
