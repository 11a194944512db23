"""The scenario suite that moves clients from the hub to the stack and back."""

from __future__ import annotations

from typing import Final

from harness.criteria.definition import CriterionSpec
from harness.criteria.evidence import ScenarioResults
from harness.criteria.modern_clients import Least, Limits, judge_suites

CRITERION: Final = CriterionSpec(
    id="migration",
    title="The transition is seamless",
    sentence="Clients move over one by one, and back again, with jobs in flight.",
    source="Plan, success criterion: seamless transition",
    measured="The migration suite moves the hub's clients to the stack and back, with jobs in flight on both.",
    needs=(ScenarioResults,),
    limits=Limits,
    least=Least,
    judge=judge_suites("migration"),
)
