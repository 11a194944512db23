"""What is judged by the recordings: every one plays on the stack as on the hub, for clients of either kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from harness.cassettes.replay.matrix import Matrix, patterns_of
from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.results import CellVerdict, Column, Evidence, Link, LinkTo, count

LINKS_SHOWN: Final = 8
GOOD_REFERENCE: Final = (CellVerdict.SAME, CellVerdict.DECLARED, CellVerdict.NOT_APPLICABLE)
"""A recording that the hub itself no longer plays as recorded says nothing about the stack. Where it could not be
played on a hub that somebody else runs, the recording itself is the reference."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many recordings may differ in something that nobody declared."""

    undeclared_differences: int


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many recordings there have to be; all that there are have to be compared."""

    recordings: int


def judge_legacy(collected: Collected, limits: Limits, least: Least) -> Judged:
    """No undeclared difference, and no declared one that has expired or that nobody needs."""
    matrix = collected.get(Matrix)
    judged = judge_column(matrix, Column.STACK_WEBSOCKET, limits, least)
    stale = count("declared differences that have expired or that no run needs", len(matrix.problems))
    return replace(judged, measurements=[*judged.measurements, stale])


def judge_facts(collected: Collected, limits: Limits, least: Least) -> Judged:
    """No undeclared difference in the facts."""
    return judge_column(collected.get(Matrix), Column.STACK_SSE, limits, least)


def judge_column(matrix: Matrix, column: Column, limits: Limits, least: Least) -> Judged:
    """No undeclared difference in this column, over recordings that the hub itself still plays as recorded."""
    on_stack = [result for result in matrix.columns[column] if result.verdict is not CellVerdict.NOT_APPLICABLE]
    hub = {result.name: result.verdict for result in matrix.columns[Column.HUB]}
    different = [result for result in on_stack if result.verdict is CellVerdict.DIFFERENT]
    compared = [
        result
        for result in on_stack
        if result.verdict is not CellVerdict.INCONCLUSIVE and hub.get(result.name) in GOOD_REFERENCE
    ]
    left_out = sum(result.left_out for result in matrix.columns[column])
    fewest = max(least.recordings - left_out, len(on_stack), 1)
    what = "recordings that differ in something nobody declared"
    shown = different or [result for result in on_stack if result.verdict is CellVerdict.INCONCLUSIVE]
    return Judged(
        measurements=[count(what, len(different), limits.undeclared_differences)],
        evidence=[Evidence(what="recordings", had=len(compared), least=fewest)],
        links=[Link(to=LinkTo.CELL, ref=f"{one.name}/{column.value}", label=one.name) for one in shown[:LINKS_SHOWN]],
        explanation=" ".join([*patterns_of(different), *matrix.problems]),
    )


LEGACY_CLIENTS: Final = CriterionSpec(
    id="legacy-clients",
    title="Legacy clients notice nothing",
    sentence="All existing WebSocket clients and monitors work unchanged.",
    source="Plan, Phase 2A scenario 1; success criterion: compatibility",
    measured=(
        "Every cassette recorded on the real hub is replayed on the hub, on the hub again, and on the stack. "
        "Frames and times are compared; what three runs of the hub differ in is noise, "
        "and the rest must be declared by text and number."
    ),
    needs=(Matrix,),
    limits=Limits,
    least=Least,
    judge=judge_legacy,
)
SAME_FACTS: Final = CriterionSpec(
    id="same-facts",
    title="Both kinds of client are told the same",
    sentence="Of one job, an SSE client learns the same facts in the same order as a WebSocket client of the hub.",
    source="Plan, Phase 2A scenario 5: progress for both kinds",
    measured=(
        "The jobs of every recording are played again by a modern client on the stack; what it learns of them is "
        "held against what the recorded client learned on the hub."
    ),
    needs=(Matrix,),
    limits=Limits,
    least=Least,
    judge=judge_facts,
)
CRITERIA: Final = (LEGACY_CLIENTS, SAME_FACTS)
