"""The scenario suites in which old and new clients share one queue."""

from __future__ import annotations

from typing import Final

from harness.criteria.definition import CriterionSpec
from harness.criteria.evidence import ScenarioResults
from harness.criteria.modern_clients import Least, Limits, judge_suites

CRITERION: Final = CriterionSpec(
    id="mixed-clients",
    title="Mixed clients share one queue",
    sentence="A job submitted by one kind of client can be followed, asked for and cancelled by the other.",
    source="Plan, Phase 2A scenario 3",
    measured=(
        "The scenario suites for mixed clients, old clients, many workers, workers that leave, and generated mixes "
        "run against the stack with real workers."
    ),
    needs=(ScenarioResults,),
    limits=Limits,
    least=Least,
    judge=judge_suites("mixed-clients"),
)
