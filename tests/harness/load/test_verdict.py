from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.load.latencies import Figure, Histogram
from harness.load.ledger import Outcome
from harness.load.plan import Plan
from harness.load.results import FigureResult, Jobs, SwarmResult
from harness.load.verdict import Demands, Finding, judge
from harness.results import Verdict


def measured(*seconds: float) -> FigureResult:
    return FigureResult(overall=Histogram.of(seconds).distribution(), by_wire={}, over_time=[])


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
        jobs=Jobs(submitted=submitted, acknowledged=submitted - silent, outcomes=outcomes, named={}),
        figures={Figure.SENT: measured(lag), Figure.CLAIMED: measured(*[0.01] * 98, 0.4, 0.4)},
        flow=[],
        errors=errors or {},
        watched={},
    )


def test_a_load_with_all_jobs_ended_passes() -> None:
    assert judge(result(), Demands()).verdict is Verdict.PASS


@pytest.mark.parametrize("outcome", ["lost", "end_unseen", "unfinished"])
def test_one_broken_promise_fails(outcome: str) -> None:
    judgement = judge(result(**{outcome: 1}), Demands())
    assert judgement.verdict is Verdict.FAIL
    assert judgement.reasons[0].startswith("1 jobs")


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
    assert judge(result(), Demands(most_p99_ms={Figure.CLAIMED: 500})).verdict is Verdict.PASS
    assert judge(result(), Demands(most_p99_ms={Figure.CLAIMED: 300})).verdict is Verdict.FAIL
    assert judge(result(), Demands(most_p99_ms={Figure.ENDED: 300})).verdict is Verdict.INCONCLUSIVE


def test_books_that_do_not_balance_are_inconclusive() -> None:
    broken = result()
    jobs: Any = msgspec.structs.replace(broken.jobs, acknowledged=99)
    assert judge(msgspec.structs.replace(broken, jobs=jobs), Demands()).verdict is Verdict.INCONCLUSIVE


def test_a_failure_outranks_doubt_and_only_its_reasons_are_given() -> None:
    doubt = Finding(Verdict.INCONCLUSIVE, "the fleet was too small")
    assert judge(result(), Demands(), [doubt]).reasons == ["the fleet was too small"]
    judgement = judge(result(lost=1), Demands(), [doubt])
    assert (judgement.verdict, len(judgement.reasons)) == (Verdict.FAIL, 1)
