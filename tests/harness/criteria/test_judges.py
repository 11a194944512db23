"""What each judge makes of its evidence: nothing that was found wrong is dropped, nothing is picked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.cassettes.replay.files import CassetteResult
from harness.cassettes.replay.matrix import Matrix
from harness.criteria import (
    claims,
    latencies,
    memory,
    nothing_lost,
    progress,
    recordings,
    resources,
)
from harness.criteria.definition import Checks, Collected
from harness.criteria.evidence import (
    MemoryLoads,
    PollingLoad,
    ResourceUse,
    SteadyLoad,
    WorkerFaults,
)
from harness.gate.phases import PHASES
from harness.history import CHECKERS
from harness.load.latencies import Metric
from harness.load.population import read_population
from harness.load.results import LoadResult
from harness.results import CellVerdict, Column, Criterion, LinkTo, Verdict
from tests.harness.criteria.loads import checks, judged_restarts, load


def judged_claims(*attempts: LoadResult, polling: LoadResult | None = None, free: float = 100) -> Criterion:
    collected = Collected()
    collected.add(SteadyLoad(attempts=list(attempts), free_percent=free), PollingLoad(load=polling or load()))
    limits = claims.Limits(p99_ms=20, polling_late_ms=250, plan_ms=1000)
    return claims.CRITERION.judged(collected, limits, claims.Least(workers=2, jobs=20, polling_jobs=20, seconds=1))


def judged_progress(*attempts: LoadResult) -> Criterion:
    collected = Collected()
    collected.add(SteadyLoad(attempts=list(attempts), free_percent=100))
    least = progress.Least(subscribers=5, updates=20)
    return progress.CRITERION.judged(collected, progress.Limits(p99_ms=30, plan_ms=500), least)


@pytest.mark.parametrize(
    ("latencies", "verdict"),
    [
        ((10,), Verdict.PASS),
        ((25, 10, 12), Verdict.PASS),
        ((25, 10, 24), Verdict.FAIL),
        ((10, 25, 25), Verdict.FAIL),
    ],
)
def test_a_latency_is_judged_by_the_median_of_its_attempts(latencies: tuple[float, ...], verdict: Verdict) -> None:
    assert judged_claims(*map(load, latencies)).verdict is verdict


def test_a_latency_over_its_limit_on_a_busy_machine_says_nothing_and_a_good_one_needs_no_excuse() -> None:
    assert judged_claims(*[load(25)] * 3, free=40).verdict is Verdict.INCONCLUSIVE
    assert judged_claims(load(10), free=40).verdict is Verdict.PASS


@pytest.mark.parametrize("broken", progress.DELIVERY)
def test_a_violation_in_the_first_attempt_is_not_forgotten(broken: str) -> None:
    assert judged_progress(load(), load()).verdict is Verdict.PASS
    assert judged_progress(load(broken=broken), load(), load()).verdict is Verdict.FAIL


@pytest.mark.parametrize("undecided", progress.DELIVERY)
def test_what_may_be_the_machines_doing_is_no_pass_whatever_else_the_load_broke(undecided: str) -> None:
    assert judged_progress(load(undecided=undecided)).verdict is Verdict.INCONCLUSIVE
    assert judged_progress(load(undecided=undecided, broken="never_run")).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("wrong", [{"lost": 1}, {"end_unseen": 1}, {"unfinished": 1}, {"errors": {"HTTP 500": 9}}])
def test_what_the_loads_own_judge_finds_fails_the_criteria_of_the_load(wrong: dict[str, Any]) -> None:
    bad = load(**wrong)
    assert bad.judgement.verdict is Verdict.FAIL
    assert judged_claims(load(), bad, load()).verdict is Verdict.FAIL
    assert judged_claims(load(), polling=bad).verdict is Verdict.FAIL
    assert judged_progress(bad).verdict is Verdict.FAIL
    assert judged_losses(bad).verdict is Verdict.FAIL
    assert judged_memory(bad).verdict is Verdict.FAIL
    assert judged_restarts(bad).verdict is Verdict.FAIL


def test_where_the_jobs_are_is_told_by_a_phase_of_that_name() -> None:
    judged = (judged_losses(load()), judged_restarts(load()))
    led_to = {link.ref for criterion in judged for link in criterion.links if link.to is LinkTo.TALLY}
    assert led_to
    assert led_to <= {phase.name for phase in PHASES}


def test_latencies_of_a_load_that_was_not_as_planned_are_inconclusive() -> None:
    late = load(lag=2.0)
    assert late.judgement.verdict is Verdict.INCONCLUSIVE
    assert judged_claims(late).verdict is Verdict.INCONCLUSIVE
    assert judged_progress(late).verdict is Verdict.INCONCLUSIVE
    assert judged_losses(late).verdict is Verdict.PASS


def judged_losses(faults: LoadResult, *others: Checks, **more: int) -> Criterion:
    collected = Collected()
    collected.add(WorkerFaults(load=faults, lease_ms=10_000))
    collected.histories = [("faults", faults.checks), *(("another", each) for each in others)]
    limits = nothing_lost.Limits(lost=0, ended_twice=0, other_violations=0)
    least = {"jobs": 100, "kills": 9} | dict.fromkeys(nothing_lost.EXAMINED, 9) | more
    return nothing_lost.CRITERION.judged(collected, limits, nothing_lost.Least(**least))


@pytest.mark.parametrize("lacking", nothing_lost.EXAMINED)
def test_a_load_without_failures_cancels_or_journals_proves_nothing(lacking: str) -> None:
    assert judged_losses(load(), **{lacking: 10}).verdict is Verdict.INCONCLUSIVE


def test_a_load_in_which_a_kind_of_its_population_is_missing_proves_nothing() -> None:
    without = load()
    spec = msgspec.structs.replace(without.spec, population=read_population())
    assert judged_losses(msgspec.structs.replace(without, spec=spec)).verdict is Verdict.INCONCLUSIVE


def test_a_worker_that_polls_late_fails_and_one_within_its_interval_does_not() -> None:
    assert judged_claims(load(), polling=load(1_300)).verdict is Verdict.PASS
    assert judged_claims(load(), polling=load(1_400)).verdict is Verdict.FAIL


@pytest.mark.parametrize("broken", sorted(CHECKERS.keys() - set(nothing_lost.JUDGED_ELSEWHERE)))
def test_every_checker_counts_on_every_history(broken: str) -> None:
    assert judged_losses(load(), checks()).verdict is Verdict.PASS
    assert judged_losses(load(broken=broken)).verdict is Verdict.FAIL
    assert judged_losses(load(), checks(), checks(broken)).verdict is Verdict.FAIL


def judged_memory(on_stack: LoadResult, *, api_mb: int = 5) -> Criterion:
    collected = Collected()
    evidence = MemoryLoads(
        api_bytes=api_mb * 1_000_000,
        api_samples=9,
        conditions="Alone.",
        loads=[on_stack],
        on_hub=load(),
    )
    collected.add(evidence)
    return memory.CRITERION.judged(collected, memory.Limits(hub_mb=10, ratio_to_hub=1), memory.Least(samples=9))


def test_the_api_is_held_against_what_the_real_hub_needed() -> None:
    assert judged_memory(load(), api_mb=9).verdict is Verdict.PASS
    assert judged_memory(load(), api_mb=10).verdict is Verdict.FAIL


def test_all_recordings_that_there_are_have_to_be_compared() -> None:
    def column(*verdicts: CellVerdict) -> list[CassetteResult]:
        return [CassetteResult(path=Path(f"{number}.jsonl"), verdict=one) for number, one in enumerate(verdicts)]

    def verdict(*on_stack: CellVerdict) -> Verdict:
        hub = column(*[CellVerdict.SAME] * len(on_stack))
        collected = Collected()
        columns = {Column.HUB: hub, Column.STACK_WEBSOCKET: column(*on_stack)}
        collected.add(Matrix(columns=columns, rows=[], problems=[]))
        limits = recordings.Limits(undeclared_differences=0)
        return recordings.LEGACY_CLIENTS.judged(collected, limits, recordings.Least(recordings=2)).verdict

    same = [CellVerdict.SAME, CellVerdict.SAME, CellVerdict.DECLARED]
    assert verdict(*same) is Verdict.PASS
    assert verdict(*same, CellVerdict.NOT_APPLICABLE) is Verdict.PASS
    assert verdict(*same, CellVerdict.INCONCLUSIVE) is Verdict.INCONCLUSIVE


def judged_latencies(steady: LoadResult, on_stack: LoadResult, on_hub: LoadResult) -> Criterion:
    collected = Collected()
    beside = MemoryLoads(api_bytes=1, api_samples=1, conditions="", loads=[on_stack], on_hub=on_hub)
    collected.add(SteadyLoad(attempts=[steady], free_percent=100), beside)
    limits = latencies.Limits(accepted_p99_ms=1000, beyond_hub_ms=20, throughput_share=0.95)
    return latencies.CRITERION.judged(collected, limits, latencies.Least(accepted=20, ended=20))


def everything(ms: float, *, submitted: int = 100) -> LoadResult:
    """A load in which every latency is that long."""
    made = load(ms, submitted=submitted)
    latency = made.swarm.latencies[Metric.CLAIMED]
    every = dict.fromkeys(latencies.BESIDE_THE_HUB, latency)
    return msgspec.structs.replace(
        made, swarm=msgspec.structs.replace(made.swarm, latencies={**made.swarm.latencies, **every})
    )


@pytest.mark.parametrize(
    ("steady", "stack", "hub", "verdict"),
    [
        (10, 10, 10, Verdict.PASS),
        (10, 25, 10, Verdict.PASS),
        (10, 40, 10, Verdict.FAIL),
        (10, 40, 30, Verdict.PASS),
        (1500, 10, 10, Verdict.FAIL),
    ],
)
def test_latencies_are_held_against_the_plan_and_the_hub(
    steady: float, stack: float, hub: float, verdict: Verdict
) -> None:
    assert judged_latencies(everything(steady), everything(stack), everything(hub)).verdict is verdict


def test_a_latency_that_the_hub_does_not_show_is_inconclusive() -> None:
    assert judged_latencies(everything(10), everything(10), load()).verdict is Verdict.INCONCLUSIVE


def judged_resources(**changes: Any) -> Criterion:
    sound: dict[str, Any] = {
        "rounds": 6,
        "jobs": 200,
        "more_descriptors": {"api": 1, "worker-1": 0},
        "more_bytes": {"api": 1_000_000, "worker-1": -5},
        "idle_s": 5.0,
        "idle_worker_percent": 0.3,
        "idle_api_percent": 0.5,
    }
    collected = Collected()
    collected.add(ResourceUse(**(sound | changes)))
    limits = resources.Limits(more_descriptors=4, more_mb=5, fleet=48, idle_fleet_percent=25, idle_api_percent=2)
    return resources.CRITERION.judged(collected, limits, resources.Least(rounds=6, jobs=200, idle_s=5))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.PASS),
        ({"more_descriptors": {"api": 0, "worker-1": 9}}, Verdict.FAIL),
        ({"more_bytes": {"api": 9_000_000}}, Verdict.FAIL),
        ({"idle_worker_percent": 1.0}, Verdict.FAIL),
        ({"idle_api_percent": 5.0}, Verdict.FAIL),
        ({"jobs": 9}, Verdict.INCONCLUSIVE),
        ({"idle_s": 1.0}, Verdict.INCONCLUSIVE),
    ],
)
def test_resources_may_not_grow_in_any_process(changes: dict[str, Any], verdict: Verdict) -> None:
    assert judged_resources(**changes).verdict is verdict
