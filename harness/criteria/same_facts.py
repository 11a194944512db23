"""A modern client learns of each recorded job what the recorded client learned."""

from __future__ import annotations

from typing import Final

from harness.cassettes.replay.matrix import Matrix
from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.legacy_clients import Least, Limits, judge_column
from harness.results import Column


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """No undeclared difference in the facts."""
    return judge_column(collected.get(Matrix), Column.STACK_SSE, limits, least)


CRITERION: Final = CriterionSpec(
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
    judge=judge,
)
