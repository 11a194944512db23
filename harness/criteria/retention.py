"""How long ended jobs and their events are kept."""

from __future__ import annotations

from typing import Final

from harness.criteria.definition import CriterionSpec
from harness.criteria.evidence import PromiseResults
from harness.criteria.modern_clients import Least, Limits, judge_suites

CRITERION: Final = CriterionSpec(
    id="retention",
    title="What has ended is forgotten in time",
    sentence=(
        "Ended jobs are kept by age and by number, their events for a shorter time; then nothing of them is left "
        "in Redis."
    ),
    source="DESIGN, The stack: bounded by default",
    measured=(
        "The scenario suite for retention, with terms of seconds: what the API answers, what it lists, and the "
        "keys in Redis."
    ),
    needs=(PromiseResults,),
    limits=Limits,
    least=Least,
    judge=judge_suites("retention", PromiseResults),
)
