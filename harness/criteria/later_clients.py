"""What clients of the later dialect are told."""

from __future__ import annotations

from typing import Final

from harness.criteria.definition import CriterionSpec
from harness.criteria.evidence import PromiseResults
from harness.criteria.modern_clients import Least, Limits, judge_suites

CRITERION: Final = CriterionSpec(
    id="later-clients",
    title="Clients of the later dialect learn the end",
    sentence=(
        "Who follows a job in the later dialect is told its steps and its end, however it ends and whenever they come."
    ),
    source="Plan, Phase 1C: the universal client; DESIGN, The stack: both ends always learn the end",
    measured=(
        "The scenario suite for the later dialect: jobs that complete, fail, are cancelled and tried again by "
        "hand; clients that come late, ask, leave, and are cut off."
    ),
    needs=(PromiseResults,),
    limits=Limits,
    least=Least,
    judge=judge_suites("later-clients", PromiseResults),
)
