"""What the hub and the stack came to under the same faults, side by side for the report.

Both sides are held against what their clients were told and what their workers wrote down: a hub's own account has
gaps wherever the hub was away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final, TypeVar

from harness.criteria.evidence import LEAST_ON_HUB, MATTERS_MS
from harness.errors import CouldNotRun
from harness.gate.context import PhaseResult, RunContext
from harness.gate.load_runs import load_folder, run_load, spec_for
from harness.history.history import History
from harness.history.strikes import begun_again_ms
from harness.history.timelines import tally_of, timelines_of
from harness.load.judge import broken_promises
from harness.load.recording import history_in
from harness.load.results import LoadResult
from harness.load.runner import Disturb
from harness.results import FaultOutcome, FaultRow, Link, LinkTo, Standing
from harness.targets import Side

Found = TypeVar("Found")
ACKNOWLEDGED: Final = "acknowledged"
LONGEST: Final = "begun again after, at most, ms"
NOT_OURS: Final = "The hub is somebody else's: nothing of it was broken."
LEFT_OUT: Final = "A run of this profile does it to no hub."


def why_not(context: RunContext, jobs: int) -> str:
    """Why nothing is done to a hub in this run, as a sentence; empty where so many jobs are submitted to one."""
    if context.options.legacy:
        return NOT_OURS
    return "" if jobs else LEFT_OUT


async def or_why(side: Awaitable[Found]) -> Found | str:
    """What comes of the hub's side; where it could not be run, why: that is no word on the stack."""
    try:
        return await side
    except CouldNotRun as error:
        return f"The hub could not be put through it: {str(error).splitlines()[0]}"


async def on_hub(context: RunContext, name: str, disturb: Disturb, **load: Any) -> FaultOutcome | str:
    """What a hub of this run's own comes to at a rate that it can bear, its workers a process each; or why nothing."""
    jobs, rate = context.profile.hub_fault_jobs, context.profile.hub_rate
    if why := why_not(context, jobs):
        return why
    spec = spec_for(context, Side.HUB, rate=rate, seconds=jobs / rate, apart=True, prefix="", **load)
    result = await or_why(run_load(context, name, spec, disturb))
    if isinstance(result, str):
        return result
    return outcome_of(result, begun_again_ms(await asyncio.to_thread(history_in, load_folder(context, name))))


def under_faults(
    name: str, load: LoadResult, history: History, hub: FaultOutcome | str, *, evidence: object, title: str, how: str
) -> PhaseResult:
    """What a phase brings back that broke the stack under a load, and did the same to a hub or says why not."""
    accounting = load.checks["accounting"]
    return PhaseResult(
        evidence=[evidence],
        histories=[(name, load.checks)],
        timelines=timelines_of(history, load.checks.values(), side=f"stack, {name}"),
        tallies=[tally_of(accounting, id=name, title=f"{title}: where every job is")],
        faults=[fault_row(name, title, how, outcome_of(load, begun_again_ms(history)), hub)],
    )


def fault_row(name: str, title: str, how: str, stack: FaultOutcome, hub: FaultOutcome | str) -> FaultRow:
    """Both sides of one fault; without a hub, with the reason."""
    other, why = (None, hub) if isinstance(hub, str) else (hub, _too_little(hub))
    return FaultRow(
        id=name,
        title=title,
        how=how,
        standing=compare(stack, other),
        stack=stack,
        hub=other,
        explanation=why,
        links=(Link(to=LinkTo.TALLY, ref=name, label="where every job is"),),
    )


def outcome_of(load: LoadResult, begun_again_ms: Sequence[float]) -> FaultOutcome:
    """What one side came to: jobs in trouble, and the longest that a lost worker's job waited for another worker."""
    acknowledged, broken = load.swarm.jobs.acknowledged, broken_promises(load.swarm)
    figures: dict[str, float] = {ACKNOWLEDGED: acknowledged, **broken}
    if begun_again_ms:
        figures[LONGEST] = round(max(begun_again_ms))
    said = ", ".join(f"{number} {what}" for what, number in broken.items() if number) or "every job ended once"
    sentence = f"Of {acknowledged:,} acknowledged jobs: {said}." if acknowledged else "It acknowledged no job."
    return FaultOutcome(sentence=sentence, figures=figures)


def _too_little(hub: FaultOutcome) -> str:
    acknowledged = int(hub.figures[ACKNOWLEDGED])
    return f"The hub acknowledged {acknowledged} jobs: too few to compare." if acknowledged < LEAST_ON_HUB else ""


def compare(stack: FaultOutcome, hub: FaultOutcome | None) -> Standing:
    """By the share of jobs in trouble first, and by how long a lost worker's job waited where that is the same."""
    if hub is None or _too_little(hub):
        return Standing.ALONE
    ours, theirs = _share(stack), _share(hub)
    if ours == theirs:
        ours, theirs = stack.figures.get(LONGEST, 0.0), hub.figures.get(LONGEST, 0.0)
        if abs(ours - theirs) <= MATTERS_MS:
            return Standing.SAME
    return Standing.BETTER if ours < theirs else Standing.WORSE


def _share(outcome: FaultOutcome) -> float:
    wrong = sum(number for name, number in outcome.figures.items() if name not in {ACKNOWLEDGED, LONGEST})
    return wrong / max(1.0, outcome.figures.get(ACKNOWLEDGED, 0.0))
