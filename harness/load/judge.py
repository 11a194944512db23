"""The one judge of a load: what must not happen, what the caller limits, and the least that has to be there.

A run with no requests, with too few or with too many errors never passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from harness.history import CheckResult
from harness.load.excuses import ANSWER_S, IN_BROWN_OUTS, LATE, Excuses, excused_errors, excused_moments, is_starved
from harness.load.latencies import Metric
from harness.load.ledger import Complaint, Outcome
from harness.load.results import FleetResult, LoadResult
from harness.load.spec import Demands
from harness.load.swarm import SwarmResult
from harness.results import Criterion, Evidence, Measurement, Statement, at_most, count, decided
from harness.targets import Side

BROKEN_PROMISES: Final = {
    Outcome.LOST: "jobs acknowledged and now unknown to the server",
    Outcome.END_UNSEEN: "jobs that ended and whose clients were never notified",
    Outcome.UNFINISHED: "jobs acknowledged and not ended when the last wait was over",
}

IN_SHORT: Final = {Outcome.LOST: "lost", Outcome.UNFINISHED: "not ended", Outcome.END_UNSEEN: "end never told"}
RULE: Final = "violations of the rule"
DIED: Final = "processes that ended on their own, other than workers"

NOTIFY_S: Final = 5.0
"""How long the users of a load wait, at its end, for the event of an end that happened."""
IN_TIME_PERCENT: Final = 99.0
"""Of the submissions: with fewer, the other latencies speak of the generator."""


def judge(loaded: LoadResult) -> Criterion:
    """The load as one criterion. The hub breaks some rules of the checkers by its known faults: they do not count."""
    result, demands, fleet, open_ = loaded.swarm, loaded.spec.demands, loaded.fleet, undecided(loaded)
    plan, jobs = result.plan, result.jobs
    counted = [check for check in _counted(loaded) if check.violations]
    ended = f"{jobs.ended} of {jobs.acknowledged} acknowledged jobs ended and their clients were notified."
    noise = f"The machine's load average was {loaded.surroundings.load_before:g} before it began."
    judged = Criterion.judged(
        Statement(
            id="load",
            title=f"{plan.rate:g} jobs/s on the {loaded.side}",
            sentence=f"With {sum(result.users.values())} users and up to {plan.rate:g} jobs a second, every "
            "acknowledged job ends once.",
            source="the load's own demands",
            measured=f"{plan.shape} for {plan.duration_s:g} s, in an open model, from the intended moments",
        ),
        measurements=[
            *_promises(loaded),
            _errors(loaded),
            *(_p99(result, metric, limit) for metric, limit in demands.most_p99_ms.items()),
            *_exits(fleet),
            count(DIED, len(loaded.died)),
            *(count(f"{RULE} {check.name}", len(check.violations)) for check in counted),
        ],
        evidence=[*_evidence(result, demands), *_alive(fleet), *decided(open_)],
        explanation=" ".join(
            [ended, *loaded.died[:1], *_examples(loaded, counted), *loaded.notes, noise, *_lost(loaded)]
        ),
    )
    return msgspec.structs.replace(judged, seconds=result.seconds)


def broken_promises(result: SwarmResult) -> dict[str, int]:
    """How many acknowledged jobs came to what must not happen, as their clients saw it, by what that is."""
    found = {what: result.jobs.outcomes.get(outcome, 0) for outcome, what in IN_SHORT.items()}
    twice, swapped = (result.errors.get(what, 0) for what in (Complaint.ENDED_TWICE, Complaint.WRONG_RESULT))
    return found | {"end told twice": twice, "with another job's result": swapped}


def in_trouble_percent(result: SwarmResult) -> float:
    """How many of the acknowledged jobs came to that."""
    return 100 * sum(broken_promises(result).values()) / max(1, result.jobs.acknowledged)


def _counted(loaded: LoadResult) -> Sequence[CheckResult]:
    return [] if loaded.side is Side.HUB else list(loaded.checks.values())


def undecided(loaded: LoadResult) -> int:
    """How much came too late, or had not come, while others had the machine: nobody knows whose doing that is."""
    checked = sum(len(check.undecided) for check in _counted(loaded))
    late = _starved_errors(loaded).total() + _starved_moments(loaded)
    borne = _wrong(loaded) + late <= _most_errors(loaded)
    return checked + sum(_unmet(loaded).values()) + (0 if borne else late)


def _unmet(loaded: LoadResult) -> dict[Outcome, int]:
    """Of the promises that are broken by a deadline alone, those whose deadline had not come by machine time."""
    result, outcomes = loaded.swarm, loaded.swarm.jobs.outcomes
    over = result.started_at + result.seconds
    drained = loaded.machine.left_s(result.started_at + result.plan.duration_s, over) >= loaded.spec.drain_s
    starved = {
        Outcome.UNFINISHED: loaded.lost and not drained,
        Outcome.END_UNSEEN: loaded.machine.explains(over - NOTIFY_S, over, NOTIFY_S),
    }
    return {outcome: outcomes.get(outcome, 0) for outcome, is_so in starved.items() if is_so}


def _promises(loaded: LoadResult) -> Iterator[Measurement]:
    """What must not happen to any acknowledged job."""
    result, unmet = loaded.swarm, _unmet(loaded)
    for outcome, what in BROKEN_PROMISES.items():
        yield count(what, result.jobs.outcomes.get(outcome, 0) - unmet.get(outcome, 0))
    yield count("jobs whose end was notified twice", result.errors.get(Complaint.ENDED_TWICE, 0))
    yield count("jobs with a result that is not theirs", result.errors.get(Complaint.WRONG_RESULT, 0))


def _errors(loaded: LoadResult) -> Measurement:
    return count("errors and missing answers", _wrong(loaded), _most_errors(loaded))


def _most_errors(loaded: LoadResult) -> int:
    return int(loaded.spec.demands.most_errors * loaded.swarm.jobs.submitted)


def _wrong(loaded: LoadResult) -> int:
    """Errors and missing answers, but for those of a kind and a moment that an absence of the run or others, who had
    the machine, explain.
    """
    jobs = loaded.swarm.jobs
    missing = jobs.outcomes.get(Outcome.UNANSWERED, 0) - _starved_moments(loaded)
    missing -= excused_moments(jobs.unanswered_at, loaded.absences, _excuses(loaded.spec.demands))
    return unexplained_errors(loaded).total() + missing


def explained_errors(loaded: LoadResult) -> Counter[str]:
    """The errors of a kind and a moment that an absence of the run explains, by kind."""
    return excused_errors(loaded.swarm.errors_at, loaded.absences, _excuses(loaded.spec.demands))


def unexplained_errors(loaded: LoadResult) -> Counter[str]:
    """All other errors that the machine does not explain either, by kind."""
    return Counter(loaded.swarm.errors) - explained_errors(loaded) - _starved_errors(loaded)


def _starved_errors(loaded: LoadResult) -> Counter[str]:
    """The errors of clients that had no answer, or too late a one, while others had the machine."""
    late = [one for one in loaded.swarm.errors_at if one[1].startswith(LATE) and is_starved(loaded.machine, one[0])]
    found = Counter[str]()
    for _, kind, number in late:
        found[kind] += number
    return found - excused_errors(late, loaded.absences, _excuses(loaded.spec.demands))


def _starved_moments(loaded: LoadResult) -> int:
    """How many submissions had no answer while others had the machine."""
    late = [one for one in loaded.swarm.jobs.unanswered_at if is_starved(loaded.machine, one[0] + ANSWER_S)]
    return len(late) - excused_moments(late, loaded.absences, _excuses(loaded.spec.demands))


def _lost(loaded: LoadResult) -> Iterator[str]:
    if loaded.lost:
        yield f"Others left {loaded.machine_percent:.0f} % of the machine to it."
    yield from [f"Undecided: {check.undecided[0].sentence}." for check in _counted(loaded) if check.undecided]


def _excuses(demands: Demands) -> Excuses:
    return {**IN_BROWN_OUTS, **demands.excused_errors}


def _p99(result: SwarmResult, metric: Metric, limit_ms: float) -> Measurement:
    """A limit of the caller's: where it is passed the load fails, however little was seen."""
    p99 = at_most(f"{metric}, p99", result.p99_ms(metric), limit_ms, "ms")
    return msgspec.structs.replace(p99, counterexample=True)


def _exits(fleet: FleetResult | None) -> Iterator[Measurement]:
    if fleet is not None:
        yield count("workers that exited on their own", sum(not one.ours and not one.asked for one in fleet.exits))


def _alive(fleet: FleetResult | None) -> Iterator[Evidence]:
    if fleet is not None:
        yield Evidence(what="workers alive at the end", had=fleet.alive, least=fleet.size)


def _evidence(result: SwarmResult, demands: Demands) -> Iterator[Evidence]:
    """Whether the load was there at all, and was the one that was meant."""
    jobs, planned = result.jobs, result.plan.jobs
    late_ms = f"sent at most {demands.most_lag_ms:g} ms late by the generator itself"
    sent = result.series(Metric.SENT).percentiles
    in_time = max((point.percent for point in sent if point.value <= demands.most_lag_ms), default=0.0)
    told = jobs.acknowledged - jobs.outcomes.get(Outcome.UNKNOWN, 0)
    yield Evidence(what="acknowledged jobs", had=jobs.acknowledged, least=demands.least_jobs)
    yield Evidence(what=f"of {planned} planned jobs submitted", had=jobs.submitted, least=demands.least_share * planned)
    yield Evidence(what=f"of the submissions {late_ms}", unit="%", had=in_time, least=IN_TIME_PERCENT)
    yield Evidence(what="acknowledged jobs whose state the server gave", had=told, least=jobs.acknowledged)
    yield Evidence(what="ledgers whose outcomes add up to the submissions", had=int(jobs.balanced), least=1)


def _examples(loaded: LoadResult, checks: Sequence[CheckResult]) -> Iterator[str]:
    """The most frequent errors, and the first violation of each rule."""
    errors = unexplained_errors(loaded)
    if errors:
        yield f"Errors: {', '.join(f'{count} x {kind}' for kind, count in errors.most_common(3))}."
    if excused := explained_errors(loaded).total():
        yield f"{excused} more came of what the load itself did."
    yield from (check.violations[0].sentence for check in checks if check.violations)
