"""A load whose clients move from WebSocket to HTTP and back, with brown-outs of the hub's protocols on the way."""

from __future__ import annotations

import asyncio
from typing import Final

from harness.criteria.definition import NotMeasured
from harness.criteria.evidence import MigrationLoad
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.gate.load_runs import load_folder, run_load, spec_for
from harness.history.strikes import strikes_of
from harness.history.timelines import timelines_of
from harness.load.arrivals import Shape
from harness.load.population import Kind, read_population
from harness.load.recording import history_in
from harness.load.spec import MOVING, Mix
from harness.targets import Side

NAME: Final = "migration"
RATE: Final = 12.0
USERS: Final = 20
WORKERS: Final = 6
POPULATION: Final = read_population().slower().calm().without(Kind.POISON, Kind.OVERLONG)
"""No job that ends a worker or is ended by a time-out: what is broken here is the way to the jobs."""


async def gather(context: RunContext) -> PhaseResult:
    """Load, refuse, serve again, settle, check. A stack that somebody else runs is not told to refuse."""
    if context.options.candidate:
        raise NotMeasured("The stack was not started by this run, so it was not told of brown-outs.")
    spec = spec_for(
        context,
        Side.STACK,
        shape=Shape.MIGRATION,
        rate=RATE,
        seconds=context.profile.migration_jobs / RATE,
        mix=Mix.of(USERS, Shape.MIGRATION),
        population=POPULATION,
        fleet=WORKERS,
        brown_outs=MOVING,
    )
    load = await run_load(context, NAME, spec)
    history = await asyncio.to_thread(history_in, load_folder(context, NAME))
    return PhaseResult(
        evidence=[MigrationLoad(load=load, strikes=strikes_of(history))],
        histories=[(NAME, load.checks)],
        timelines=timelines_of(history, load.checks.values(), side=f"stack, {NAME}"),
    )


MIGRATION: Final = Phase(
    name=NAME,
    about="clients move to HTTP and back, with brown-outs on the way",
    gathers=(MigrationLoad,),
    gather=gather,
)
