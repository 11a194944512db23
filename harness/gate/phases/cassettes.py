"""Legacy clients: every cassette on the hub, on the hub again, and on the stack."""

from __future__ import annotations

import datetime as dt
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from harness.cassettes.replay.files import Played, recorded_ms
from harness.cassettes.replay.matrix import Matrix, play_matrix
from harness.errors import CouldNotRun
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.parity.deviations import Deviations
from harness.results import Column
from harness.results.formatting import listed
from harness.targets import REPLAYED, GivenPool, HubPool, Setup, StackPool, TargetPool

LONG_MS: Final = 30_000
"""A recording that takes so long waits for most of it."""


async def gather(context: RunContext) -> PhaseResult:
    """Play and compare."""
    files = [path for path in cassettes() if recorded_ms(path) <= context.profile.longest_recording_ms]
    matrix = await play_matrix(
        files,
        hub_pool(context),
        await stack_pool(context),
        deviations=Deviations.load(scenarios_folder() / "deviations.toml"),
        today=dt.datetime.now(dt.UTC).date(),
        recall=context.shared.hub_replays.played,
        done=_progress(context, files),
        machine=context.processes.machine,
    )
    return PhaseResult(evidence=[matrix], matrix=matrix.rows, left_behind=_left_behind(matrix))


def _left_behind(matrix: Matrix) -> list[str]:
    """Jobs of replays that could not be brought to an end on a target that somebody else runs."""
    left = [
        (column, result.name, result.transcript.left_behind)
        for column, results in matrix.columns.items()
        for result in results
        if result.transcript and result.transcript.left_behind
    ]
    return [f"{name} on {column.value}: {listed(list(jobs))} did not end." for column, name, jobs in left]


def hub_pool(context: RunContext) -> TargetPool:
    """Where hubs come from: the simulator, or the one that was given."""
    if given := context.options.given_hub:
        return GivenPool(given)
    return HubPool(context.processes)


async def stack_pool(context: RunContext, setup: Setup = REPLAYED, *, first_database: int = 32) -> TargetPool:
    """Where stacks come from: API processes on the run's Redis, or the one that was given."""
    if given := context.options.given_stack:
        return GivenPool(given)
    return StackPool(
        context.processes, await context.redis(), replace(setup, overlay=context.overlay), first_database=first_database
    )


def cassettes() -> list[Path]:
    """The project's recordings."""
    found = sorted((scenarios_folder() / "cassettes").glob("*.jsonl"))
    if not found:
        raise CouldNotRun(f"there are no cassettes in {scenarios_folder() / 'cassettes'}")
    return found


def scenarios_folder() -> Path:
    """Where the scenarios are. They are found, not imported: the harness does not depend on them."""
    found = importlib.util.find_spec("scenarios")
    if found is None or found.origin is None:
        raise CouldNotRun("the package scenarios, which holds the cassettes, is not installed here")
    return Path(found.origin).parent


def _progress(context: RunContext, files: Sequence[Path]) -> Callable[[Column, Played], None]:
    """Tells how far it is, and when nothing is left but recordings in which the hub was silent for long."""
    played: list[str] = []
    total, long = len(Column) * len(files), len(Column) * sum(recorded_ms(path) > LONG_MS for path in files)

    def done(column: Column, one: Played) -> None:
        played.append(one.path.stem)
        context.report(f"{len(played)} of {total}: {one.path.stem} on {column.value}")
        if len(played) >= total - long:
            context.shared.only_waiting.set()

    return done


CASSETTES: Final = Phase(
    name="cassettes",
    about="replay recorded traffic on the hub, the hub again, and the stack",
    gathers=(Matrix,),
    gather=gather,
    background=True,
)
