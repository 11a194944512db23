"""An API server that is stopped in order."""

from __future__ import annotations

from typing import Final

from harness.criteria.definition import CriterionSpec
from harness.criteria.evidence import PromiseResults
from harness.criteria.modern_clients import Least, Limits, judge_suites

CRITERION: Final = CriterionSpec(
    id="api-restarts",
    title="An API server can be restarted in order",
    sentence=(
        "A server that is asked to stop says so first, tells its readers, who go on elsewhere, and no submission "
        "is lost."
    ),
    source="Plan, success criterion: reliability; DESIGN, The stack: safe restarts",
    measured=(
        "The scenario suite for restarts in order: SIGTERM to one of two servers with streams, sockets and "
        "submissions under way."
    ),
    needs=(PromiseResults,),
    limits=Limits,
    least=Least,
    judge=judge_suites("api-restarts", PromiseResults),
)
