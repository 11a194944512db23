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
from harness.criteria.statements import CriterionId
from harness.errors import CouldNotRun
from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged
from harness.parity.deviations import Deviations
from harness.results import (
    CellVerdict,
    Column,
    Comparison,
    Criterion,
    Evidence,
    Link,
    LinkTo,
    Measurement,
    Threshold,
)
from harness.targets import REPLAYED, GivenPool, HubPool, HubTarget, Setup, StackPool, StackTarget, TargetPool

LINKS_SHOWN: Final = 8
LONG_MS: Final = 30_000
"""A recording that takes so long waits for most of it."""
GOOD_REFERENCE: Final = (CellVerdict.SAME, CellVerdict.DECLARED)
"""A recording that the hub itself no longer plays as recorded says nothing about the stack."""


async def gather(bench: Bench) -> Findings:
    """Play, compare, judge."""
    files = [path for path in cassettes() if recorded_ms(path) <= bench.profile.longest_recording_ms]
    matrix = await play_matrix(
        files,
        hub_pool(bench),
        await stack_pool(bench),
        deviations=Deviations.load(scenarios_folder() / "deviations.toml"),
        today=dt.datetime.now(dt.UTC).date(),
        recall=bench.shared.recall.hub,
        done=_progress(bench, files),
    )
    limits, least = bench.limits, bench.least
    frames = judge(matrix, FRAMES, limits.legacy_clients.undeclared_differences, least.cassettes)
    facts = judge(matrix, FACTS, limits.same_facts.undeclared_differences, least.facts)
    return Findings(criteria=[frames, facts], matrix=matrix.rows)


FRAMES: Final = (CriterionId.LEGACY_CLIENTS, Column.STACK_WEBSOCKET)
FACTS: Final = (CriterionId.SAME_FACTS, Column.STACK_SSE)


def judge(matrix: Matrix, view: tuple[CriterionId, Column], limit: int, least: int) -> Criterion:
    """No difference that nobody declared, over recordings that the hub itself still plays as recorded."""
    which, column = view
    on_stack = [result for result in matrix.columns[column] if result.verdict is not CellVerdict.NOT_APPLICABLE]
    hub = {result.name: result.verdict for result in matrix.columns[Column.HUB]}
    different = [result for result in on_stack if result.verdict is CellVerdict.DIFFERENT]
    told = [
        result
        for result in on_stack
        if result.verdict is not CellVerdict.INCONCLUSIVE and hub.get(result.name) in GOOD_REFERENCE
    ]
    undeclared = Measurement(
        what="recordings that differ in something nobody declared",
        observed=len(different),
        threshold=Threshold(comparison=Comparison.AT_MOST, limit=limit),
        counterexample=True,
    )
    stale = Measurement(
        what="declared differences that have expired or that no run needs",
        observed=len(matrix.problems),
        threshold=Threshold(comparison=Comparison.EQUAL, limit=0),
        counterexample=True,
    )
    shown = different or [result for result in on_stack if result.verdict is CellVerdict.INCONCLUSIVE]
    links = [
        Link(to=LinkTo.CELL, ref=f"{result.name}/{column.value}", label=result.name) for result in shown[:LINKS_SHOWN]
    ]
    return judged(
        which,
        [undeclared, stale] if column is Column.STACK_WEBSOCKET else [undeclared],
        [Evidence(what="recordings", had=len(told), least=least)],
        links=links,
        explanation=" ".join([*(result.describe() + "." for result in different[:3]), *matrix.problems]) or None,
    )


def hub_pool(bench: Bench) -> TargetPool:
    """Where hubs come from: the simulator, or the one that was given."""
    if bench.options.legacy:
        return GivenPool(HubTarget.at(bench.options.legacy))
    return HubPool(bench.processes)


async def stack_pool(bench: Bench, setup: Setup = REPLAYED, *, first_database: int = 32) -> TargetPool:
    """Where stacks come from: API processes on the run's Redis, or the one that was given."""
    if bench.options.candidate and bench.options.redis:
        return GivenPool(StackTarget.at(bench.options.candidate, redis_url=bench.options.redis))
    return StackPool(
        bench.processes, await bench.redis(), replace(setup, overlay=bench.overlay), first_database=first_database
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


def _progress(bench: Bench, files: Sequence[Path]) -> Callable[[Column, Played], None]:
    """Tells how far it is, and when nothing is left but recordings in which the hub was silent for long."""
    played: list[str] = []
    total, long = len(Column) * len(files), len(Column) * sum(recorded_ms(path) > LONG_MS for path in files)

    def done(column: Column, one: Played) -> None:
        played.append(one.path.stem)
        bench.tell(f"{len(played)} of {total}: {one.path.stem} on {column.value}")
        if len(played) >= total - long:
            bench.shared.only_waiting.set()

    return done


CASSETTES: Final = Phase(
    name="cassettes",
    about="replay recorded traffic on the hub, the hub again, and the stack",
    feeds=(CriterionId.LEGACY_CLIENTS, CriterionId.SAME_FACTS),
    gather=gather,
    background=True,
)
