"""Workers are killed, stopped and sent away in waves under load; the history is gone through by every checker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from harness.criteria.statements import CriterionId
from harness.faults import Signal, Waves
from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged
from harness.gate.loads import LEASE_MS, JobSpec, Mix, Side, Site, checks_of, put_load, spec_for
from harness.gate.standing import outcome_of, stand
from harness.history import CheckResult, History, HistoryWriter
from harness.history.reporting import tally_of, timelines_of
from harness.results import (
    Comparison,
    Criterion,
    Distribution,
    Evidence,
    FaultRow,
    Link,
    LinkTo,
    Measurement,
    Series,
    Threshold,
)

STEPS: Final = (10, 25, 40, 55, 70, 85, 100)
STEP_MS: Final = 160
"""A job runs for about a second, so that waves of kills meet jobs in every state."""
JOB: Final = JobSpec(
    payload={"simulate": [step for at in STEPS for step in ({"progress": at, "stamp": True}, {"sleep_ms": STEP_MS})]}
)
STOPPED_S: Final = LEASE_MS / 1000 + 2
"""Longer than a lease: a stopped worker wakes up and finds its job with somebody else."""
USERS: Final = 40
JUDGED_ELSEWHERE: Final = ("recovery", "held_by_two", "accounting")


async def gather(bench: Bench) -> Findings:
    """Load, break, settle, check; beside it, in a run that is long enough, the same on the hub."""
    (history, checks), hub = await asyncio.gather(_stack(bench), _hub(bench))
    bench.shared.checks.append(("faults", checks))
    findings = Findings(timelines=timelines_of(history, checks.values()), tallies=[tally_of(checks["accounting"])])
    findings.criteria = [judge_losses(bench, checks), judge_recovery(bench, checks["recovery"])]
    findings.distributions = [_recoveries(checks["recovery"])]
    findings.faults = [_row(checks, hub)]
    return findings


async def _stack(bench: Bench) -> tuple[History, dict[str, CheckResult]]:
    profile = bench.profile
    seconds = profile.fault_jobs / profile.fault_rate
    mix = Mix.of(USERS)
    spec = spec_for(bench, Side.STACK, rate=profile.fault_rate, seconds=seconds, mix=mix, job=JOB, drain_s=40.0)

    async def disturb(site: Site, writer: HistoryWriter) -> None:
        await _waves(bench, site, writer)

    _, folder = await put_load(bench, "faults", spec, disturb)
    return await checks_of(folder)


async def _hub(bench: Bench) -> dict[str, CheckResult] | None:
    """The hub at a rate that it holds, its workers killed once, all at the same moment, and back soon."""
    if not bench.profile.hub_fault_jobs or bench.options.legacy:
        return None
    seconds = bench.profile.hub_fault_jobs / bench.profile.hub_rate
    mix = Mix.of(USERS)
    spec = spec_for(bench, Side.HUB, rate=bench.profile.hub_rate, seconds=seconds, mix=mix, job=JOB, drain_s=60.0)

    async def disturb(site: Site, writer: HistoryWriter) -> None:
        workers = site.fleet.workers if site.fleet else []
        async with Waves(workers, writer, seed=bench.options.seed, share=1, waves=1, every_s=seconds / 3) as killing:
            await killing.done()

    _, folder = await put_load(bench, "faults-hub", spec, disturb)
    _, checks = await checks_of(folder)
    return checks


def _row(checks: Mapping[str, CheckResult], hub: Mapping[str, CheckResult] | None) -> FaultRow:
    stack, other = outcome_of(checks), outcome_of(hub) if hub else None
    return FaultRow(
        id="workers-killed",
        title="Workers killed under load",
        how="The stack: a third of the workers killed in each wave, some stopped beyond a lease, some sent away. "
        "The hub: all its workers killed once, and started again.",
        standing=stand(stack, other),
        stack=stack,
        hub=other,
        links=(Link(to=LinkTo.TALLY, ref="jobs", label="where every job is"),),
    )


async def _waves(bench: Bench, site: Site, writer: HistoryWriter) -> None:
    """A third killed in each wave; meanwhile some are stopped for longer than a lease, and some asked to leave."""
    workers = site.fleet.workers if site.fleet else []
    apart = max(1, len(workers) // 8)
    stopped, leaving, killed = workers[:apart], workers[apart : 2 * apart], workers[2 * apart :]
    waves, seed = bench.profile.kill_waves, bench.options.seed
    every_s = max(2.0, 0.8 * bench.profile.fault_jobs / bench.profile.fault_rate / (waves + 1))
    share = (len(workers) / 3) / max(1, len(killed))
    async with (
        Waves(killed, writer, seed=seed, share=share, waves=waves, every_s=every_s) as killing,
        Waves(
            stopped, writer, seed=seed + 1, how=Signal.STOP, share=1, waves=1, every_s=2, down_s=STOPPED_S
        ) as stopping,
        Waves(leaving, writer, seed=seed + 2, how=Signal.TERMINATE, share=1, waves=1, every_s=4, down_s=1.0) as ending,
    ):
        await killing.done()
        await stopping.done()
        await ending.done()


def judge_losses(bench: Bench, checks: Mapping[str, CheckResult]) -> Criterion:
    """Nothing lost, nothing twice, no other rule broken: in this history and in those of the loads before it."""
    limits, acknowledged = bench.limits.nothing_lost, checks["accounting"].counts.get("acknowledged", 0)
    others = {
        name: len(check.violations)
        for name, check in checks.items()
        if name not in {"lost", "ended_twice", *JUDGED_ELSEWHERE}
    }
    wrong = {name: number for name, number in others.items() if number}
    doubts = list(dict.fromkeys(doubt for name in ("lost", "ended_twice") for doubt in checks[name].doubts))
    told = [check.violations[0].sentence for check in checks.values() if check.violations][:3]
    return judged(
        CriterionId.NOTHING_LOST,
        [
            _none("acknowledged jobs lost", len(checks["lost"].violations), limits.lost),
            _none("jobs that ended twice", len(checks["ended_twice"].violations), limits.ended_twice),
            _none("other rules broken", sum(wrong.values()), limits.other_violations),
        ],
        [
            Evidence(what="acknowledged jobs", had=acknowledged, least=bench.least.fault_jobs),
            Evidence(what="kills", had=checks["recovery"].counts.get("killed", 0), least=bench.least.kills),
            Evidence(what="histories without a gap", had=0 if doubts else 1, least=1),
        ],
        links=[Link(to=LinkTo.TALLY, ref="jobs", label="where every job is")],
        explanation=" ".join([*told, *(f"{name}: {number}." for name, number in wrong.items()), *doubts]) or None,
    )


def judge_recovery(bench: Bench, recovery: CheckResult) -> Criterion:
    """The longest wait of a job that lost its worker, until somebody had it again."""
    again = recovery.figures.get("claimed_again", ())
    never = [violation for violation in recovery.violations if violation.form == "never"]
    return judged(
        CriterionId.RECOVERY,
        [
            Measurement(
                what="worker lost to claimed again, the longest",
                observed=max(again, default=None),
                unit="ms",
                threshold=Threshold(
                    comparison=Comparison.AT_MOST, limit=LEASE_MS + bench.limits.recovery.beyond_lease_ms
                ),
            ),
            _none("jobs that nobody took again", len(never), 0),
        ],
        [Evidence(what="jobs that lost their worker", had=recovery.examined, least=bench.least.recoveries)],
        links=[Link(to=LinkTo.FIGURE, ref="recovery", label="distribution")],
        explanation=f"The lease is {LEASE_MS / 1000:g} s.",
    )


def _recoveries(recovery: CheckResult) -> Distribution:
    again = recovery.figures.get("claimed_again", ())
    return Distribution(
        id="recovery",
        title="From the loss of a worker to the job's next claim",
        unit="ms",
        series=(Series.of_values("claimed again", again),),
    )


def _none(what: str, observed: int, limit: int) -> Measurement:
    threshold = Threshold(comparison=Comparison.AT_MOST, limit=limit)
    return Measurement(what=what, observed=observed, threshold=threshold, counterexample=True)


FAULTS: Final = Phase(
    name="faults",
    about="kill, stop and restart workers under load; nothing may be lost",
    feeds=(CriterionId.NOTHING_LOST, CriterionId.RECOVERY),
    gather=gather,
)
