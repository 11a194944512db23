"""48 workers want one job, again and again: one gets it."""

from __future__ import annotations

from typing import Final

from harness.clients.puppet import contend
from harness.clients.transport import plain_http
from harness.criteria.evidence import Contention
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.gate.phases.cassettes import stack_pool
from harness.targets import Needs, Setup, StackTarget, Target

DATABASE: Final = 60
"""Of the run's own Redis; the recordings' stacks have those from 32 on."""


async def gather(context: RunContext) -> PhaseResult:
    """Contend for single jobs."""
    pool = await stack_pool(context, Setup(name="contention-api"), first_database=DATABASE)
    async with pool.acquire(Needs()) as target:
        winners = await _winners(context, target)
    evidence = Contention(workers=context.profile.workers, winners=winners)
    return PhaseResult(evidence=[evidence])


async def _winners(context: RunContext, target: Target) -> list[int]:
    """How many got each job."""
    if not isinstance(target, StackTarget):
        raise TypeError("only workers of a stack contend")
    async with plain_http(target.http_url, target.token, 10) as client:

        async def submit(number: int) -> None:
            context.report(f"{number + 1} of {context.profile.contended_jobs} jobs contended for")
            body = {"service_required": context.service, "payload": {}}
            (await client.post("/api/jobs", json=body)).raise_for_status()

        profile = context.profile
        return await contend(
            target, context.service, workers=profile.workers, rounds=profile.contended_jobs, submit=submit
        )


CONTENTION: Final = Phase(
    name="contention",
    about="48 workers claim one job at the same moment",
    gathers=(Contention,),
    gather=gather,
)
