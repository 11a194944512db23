"""What was broken comes back, and how long that takes."""

from __future__ import annotations

from collections import Counter
from typing import Final

from harness.history.check_result import CheckResult, Findings, Limits, Overdue
from harness.history.events import HistoryEvent
from harness.history.history import History, JobHistory, LeaseInterval
from harness.protocols import ATTEMPT_ENDS, ENDS, EventKind

MOVES: Final = ATTEMPT_ENDS | {EventKind.CLAIMED}


def check_recovery(history: History, limits: Limits) -> CheckResult:
    """A job whose worker was killed or stopped is back in the queue, or ended, within lease and slack.

    Figures: `back_in_queue` and `claimed_again` per job, `api_up` per kill of a server, `redis_up` per kill of Redis
    (until the first thing that happens afterwards).
    """
    found = Findings("recovery")
    back: list[float] = []
    again: list[float] = []
    for job, lease, fault in _interrupted(history):
        moved = next((e for e in job.log if e.at_ms > fault.at_ms and e.kind in MOVES), None)
        claimed = next((e for e in job.log if e.at_ms > fault.at_ms and e.kind in ENDS | {EventKind.CLAIMED}), None)
        until_ms = moved.at_ms if moved else history.ended_ms
        took_ms = until_ms - fault.at_ms
        # Workers look for lost leases too rarely to count on it: without servers, as without Redis, nobody reaps. The
        # queue cannot tell the one from the other, when nobody could renew, and gives each lease a whole term after it.
        allowed_ms = limits.lease_ms + limits.recovery_slack_ms + history.unattended_ms(fault.at_ms, until_ms)
        if took_ms > allowed_ms:
            word = "took" if moved else "had not come back after"
            sentence = (
                f"held by {lease.worker_id} when it was {fault.kind}; {word} {took_ms:.0f} ms of {allowed_ms:.0f}"
            )
            waited = Overdue(fault.at_ms, until_ms, allowed_ms)
            found.accuse(job.id, "late" if moved else "never", fault.at_ms, sentence, overdue=waited)
        found.examined += bool(moved) or took_ms > allowed_ms
        if moved:
            back.append(took_ms)
        if claimed:
            again.append(claimed.at_ms - fault.at_ms)
    figures = {"back_in_queue": tuple(back), "claimed_again": tuple(again), **_servers(history)}
    counts = Counter(str(fault.kind) for fault in history.faults)
    return found.result(counts=dict(counts), figures=figures)


def _interrupted(history: History) -> list[tuple[JobHistory, LeaseInterval, HistoryEvent]]:
    """The leases that were open when their worker was killed, terminated or stopped, with the fault that counts."""
    by_worker: dict[str, list[HistoryEvent]] = {}
    for fault in history.faults:
        if fault.worker_id:
            by_worker.setdefault(fault.worker_id, []).append(fault)
    found = []
    for job in history.jobs.values():
        for lease in job.leases:
            interruption = _fault_of(lease, by_worker.get(lease.worker_id, []))
            if interruption:
                found.append((job, lease, interruption))
    return found


def _fault_of(lease: LeaseInterval, faults: list[HistoryEvent]) -> HistoryEvent | None:
    """The first fault that nothing made good while the lease lasted; a process started anew does not."""
    until_ms = lease.until_ms if lease.until_ms is not None else float("inf")
    fault: HistoryEvent | None = None
    for event in faults:
        if not lease.claim.at_ms <= event.at_ms < until_ms:
            continue
        if event.kind in (EventKind.KILLED, EventKind.TERMINATED, EventKind.CRASHED):
            return fault or event
        if event.kind is EventKind.STOPPED:
            fault = event
        elif event.kind is EventKind.CONTINUED:
            fault = None
    return fault


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
