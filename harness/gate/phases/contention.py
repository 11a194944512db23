"""48 workers want one job, again and again: one gets it."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import uuid4

import httpx

from harness.cassettes.replay.puppets import contend
from harness.criteria.statements import CriterionId
from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged
from harness.processes import empty, services
from harness.results import Comparison, Evidence, Measurement, Threshold
from harness.targets import StackTarget


async def gather(bench: Bench) -> Findings:
    """Contend for single jobs, and count the jobs held by two in the histories of all phases before."""
    target = await _target(bench)
    async with httpx.AsyncClient(base_url=target.http_url, timeout=10) as client:

        async def submit(number: int) -> None:
            bench.tell(f"{number + 1} of {bench.profile.contended_jobs} jobs contended for")
            body = {"service_required": "simulation", "payload": {}}
            (await client.post("/api/jobs", json=body)).raise_for_status()

        winners = await contend(
            target, workers=bench.profile.workers, rounds=bench.profile.contended_jobs, submit=submit
        )
    if target.owned:
        await asyncio.to_thread(empty, target.redis_url, target.prefix)
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


async def _target(bench: Bench) -> StackTarget:
    if bench.options.candidate and bench.options.redis:
        return StackTarget.at(bench.options.candidate, redis_url=bench.options.redis)
    redis, prefix = await bench.redis(), f"hubgate-{uuid4().hex[:12]}:"
    launch = services.api(redis_url=redis.url, prefix=prefix, name="api-contention", overlay=bench.overlay)
    api = await bench.processes.astart(launch)
    return StackTarget(http_url=api.http_url, redis_url=redis.url, prefix=prefix, owned=True)


CONTENTION: Final = Phase(
    name="contention",
    about="48 workers claim one job at the same moment",
    feeds=(CriterionId.NO_CONFLICTS,),
    gather=gather,
)
