"""What monitors of both dialects are shown."""

from __future__ import annotations

from typing import Final

from harness.criteria.definition import CriterionSpec
from harness.criteria.evidence import PromiseResults
from harness.criteria.modern_clients import Least, Limits, judge_suites

CRITERION: Final = CriterionSpec(
    id="monitors",
    title="Monitors of both dialects see what is the case",
    sentence=(
        "What monitors are shown has the schema that their pages read, and its figures settle on what is the case."
    ),
    source="Plan, Phase 2A scenario 1: monitors work unchanged",
    measured=(
        "The scenario suite for monitors: jobs in every state, workers that come to work; each figure is waited "
        "for and held against what was done, times against their unit."
    ),
    needs=(PromiseResults,),
    limits=Limits,
    least=Least,
    judge=judge_suites("monitors", PromiseResults),
)
