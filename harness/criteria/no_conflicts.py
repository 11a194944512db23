"""One job, many workers: one gets it."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import Contention
from harness.results import Evidence, count


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many jobs two workers may hold at once."""

    double_claims: int


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Workers that contend, and jobs that they contend for."""

    workers: int
    jobs: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """Jobs held by two: among those contended for, and in the history of every load of the run."""
    contention = collected.get(Contention)
    seen = {name: len(checks["double_claim"].violations) for name, checks in collected.histories}
    held = sum(seen.values()) + sum(number > 1 for number in contention.winners)
    claimed = sum(number > 0 for number in contention.winners)
    return Judged(
        measurements=[count("jobs held by two workers at once", held, limits.double_claims)],
        evidence=[
            Evidence(what="workers", had=contention.workers, least=least.workers),
            Evidence(what="jobs contended for", had=claimed, least=least.jobs),
        ],
        explanation=f"Also looked for in the histories of: {', '.join(seen)}." if seen else "",
    )


CRITERION: Final = CriterionSpec(
    id="no-conflicts",
    title="No job is claimed twice",
    sentence="However many workers want the same job, one gets it.",
    source="Plan, Phase 2B: no conflicts between 40+ workers",
    measured="48 workers claim at the same moment while one job waits, again and again; and in every history.",
    needs=(Contention,),
    limits=Limits,
    least=Least,
    judge=judge,
)
