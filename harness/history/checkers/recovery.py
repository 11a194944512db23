"""What was broken comes back, and how long that takes."""

from __future__ import annotations

from harness.history.events import HistoryEvent
from harness.history.history import History, Hold, JobHistory
from harness.history.verdicts import CheckResult, Limits, Violation
from harness.protocols import ENDS, EventKind


def check_recovery(history: History, limits: Limits) -> CheckResult:
    """A job whose worker was killed or stopped is back in the line, or ended, within lease and slack.

    Figures: `back_in_line` and `claimed_again` per job, `api_up` per kill of a server, `redis_up` per kill of Redis
    (until the first thing that happens afterwards).
    """
    violations: list[Violation] = []
    back: list[float] = []
    again: list[float] = []
    for job, hold, fault in _interrupted(history):
        moved = next((e for e in job.log if e.at_ms > fault.at_ms and _moves(e)), None)
        claimed = next((e for e in job.log if e.at_ms > fault.at_ms and e.kind in ENDS | {EventKind.CLAIMED}), None)
        allowed_ms = limits.lease_ms + limits.recovery_slack_ms + _redis_down_ms(history, fault.at_ms)
        took_ms = (moved.at_ms if moved else history.ended_ms) - fault.at_ms
        if took_ms > allowed_ms:
            word = "took" if moved else "had not come back after"
            sentence = f"held by {hold.worker_id} when it was {fault.kind}; {word} {took_ms:.0f} ms of {allowed_ms:.0f}"
            form = "late" if moved else "never"
            violations.append(Violation(job_id=job.id, form=form, sentence=sentence, at_ms=fault.at_ms))
        if moved:
            back.append(took_ms)
        if claimed:
            again.append(claimed.at_ms - fault.at_ms)
    figures = {"back_in_line": tuple(back), "claimed_again": tuple(again), **_servers(history)}
    return CheckResult(
        name="recovery",
        examined=len(back) + sum(1 for violation in violations if violation.form == "never"),
        violations=tuple(violations),
        counts=_fault_counts(history),
        figures=figures,
    )


def _moves(event: HistoryEvent) -> bool:
    return event.kind in ENDS | {
        EventKind.LEASE_EXPIRED,
        EventKind.RELEASED,
        EventKind.ATTEMPT_FAILED,
        EventKind.CLAIMED,
    }


def _interrupted(history: History) -> list[tuple[JobHistory, Hold, HistoryEvent]]:
    """The holds that were open when their worker was killed, terminated or stopped, with the fault that counts."""
    by_worker: dict[str, list[HistoryEvent]] = {}
    for fault in history.faults:
        if fault.worker_id:
            by_worker.setdefault(fault.worker_id, []).append(fault)
    found = []
    for job in history.jobs.values():
        for hold in job.holds:
            interruption = _fault_of(hold, by_worker.get(hold.worker_id, []))
            if interruption:
                found.append((job, hold, interruption))
    return found


def _fault_of(hold: Hold, faults: list[HistoryEvent]) -> HistoryEvent | None:
    """The first fault that nothing made good while the hold lasted; a process started anew does not."""
    until_ms = hold.until_ms if hold.until_ms is not None else float("inf")
    fault: HistoryEvent | None = None
    for event in faults:
        if not hold.claim.at_ms <= event.at_ms < until_ms:
            continue
        if event.kind in (EventKind.KILLED, EventKind.TERMINATED):
            return fault or event
        if event.kind is EventKind.STOPPED:
            fault = event
        elif event.kind is EventKind.CONTINUED:
            fault = None
    return fault


def _redis_down_ms(history: History, since_ms: float) -> float:
    """How long Redis was away after that moment: nobody can do anything meanwhile."""
    total, down_ms = 0.0, None
    for event in history.faults:
        if event.at_ms < since_ms:
            continue
        if event.kind is EventKind.REDIS_DOWN:
            down_ms = event.at_ms
        elif event.kind is EventKind.REDIS_UP and down_ms is not None:
            total += event.at_ms - down_ms
            down_ms = None
    return total


def _servers(history: History) -> dict[str, tuple[float, ...]]:
    api: list[float] = []
    redis: list[float] = []
    for index, fault in enumerate(history.faults):
        later = history.faults[index + 1 :]
        if fault.kind in (EventKind.KILLED, EventKind.TERMINATED) and not fault.worker_id:
            up = next((e for e in later if e.kind is EventKind.UP and e.target == fault.target), None)
            api += [up.at_ms - fault.at_ms] if up else []
        elif fault.kind is EventKind.REDIS_DOWN:
            sign = next((event for event in history.log if event.at_ms > fault.at_ms), None)
            redis += [sign.at_ms - fault.at_ms] if sign else []
    return {"api_up": tuple(api), "redis_up": tuple(redis)}


def _fault_counts(history: History) -> dict[str, int]:
    counts: dict[str, int] = {}
    for fault in history.faults:
        counts[str(fault.kind)] = counts.get(str(fault.kind), 0) + 1
    return counts
