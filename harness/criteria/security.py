"""Who may read and write: tokens, origins, host names, and how much at once."""

from __future__ import annotations

from typing import Final

from harness.criteria.definition import CriterionSpec
from harness.criteria.evidence import PromiseResults
from harness.criteria.modern_clients import Least, Limits, judge_suites

CRITERION: Final = CriterionSpec(
    id="security",
    title="Strangers and foreign pages get nothing",
    sentence=(
        "Without the token, from a page of another origin or under a foreign host name, nothing is read or "
        "written; bodies are bounded."
    ),
    source="Plan, success criterion: compatibility (the hub's token); DESIGN, The stack: safe as it stands",
    measured=(
        "The scenario suite for security: every route of the API's description and every socket, without the token "
        "and with a wrong one, from foreign origins, under a foreign name; bodies and messages over their limits, "
        "one by one and together."
    ),
    needs=(PromiseResults,),
    limits=Limits,
    least=Least,
    judge=judge_suites("security", PromiseResults),
)
