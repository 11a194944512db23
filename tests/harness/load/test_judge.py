from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.history import CheckResult, Violation
from harness.load.arrivals import Plan
from harness.load.judge import judge as judge_load
from harness.load.latencies import Histogram, Metric
from harness.load.ledger import Jobs, Outcome
from harness.load.population import Kind
from harness.load.results import FleetResult, LoadResult, Surroundings, WorkerExit
from harness.load.spec import Demands, LoadSpec
from harness.load.swarm import LatencyResult, SwarmResult
from harness.machine_time import Lost
from harness.results import Criterion, Verdict
from harness.targets import Side


def measured(*seconds: float) -> LatencyResult:
    return LatencyResult(overall=Histogram.of(seconds).series("all"))


def result(
    *, submitted: int = 100, errors: dict[str, int] | None = None, lag: float = 0.001, **counts: int
) -> SwarmResult:
    outcomes = dict.fromkeys(Outcome, 0) | {Outcome(name): count for name, count in counts.items()}
    outcomes[Outcome.COMPLETED] += submitted - sum(counts.values())
    silent = outcomes[Outcome.REFUSED] + outcomes[Outcome.UNANSWERED]
    return SwarmResult(
        plan=Plan(rate=10, duration_s=10),
        host="",
        users={},
        generators=1,
        started_at=0,
        seconds=10,
        jobs=Jobs(
            submitted=submitted, acknowledged=submitted - silent, outcomes=outcomes, named={}, kinds={Kind.PLAIN: 1}
        ),
        latencies={Metric.SENT: measured(lag), Metric.CLAIMED: measured(*[0.01] * 98, 0.4, 0.4)},
        over_time=[],
        errors=errors or {},
        watched={},
    )


def loaded(swarm: SwarmResult, demands: Demands | None = None, **more: Any) -> LoadResult:
    spec = LoadSpec(side=more.pop("side", Side.STACK), demands=demands or Demands())
    quiet = {"fleet": None, "memory": [], "depth": [], "history": []}
    around = Surroundings(cores=2, load_before=0.1)
    return LoadResult(side=spec.side, spec=spec, owned=True, swarm=swarm, surroundings=around, **(quiet | more))


def judge(swarm: SwarmResult, demands: Demands, **more: Any) -> Criterion:
    return judge_load(loaded(swarm, demands, **more))


def fleet(alive: int = 2, *, own_exits: int = 0) -> FleetResult:
    nothing = Histogram().series("start")
    exits = [WorkerExit(worker=f"worker-{number}", at=1.0, ours=False, back_after_s=0.1) for number in range(own_exits)]
    return FleetResult(size=2, alive=alive, started_s=0.1, start_ms=nothing, start_cpu_ms=nothing, exits=exits)


def test_a_load_with_all_jobs_ended_passes() -> None:
    assert judge(result(), Demands()).verdict is Verdict.PASS


@pytest.mark.parametrize("outcome", ["lost", "end_unseen", "unfinished"])
def test_one_broken_promise_fails(outcome: str) -> None:
    judgement = judge(result(**{outcome: 1}), Demands())
    assert judgement.verdict is Verdict.FAIL
    assert " = 1, must be at most 0" in judgement.explanation


def starved(from_s: float, to_s: float) -> list[Lost]:
    """Others had nine tenths of the machine."""
    return [Lost(from_s, to_s, 0.9 * (to_s - from_s))]


@pytest.mark.parametrize("outcome", ["end_unseen", "unfinished"])
def test_a_promise_that_was_not_kept_in_time_is_undecided_where_others_had_the_machine(outcome: str) -> None:
    late = msgspec.structs.replace(result(**{outcome: 1}), seconds=30)
    assert judge(late, Demands()).verdict is Verdict.FAIL
    assert judge(late, Demands(), lost=starved(0, 5)).verdict is Verdict.FAIL, "that was before"
    judgement = judge(late, Demands(), lost=starved(10, 30))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "0 of at least 1 overdue findings" in judgement.explanation


def test_a_job_that_never_ends_fails_where_the_last_wait_was_long_enough_by_machine_time() -> None:
    """Half of the machine for 40 s is the 20 s that the load waits for its last jobs."""
    waited = msgspec.structs.replace(result(unfinished=1), seconds=50)
    assert judge(waited, Demands(), lost=[Lost(10, 50, 20)]).verdict is Verdict.FAIL
    assert judge(waited, Demands(), lost=[Lost(10, 50, 21)]).verdict is Verdict.INCONCLUSIVE


def test_a_lost_job_fails_on_any_machine() -> None:
    assert judge(result(lost=1, unfinished=1), Demands(), lost=starved(0, 100)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("kind", "second", "verdict"),
    [
        ("no answer: timed out", 20, Verdict.INCONCLUSIVE),
        ("no answer: timed out", 50, Verdict.FAIL),
        ("HTTP 500 no such field", 20, Verdict.FAIL),
    ],
)
def test_errors_are_undecided_where_they_may_be_slowness_and_others_had_the_machine(
    kind: str, second: int, verdict: Verdict
) -> None:
    wrong = msgspec.structs.replace(result(errors={kind: 9}), errors_at=[(second, kind, 9)])
    assert judge(wrong, Demands()).verdict is Verdict.FAIL
    assert judge(wrong, Demands(), lost=starved(5, 25)).verdict is verdict


def test_as_few_errors_as_any_load_may_have_leave_nothing_undecided() -> None:
    kind = "no answer: timed out"
    few = msgspec.structs.replace(result(errors={kind: 1}), errors_at=[(20, kind, 1)])
    assert judge(few, Demands(), lost=starved(5, 25)).verdict is Verdict.PASS


def test_what_a_checker_could_not_decide_is_inconclusive_and_no_pass() -> None:
    check = CheckResult(
        name="stuck",
        examined=9,
        undecided=(Violation(job_id="a", form="pending", sentence="a is without a sign of life", at_ms=0),),
    )
    judgement = judge(result(), Demands(), checks={"stuck": check})
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "a is without a sign of life" in judgement.explanation


def test_a_job_that_ended_twice_fails() -> None:
    assert judge(result(errors={"ended twice": 1}), Demands()).verdict is Verdict.FAIL


def test_no_jobs_and_too_few_jobs_are_inconclusive() -> None:
    assert judge(result(submitted=0), Demands()).verdict is Verdict.INCONCLUSIVE
    assert judge(result(submitted=100), Demands(least_jobs=101)).verdict is Verdict.INCONCLUSIVE


def test_a_load_that_was_not_sent_is_inconclusive() -> None:
    assert judge(result(submitted=90), Demands()).verdict is Verdict.INCONCLUSIVE


def test_a_late_generator_is_inconclusive() -> None:
    assert judge(result(lag=0.3), Demands()).verdict is Verdict.INCONCLUSIVE


def test_a_server_that_does_not_say_is_inconclusive() -> None:
    assert judge(result(unknown=1), Demands()).verdict is Verdict.INCONCLUSIVE


def test_few_errors_are_borne_and_many_are_not() -> None:
    assert judge(result(errors={"HTTP 503": 1}), Demands()).verdict is Verdict.PASS
    assert judge(result(errors={"HTTP 503": 2}), Demands()).verdict is Verdict.FAIL
    assert judge(result(unanswered=2), Demands()).verdict is Verdict.FAIL


def test_a_limit_is_held_by_the_percentile() -> None:
    assert judge(result(), Demands(most_p99_ms={Metric.CLAIMED: 500})).verdict is Verdict.PASS
    assert judge(result(), Demands(most_p99_ms={Metric.CLAIMED: 300})).verdict is Verdict.FAIL
    assert judge(result(), Demands(most_p99_ms={Metric.ENDED: 300})).verdict is Verdict.INCONCLUSIVE


def test_books_that_do_not_balance_are_inconclusive() -> None:
    broken = result()
    jobs: Any = msgspec.structs.replace(broken.jobs, acknowledged=99)
    assert judge(msgspec.structs.replace(broken, jobs=jobs), Demands()).verdict is Verdict.INCONCLUSIVE


def test_a_failure_outranks_doubt() -> None:
    doubtful = judge(result(), Demands(), fleet=fleet(alive=1))
    assert (doubtful.verdict, "workers alive at the end" in doubtful.explanation) == (Verdict.INCONCLUSIVE, True)
    failed = judge(result(lost=1), Demands(), fleet=fleet(alive=1))
    assert failed.verdict is Verdict.FAIL
    assert "workers alive" not in failed.explanation


def test_a_worker_that_exits_on_its_own_fails() -> None:
    assert judge(result(), Demands(), fleet=fleet()).verdict is Verdict.PASS
    assert judge(result(), Demands(), fleet=fleet(own_exits=1)).verdict is Verdict.FAIL


def test_a_server_that_exits_on_its_own_fails() -> None:
    judged = judge(result(), Demands(), died=["api ended with status 3 on its own."])
    assert judged.verdict is Verdict.FAIL
    assert "api ended with status 3 on its own." in judged.explanation


def test_a_violation_fails_the_stack_and_not_the_hub() -> None:
    violation = Violation(job_id="j", form="twice", sentence="Job j ended twice.", at_ms=1)
    checks = {"ended_twice": CheckResult(name="ended_twice", examined=1, violations=(violation,))}
    failed = judge(result(), Demands(), checks=checks)
    assert (failed.verdict, "Job j ended twice." in failed.explanation) == (Verdict.FAIL, True)
    assert judge(result(), Demands(), checks=checks, side=Side.HUB).verdict is Verdict.PASS
