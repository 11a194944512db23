"""48 workers want one job, again and again: one gets it."""

from __future__ import annotations

from typing import Final

import httpx

from harness.clients.puppet import contend
from harness.criteria.statements import CriterionId
from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged
from harness.gate.phases.cassettes import stack_pool
from harness.results import Comparison, Evidence, Measurement, Threshold
from harness.targets import Needs, Setup, StackTarget, Target

DATABASE: Final = 60
"""Of the run's own Redis; the recordings' stacks have those from 32 on."""


async def gather(bench: Bench) -> Findings:
    """Contend for single jobs, and count the jobs held by two in the histories of all phases before."""
    pool = await stack_pool(bench, Setup(name="contention-api"), first_database=DATABASE)
    async with pool.acquire(Needs()) as target:
        winners = await _winners(bench, target)
    seen = {where: len(checks["held_by_two"].violations) for where, checks in bench.shared.checks}
    held = sum(seen.values()) + sum(number > 1 for number in winners)
    criterion = judged(
        CriterionId.NO_CONFLICTS,
        [
            Measurement(
                what="jobs held by two workers at once",
                observed=held,
                threshold=Threshold(comparison=Comparison.AT_MOST, limit=bench.limits.no_conflicts.double_claims),
                counterexample=True,
            )
        ],
        [
            Evidence(what="workers", had=bench.profile.workers, least=bench.least.workers),
            Evidence(
                what="jobs contended for", had=sum(number > 0 for number in winners), least=bench.least.contended_jobs
            ),
        ],
        explanation=f"Also looked for in the histories of: {', '.join(seen)}." if seen else None,
    )
    return Findings(criteria=[criterion])


async def _winners(bench: Bench, target: Target) -> list[int]:
    """How many got each job."""
    if not isinstance(target, StackTarget):
        raise TypeError("only workers of a stack contend")
    async with httpx.AsyncClient(base_url=target.http_url, timeout=10) as client:

        async def submit(number: int) -> None:
            bench.tell(f"{number + 1} of {bench.profile.contended_jobs} jobs contended for")
            body = {"service_required": "simulation", "payload": {}}
            (await client.post("/api/jobs", json=body)).raise_for_status()

        return await contend(target, workers=bench.profile.workers, rounds=bench.profile.contended_jobs, submit=submit)


CONTENTION: Final = Phase(
    name="contention",
    about="48 workers claim one job at the same moment",
    feeds=(CriterionId.NO_CONFLICTS,),
    gather=gather,
)
