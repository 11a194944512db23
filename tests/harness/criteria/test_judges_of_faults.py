"""The judges of what was broken on purpose: restarts, chaos, and brown-outs."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from harness.criteria import (
    chaos,
    retirement,
)
from harness.criteria.definition import Collected
from harness.criteria.evidence import ChaosLoads, ChaosWorld, MigrationLoad, PromiseResults
from harness.faults import Kind
from harness.gate.phases.faults import CUT_OFF
from harness.history import CHECKERS
from harness.history.absences import Absence, Part
from harness.history.strikes import Strike
from harness.load.excuses import BY_REST, NO_WORD, SENT_AWAY, SENT_AWAY_IN_FLIGHT
from harness.load.judge import judge
from harness.load.latencies import Histogram, Metric, Transport
from harness.load.ledger import Outcome
from harness.load.results import LoadResult
from harness.load.spec import Demands
from harness.load.swarm import LatencyResult
from harness.protocols import EventKind
from harness.results import Criterion, SuiteOutcome, SuiteRow, Verdict
from tests.harness.criteria.loads import MET, STRIKES, VIOLATION, judged_restarts, load, strike


@pytest.mark.parametrize("field", ["in_flight", "waiting", "subscribed"])
def test_restarts_that_met_too_little_are_inconclusive_for_redis_and_api_apart(field: str) -> None:
    for kind in (EventKind.REDIS_DOWN, EventKind.KILLED):
        strikes = [one for one in STRIKES if one.kind is not kind]
        assert judged_restarts(load(), *strikes, strike(kind, **{field: 1})).verdict is Verdict.INCONCLUSIVE


def test_an_outage_that_no_end_met_is_inconclusive() -> None:
    assert judged_restarts(load(), ends_met=0).verdict is Verdict.INCONCLUSIVE


def undecided(made: LoadResult, checker: str) -> LoadResult:
    """The same, with what one checker objects to explained by others, who had the machine."""
    check = made.checks[checker]
    moved = msgspec.structs.replace(check, violations=(), undecided=(VIOLATION,))
    made = msgspec.structs.replace(made, checks=made.checks | {checker: moved})
    return msgspec.structs.replace(made, judgement=judge(made))


def test_what_others_had_the_machine_for_is_inconclusive_and_excuses_nothing_else() -> None:
    for judged in (judged_restarts, judged_chaos):
        assert judged(load()).verdict is Verdict.PASS
        assert judged(undecided(load(), "stuck")).verdict is Verdict.INCONCLUSIVE
        assert judged(undecided(load(broken="run_twice"), "stuck")).verdict is Verdict.FAIL


def judged_chaos(
    loaded_: LoadResult,
    *,
    offered: frozenset[Kind] = frozenset({Kind.CUT}),
    strikes: tuple[Strike, ...] = STRIKES,
    hub: ChaosWorld | None = None,
) -> Criterion:
    collected = Collected()
    world = ChaosWorld(
        name="World",
        load=loaded_,
        offered=offered,
        drawn=[(Kind.CUT,)],
        strikes=list(strikes),
        begun_again_ms=[5_000.0],
    )
    collected.add(ChaosLoads(worlds=[world], hub=hub))
    least = chaos.Least(jobs=1, strikes=2, **MET)
    return chaos.CRITERION.judged(collected, chaos.Limits(broken_rules=0), least)


@pytest.mark.parametrize("broken", CHECKERS)
def test_every_checker_counts_in_chaos(broken: str) -> None:
    assert judged_chaos(load()).verdict is Verdict.PASS
    assert judged_chaos(load(broken=broken)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("lost", "longest_ms", "verdict"),
    [
        (0, [40_000.0], Verdict.PASS),
        (5, [40_000.0], Verdict.PASS),
        (5, [], Verdict.PASS),
        (0, [3_000.0, 2_000.0], Verdict.PASS),
        (0, [2_900.0, 2_000.0], Verdict.FAIL),
    ],
)
def test_the_stack_may_come_off_no_worse_than_the_hub(lost: int, longest_ms: list[float], verdict: Verdict) -> None:
    """Here no job of the stack is in trouble, and one that lost its worker is begun again after 5 s.

    Two seconds are the same for the criterion, as they are in the report's comparison of both.
    """
    jobs = msgspec.structs.replace(load().swarm.jobs, outcomes=Counter({Outcome.LOST: lost}))
    on_hub = msgspec.structs.replace(load(), swarm=msgspec.structs.replace(load().swarm, jobs=jobs))
    hub = ChaosWorld(name="Hub", load=on_hub, offered=frozenset(), drawn=[], strikes=[], begun_again_ms=longest_ms)
    assert judged_chaos(load(), hub=hub).verdict is verdict


def test_more_jobs_in_trouble_than_on_the_hub_fail() -> None:
    jobs = msgspec.structs.replace(load().swarm.jobs, outcomes=Counter({Outcome.END_UNSEEN: 1}))
    worse = msgspec.structs.replace(load(), swarm=msgspec.structs.replace(load().swarm, jobs=jobs))
    hub = ChaosWorld(name="Hub", load=load(), offered=frozenset(), drawn=[], strikes=[])
    assert judged_chaos(worse, hub=hub).verdict is Verdict.FAIL


def test_chaos_that_left_a_kind_out_or_met_too_little_is_inconclusive() -> None:
    assert judged_chaos(load(), offered=frozenset({Kind.CUT, Kind.REDIS_FULL})).verdict is Verdict.INCONCLUSIVE
    idle = tuple(strike(one.kind, in_flight=1, waiting=0) for one in STRIKES)
    assert judged_chaos(load(), strikes=idle).verdict is Verdict.INCONCLUSIVE
    assert judged_chaos(load(), strikes=STRIKES[:1]).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("broken", CHECKERS)
def test_every_checker_counts_after_restarts(broken: str) -> None:
    assert judged_restarts(load()).verdict is Verdict.PASS
    assert judged_restarts(load(broken=broken)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ({(20, "cannot connect: refused"): 80, (24, "stream lost: closed"): 9}, Verdict.PASS),
        ({(20, "cannot connect: refused"): 80, (20, "HTTP 500"): 9}, Verdict.FAIL),
        ({(20, "cannot connect: refused"): 80, (40, "stream lost: closed"): 9}, Verdict.FAIL),
        ({(20, "HTTP 503 The queue is not available"): 9}, Verdict.FAIL),
    ],
)
def test_restarts_excuse_the_errors_that_they_cause_while_they_last_and_no_others(
    errors: dict[tuple[int, str], int], verdict: Verdict
) -> None:
    """The server is away from second 20 to 22."""
    sums = Counter[str]()
    for (_, kind), number in errors.items():
        sums[kind] += number
    restarted = load(errors=sums, unanswered=20, demands=Demands(excused_errors=CUT_OFF))
    jobs = msgspec.structs.replace(restarted.swarm.jobs, unanswered_at=[(21.0, False)] * 20)
    at = [(second, kind, number) for (second, kind), number in errors.items()]
    swarm = msgspec.structs.replace(restarted.swarm, errors_at=at, jobs=jobs)
    away = msgspec.structs.replace(restarted, swarm=swarm, absences=[Absence(Part.SERVER, 20, 22)])
    assert judged_restarts(msgspec.structs.replace(away, judgement=judge(away))).verdict is verdict


REASON = "Brown-out of the hub's protocols until 10:15 UTC: use HTTP and SSE."


TOLD = {
    (20, f"{SENT_AWAY}{REASON}"): 9,
    (20, f"{BY_REST}{REASON}"): 2,
    (30, f"{SENT_AWAY_IN_FLIGHT}{REASON}"): 3,
}


RETIRED = retirement.Least(
    scenarios=1,
    ended_by_each=20,
    brown_outs=2,
    in_flight=5,
    subscribed=5,
    refused=9,
    refused_in_flight=3,
    refused_by_rest=2,
)


def judged_retirement(
    errors: dict[tuple[int, str], int] = TOLD,
    *,
    broken: str | None = None,
    outcome: SuiteOutcome = SuiteOutcome.PASSED,
    windows: int = 2,
) -> Criterion:
    """Refused from second 20 to 22, and from 30 to 32 to clients with jobs in flight as well."""
    sums = Counter[str]()
    for (_, kind), number in errors.items():
        sums[kind] += number
    seen = load(errors=sums, broken=broken)
    values = Histogram.of([0.1] * 20).series("all")
    ended = LatencyResult(overall=values, by_transport=dict.fromkeys(Transport, values))
    swarm = msgspec.structs.replace(
        seen.swarm,
        errors_at=[(second, kind, number) for (second, kind), number in errors.items()],
        latencies={**seen.swarm.latencies, Metric.ENDED: ended},
    )
    away = [Absence(Part.LEGACY, 20, 22), Absence(Part.ALL_LEGACY, 30, 32)][:windows]
    seen = msgspec.structs.replace(seen, swarm=swarm, absences=away)
    seen = msgspec.structs.replace(seen, judgement=judge(seen))
    told = SuiteRow(suite="s", name="n", criterion="retirement", outcome=outcome)
    collected = Collected()
    collected.add(PromiseResults(scenarios=[told], log=""))
    collected.add(MigrationLoad(load=seen, strikes=[strike(EventKind.BROWN_OUT)]))
    return retirement.CRITERION.judged(
        collected, retirement.Limits(failed_scenarios=0, broken_rules=0, wrong_refusals=0), RETIRED
    )


def test_a_retirement_is_judged_by_its_scenarios_and_by_its_load() -> None:
    assert judged_retirement().verdict is Verdict.PASS, judged_retirement()
    assert judged_retirement(outcome=SuiteOutcome.FAILED).verdict is Verdict.FAIL
    assert judged_retirement(broken="lost").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (25, f"{SENT_AWAY}{REASON}"),
        (20, f"{SENT_AWAY_IN_FLIGHT}{REASON}"),
        (30, f"{SENT_AWAY}{NO_WORD}"),
        (20, "HTTP 500"),
    ],
)
def test_a_refusal_outside_of_its_brown_out_or_of_its_kind_fails_and_is_named(second: int, kind: str) -> None:
    number = 1 if REASON in kind or NO_WORD in kind else 7
    judged = judged_retirement({**TOLD, (second, kind): number})
    assert judged.verdict is Verdict.FAIL
    assert f"{number} x {kind}" in judged.explanation


def test_brown_outs_that_met_too_little_are_inconclusive() -> None:
    for left_out in TOLD:
        few = {at: number for at, number in TOLD.items() if at != left_out}
        assert judged_retirement(few).verdict is Verdict.INCONCLUSIVE
    none_in_flight = {at: number for at, number in TOLD.items() if not at[1].startswith(SENT_AWAY_IN_FLIGHT)}
    assert judged_retirement(none_in_flight, windows=1).verdict is Verdict.INCONCLUSIVE
