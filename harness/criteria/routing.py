"""Which worker gets which job."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import PromiseResults
from harness.criteria.modern_clients import Least, Limits, judge_suites
from harness.results import count


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """No scenario that fails, and no run by a worker that does not serve the job in the history of any load."""
    judged = judge_suites("routing", PromiseResults)(collected, limits, least)
    strays = [one for _, checks in collected.histories for one in checks["wrong_worker"].violations]
    return replace(
        judged,
        measurements=[*judged.measurements, count("runs by workers that do not serve the job", len(strays))],
        explanation=" ".join([judged.explanation, *(one.sentence for one in strays[:2])]).strip(),
    )


CRITERION: Final = CriterionSpec(
    id="routing",
    title="A job runs only where it is served",
    sentence=(
        "In a fleet of unlike workers no job is run by one that does not serve it; what nobody serves waits, is "
        "told, and runs when somebody joins."
    ),
    source="Hub: it offers a worker only the types that it lists; plan, Phase 3A: matching",
    measured=(
        "The scenario suite for routing with three crews of real workers, and in every history the services of the "
        "workers that ran each job."
    ),
    needs=(PromiseResults,),
    limits=Limits,
    least=Least,
    judge=judge,
)
