"""The pending jobs: higher priority first, then first in, first out."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final, NamedTuple

from harness.history.check_result import CheckResult, Findings, Limits
from harness.history.events import HistoryEvent
from harness.history.history import History
from harness.protocols import ATTEMPT_ENDS, EventKind

LEAVES: Final = ATTEMPT_ENDS - {EventKind.RELEASED, EventKind.LEASE_EXPIRED} | {EventKind.CLAIMED}
"""After one of these a job is not pending, or pending with a delay."""


class Rank(NamedTuple):
    """A job's place among those of its service; the smallest is next."""

    minus_priority: int
    sequence: int
    job_id: str


class Pending:
    """The jobs that wait, by the log, and since when."""

    def __init__(self) -> None:
        self.ranks: dict[str, Rank] = {}
        self._waiting: dict[str, list[Rank]] = {}
        self._since: dict[str, float] = {}
        self._attempts: dict[str | None, int] = {}
        """The newest attempt at each job."""
        self._beside: set[str] = set()
        """Jobs that failed or were retried by hand: they wait out a delay that no event ends, so nobody's fault."""

    def take(self, event: HistoryEvent) -> None:
        """Follow one event of the log."""
        job_id = event.job_id or ""
        if event.kind is EventKind.SUBMITTED and job_id not in self.ranks:
            self.ranks[job_id] = Rank(-event.priority, len(self.ranks), job_id)
            self._enter(event)
        elif event.kind in (EventKind.RELEASED, EventKind.LEASE_EXPIRED):
            self._enter(event)
        elif event.kind in (EventKind.ATTEMPT_FAILED, EventKind.RETRIED):
            self._beside.add(job_id)
        if event.kind in LEAVES:
            self._leave(event)

    def ahead_of(self, claim: HistoryEvent, window_ms: float) -> list[Rank]:
        """Who of the same service ranks higher than the claimed job and has waited long enough to be meant."""
        rank = self.ranks.get(claim.job_id or "")
        line = self._waiting.get(claim.service, [])
        if rank is None:
            return []
        before = line[: bisect_left(line, rank)]
        return [other for other in before if self._since[other.job_id] <= claim.at_ms - window_ms]

    def regained(self, claim: HistoryEvent) -> bool:
        """Whether a worker goes on with an attempt whose lease had run out: it passes nobody over."""
        newest, self._attempts[claim.job_id] = self._attempts.get(claim.job_id), claim.attempt
        return bool(claim.attempt) and claim.attempt == newest

    def _enter(self, event: HistoryEvent) -> None:
        job_id = event.job_id or ""
        if job_id in self.ranks and job_id not in self._beside:
            self._leave(event)
            insort(self._waiting.setdefault(event.service, []), self.ranks[job_id])
            self._since[job_id] = event.at_ms

    def _leave(self, event: HistoryEvent) -> None:
        rank = self.ranks.get(event.job_id or "")
        line = self._waiting.get(event.service, [])
        if rank is not None:
            index = bisect_left(line, rank)
            if index < len(line) and line[index] == rank:
                del line[index]


def check_out_of_order(history: History, limits: Limits) -> CheckResult:
    """No claim passes over a job that ranks higher and waited all the while; and the queue is as clients made it."""
    found = Findings("out_of_order")
    pending = Pending()
    for event in history.log:
        if event.kind is EventKind.CLAIMED and not pending.regained(event):
            found.examined += 1
            if ahead := pending.ahead_of(event, limits.order_window_ms):
                _passed_over(event, ahead, found)
        pending.take(event)
    _entered_early(history, found)
    return found.result()


def _passed_over(claim: HistoryEvent, ahead: list[Rank], found: Findings) -> None:
    first = ahead[0]
    form = "lower priority first" if first.minus_priority < -claim.priority else "younger first"
    sentence = (
        f"claimed by {claim.worker_id} with priority {claim.priority} while {len(ahead)} that rank higher waited, "
        f"the first being {first.job_id} with priority {-first.minus_priority}"
    )
    found.accuse(claim.job_id, form, claim.at_ms, sentence, others=tuple(rank.job_id for rank in ahead[:5]))


def _entered_early(history: History, found: Findings) -> None:
    """What was acknowledged before another was even sent stands before it in the log."""
    earliest: HistoryEvent | None = None
    entered = [event for event in history.log if event.kind is EventKind.SUBMITTED]
    for event in reversed(entered):
        job = history.jobs[event.job_id or ""]
        if earliest and job.submit and earliest.at_ms < job.submit.at_ms:
            sentence = f"entered the queue before {earliest.job_id}, which was acknowledged before this one was sent"
            found.accuse(job.id, "entered early", event.at_ms, sentence, others=(earliest.job_id or "",))
        if job.acked and (earliest is None or job.acked.at_ms < earliest.at_ms):
            earliest = job.acked
