"""Whether a load went well, by its own books: a run with no requests, too few or too many errors never passes."""

from __future__ import annotations

import msgspec

from harness.load.latencies import Figure
from harness.load.ledger import Complaint, Outcome
from harness.load.results import SwarmResult
from harness.results import Verdict, combine


class Demands(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a load; the least below which it says nothing, and the most that it may show."""

    least_jobs: int = 20
    """Acknowledged jobs."""
    least_share: float = 0.95
    """Of the plan's arrivals, how many must have been sent."""
    most_lag_ms: float = 250.0
    """How late the generator itself may be (p99 of `Figure.SENT`)."""
    most_errors: float = 0.01
    """Errors, refusals and missing answers, as a share of the submissions."""
    most_p99_ms: dict[Figure, float] = {}
    """Limits that the caller sets."""


class Finding(msgspec.Struct, frozen=True):
    """One reason for the verdict."""

    verdict: Verdict
    reason: str


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict with its reasons; none where the load simply passes."""

    verdict: Verdict
    reasons: list[str]


def judge(result: SwarmResult, demands: Demands, more: list[Finding] | None = None) -> Judgement:
    """Fail outranks inconclusive outranks pass; `more` is what others have found (a fleet that was too small)."""
    findings = [*_promises(result), *_errors(result, demands), *_limits(result, demands)]
    findings += [*_evidence(result, demands), *(more or [])]
    verdict = combine([*(finding.verdict for finding in findings), Verdict.PASS])
    return Judgement(verdict=verdict, reasons=[one.reason for one in findings if one.verdict is verdict])


def _promises(result: SwarmResult) -> list[Finding]:
    """What must not happen to any acknowledged job."""
    sentences = {
        Outcome.LOST: "were acknowledged and are now unknown to the server",
        Outcome.END_UNSEEN: "ended and their clients were never told",
        Outcome.UNFINISHED: "were acknowledged and had not ended when the last wait was over",
    }
    counts = result.jobs.outcomes
    found = [f"{counts[one]} jobs {sentence}" for one, sentence in sentences.items() if counts.get(one)]
    twice = result.errors.get(Complaint.ENDED_TWICE, 0)
    found += [f"{twice} jobs were told to have ended twice"] if twice else []
    return [Finding(Verdict.FAIL, reason) for reason in found]


def _errors(result: SwarmResult, demands: Demands) -> list[Finding]:
    """Errors of all kinds against what was submitted."""
    wrong = sum(result.errors.values()) + result.jobs.outcomes.get(Outcome.UNANSWERED, 0)
    allowed = demands.most_errors * result.jobs.submitted
    if wrong <= allowed or not result.jobs.submitted:
        return []
    kinds = ", ".join(f"{count} x {kind}" for kind, count in list(result.errors.items())[:3])
    said = f" ({kinds})" if kinds else ""
    return [Finding(Verdict.FAIL, f"{wrong} errors and missing answers in {result.jobs.submitted} submissions{said}")]


def _limits(result: SwarmResult, demands: Demands) -> list[Finding]:
    found = []
    for figure, limit in demands.most_p99_ms.items():
        p99 = result.p99_ms(figure)
        if p99 is None:
            found.append(Finding(Verdict.INCONCLUSIVE, f"{figure} was never measured"))
        elif p99 > limit:
            found.append(Finding(Verdict.FAIL, f"{figure}: p99 is {p99:.1f} ms, above {limit:g} ms"))
    return found


def _evidence(result: SwarmResult, demands: Demands) -> list[Finding]:
    """Whether the load was there at all, and was the one that was meant."""
    jobs, planned = result.jobs, result.plan.jobs
    found = []
    if jobs.acknowledged < demands.least_jobs:
        found.append(f"only {jobs.acknowledged} jobs were acknowledged, at least {demands.least_jobs} are needed")
    if jobs.submitted < demands.least_share * planned:
        found.append(f"only {jobs.submitted} of {planned} planned jobs were submitted")
    lag = result.p99_ms(Figure.SENT)
    if lag is not None and lag > demands.most_lag_ms:
        found.append(f"the generator itself was late: p99 {lag:.0f} ms, at most {demands.most_lag_ms:g} ms")
    if unknown := jobs.outcomes.get(Outcome.UNKNOWN, 0):
        found.append(f"the server did not say what became of {unknown} acknowledged jobs")
    if not jobs.balanced:
        found.append("the books do not balance: the classes of jobs do not add up to the submissions")
    return [Finding(Verdict.INCONCLUSIVE, reason) for reason in found]
