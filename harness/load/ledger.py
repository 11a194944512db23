"""The ledger of a load: every job submitted, what its client saw of it, and in the end exactly one outcome for each.

Pure: it takes events with the moments at which they were seen; it answers latencies to record and complaints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from harness.load.latencies import Metric, Transport
from harness.load.population import Expected, Kind, PlannedJob
from harness.protocols import ATTEMPT_ENDS, ENDED_STATES, ENDS, LOG_KINDS, EventKind, JobEvent, JobState


class Outcome(StrEnum):
    """What became of a job. Every submission has exactly one of these when the ledger is closed."""

    REFUSED = "refused"
    """The server answered that it will not take it."""
    UNANSWERED = "unanswered"
    """Never acknowledged: no promise was made, and none is counted as broken."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    END_UNSEEN = "end_unseen"
    """It ended, as the server says when asked, but its client was never notified."""
    UNFINISHED = "unfinished"
    """Acknowledged, and the server still has it pending or running after the last wait."""
    LOST = "lost"
    """Acknowledged, and the server does not know it."""
    UNKNOWN = "unknown"
    """Acknowledged, and the server did not answer what became of it."""


NAMED: Final = 50
ACKNOWLEDGED: Final = frozenset(Outcome) - {Outcome.REFUSED, Outcome.UNANSWERED}
_ENDED: Final = {
    EventKind.COMPLETED: Outcome.COMPLETED,
    EventKind.FAILED: Outcome.FAILED,
    EventKind.CANCELLED: Outcome.CANCELLED,
}
_OPEN: Final = {
    JobState.PENDING: Outcome.UNFINISHED,
    JobState.CLAIMED: Outcome.UNFINISHED,
    JobState.UNKNOWN: Outcome.LOST,
}


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's totals: every submission has one outcome, every acknowledged one has one of `ACKNOWLEDGED`."""

    submitted: int
    acknowledged: int
    outcomes: dict[Outcome, int]
    named: dict[Outcome, list[str]]
    """Ids of the jobs in the outcomes that somebody will want to look at, at most `NAMED` each."""
    kinds: dict[Kind, int] = {}
    """How many jobs of each kind of the population were submitted."""
    unanswered_at: list[tuple[float, bool]] = []
    """Of the jobs without an answer: the intended moment (seconds since the epoch), and whether the client was sent
    away from the connection on which it would have come."""

    @property
    def ended(self) -> int:
        """Acknowledged jobs whose end their client saw."""
        return sum(self.outcomes.get(one, 0) for one in (Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED))

    @property
    def balanced(self) -> bool:
        """Whether the outcomes add up."""
        acknowledged = sum(self.outcomes.get(one, 0) for one in ACKNOWLEDGED)
        return sum(self.outcomes.values()) == self.submitted and acknowledged == self.acknowledged

    @classmethod
    def together(cls, parts: Sequence[Jobs]) -> Jobs:
        """The totals of several ledgers."""
        named: dict[Outcome, list[str]] = {}
        for outcome, ids in ((outcome, ids) for part in parts for outcome, ids in part.named.items()):
            named[outcome] = (named.get(outcome, []) + ids)[:NAMED]
        return cls(
            submitted=sum(part.submitted for part in parts),
            acknowledged=sum(part.acknowledged for part in parts),
            outcomes={outcome: sum(part.outcomes.get(outcome, 0) for part in parts) for outcome in Outcome},
            named=named,
            kinds=dict(sum((Counter(part.kinds) for part in parts), Counter())),
            unanswered_at=[moment for part in parts for moment in part.unanswered_at],
        )


class Latency(msgspec.Struct, frozen=True):
    """A value for the recorder: it belongs to the job's intended moment."""

    metric: Metric
    transport: Transport
    intended: float
    seconds: float
    job_id: str


class Complaint(StrEnum):
    """What a client noticed that should not happen; each is an error of the run, by its own name."""

    ENDED_TWICE = "ended twice"
    PROGRESS_WENT_BACK = "progress went back within an attempt"
    EVENT_AFTER_END = "progress or claim after the end"
    NOT_EXPECTED = "another end than the job's own script leads to"
    WRONG_RESULT = "a result that is not that of the job"
    CLOCKS = "an effect before its cause: the clocks disagree"


ATTEMPT_STARTS_OVER: Final = (ATTEMPT_ENDS - ENDS) | {EventKind.CLAIMED}
CLOCK_TOLERANCE_S: Final = 0.002
"""Stamps in whole milliseconds may lie up to one before the moment they stand for."""


class Entry:
    """One job in the ledger. Times are seconds since the epoch."""

    __slots__ = (
        "acknowledged",
        "expected",
        "failures",
        "intended",
        "job_id",
        "last",
        "progress",
        "seen",
        "sent_away",
        "transport",
        "unknown",
        "user",
    )

    def __init__(self, job_id: str, transport: Transport, user: str, intended: float, expected: Expected) -> None:
        self.job_id = job_id
        self.expected = expected
        self.failures = 0
        self.transport = transport
        self.user = user
        self.intended = intended
        self.acknowledged = False
        self.sent_away = False
        self.unknown = 0
        self.progress: float | None = None
        self.last: EventKind | None = None
        self.seen: set[EventKind] = set()


UNKNOWN_TIMES: Final = 2


class Ledger:
    """The jobs of one generator process."""

    def __init__(self) -> None:
        self._open: dict[str, Entry] = {}
        self._ended: dict[str, Outcome] = {}
        self._by_answer: set[str] = set()
        """Jobs whose cancellation was seen in what looks like an answer. On the legacy wire the notice looks the same,
        and one who comes back gets both: the second is no second end."""
        self._closed: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        self._named: dict[Outcome, list[str]] = {}
        """The ids of jobs with the outcomes that somebody will want to look at."""
        self._submitted = 0
        self._kinds: Counter[Kind] = Counter()
        self._unanswered_at: list[tuple[float, bool]] = []
        self._acknowledged = 0

    @property
    def outstanding(self) -> int:
        """Jobs submitted and neither ended nor refused, as far as their clients know.

        What was never answered, and is not known to the server, is not waited for.
        """
        return sum(entry.unknown < UNKNOWN_TIMES for entry in self._open.values())

    def submit(
        self, job: PlannedJob, transport: Transport, user: str, *, intended: float, sent: float, held: bool = False
    ) -> list[Latency]:
        """A job is about to be sent; `held` where its client had no connection at the intended moment."""
        job_id = job.submission.job_id or ""
        self._submitted += 1
        self._kinds[job.kind] += 1
        self._open[job_id] = Entry(job_id, transport, user, intended, job.expected)
        return [Latency(Metric.SENT, transport, intended, 0.0 if held else sent - intended, job_id)]

    def rename(self, job_id: str, given: str) -> bool:
        """The server gave the job another id than its client; false where another job has that one."""
        if given in self._open or given in self._ended:
            return False
        entry = self._open.pop(job_id)
        entry.job_id = given
        self._open[given] = entry
        return True

    def refuse(self, job_id: str) -> None:
        """The server said no to the submission."""
        entry = self._open.get(job_id)
        if entry is not None and not entry.acknowledged:
            del self._open[job_id]
            self._close(entry, Outcome.REFUSED)

    def accept(self, job_id: str, seen: float) -> list[Latency]:
        """The server acknowledged the submission."""
        entry = self._open.get(job_id)
        if entry is None or entry.acknowledged:
            return []
        entry.acknowledged = True
        self._acknowledged += 1
        return [Latency(Metric.ACCEPTED, entry.transport, entry.intended, seen - entry.intended, job_id)]

    def see(self, event: JobEvent, seen: float, *, answered: bool = False) -> tuple[list[Latency], list[Complaint]]:
        """A client was notified of one of its jobs, or learned it by what it took for the answer to its question."""
        if event.job_id in self._ended:
            return [], self._late(event)
        entry = self._open.get(event.job_id)
        if entry is None:
            return [], []
        if event.kind is EventKind.SUBMITTED or event.kind not in LOG_KINDS:
            return [], []
        if event.kind is EventKind.ATTEMPT_FAILED:
            event = self._perhaps_the_last(entry, event)
        latencies = self._latencies(entry, event, seen)
        complaints = self._complaints(entry, event, latencies)
        entry.last = event.kind
        entry.seen.add(event.kind)
        if event.kind in ENDS:
            # an end without an acknowledgement acknowledges: nobody ends a job that was not taken
            if not entry.acknowledged:
                latencies += self.accept(event.job_id, seen)
            del self._open[event.job_id]
            self._ended[event.job_id] = _ENDED[event.kind]
            if answered and event.kind is EventKind.CANCELLED:
                self._by_answer.add(event.job_id)
            self._close(entry, _ENDED[event.kind])
        return latencies, complaints

    def unknown(self, job_id: str) -> bool:
        """The server knows no such job. Whether to ask once more: its submission may have been on its way."""
        entry = self._open.get(job_id)
        if entry is None or entry.acknowledged:
            return False
        entry.unknown += 1
        return entry.unknown < UNKNOWN_TIMES

    def sent_away(self, user: str) -> None:
        """The user's connection was closed by a server that refuses it: what it has sent there gets no answer."""
        for entry in self._open.values():
            if entry.user == user and not entry.acknowledged:
                entry.sent_away = True

    def is_open(self, job_id: str) -> bool:
        """Whether the job's end has not been seen, nor its entry been closed."""
        return job_id in self._open

    def open_jobs(self, user: str) -> list[str]:
        """The jobs of that user whose end it has not seen, oldest first."""
        return [entry.job_id for entry in self._open.values() if entry.user == user]

    def in_flight(self, user: str) -> list[str]:
        """Those of them that the server has acknowledged."""
        return [entry.job_id for entry in self._open.values() if entry.user == user and entry.acknowledged]

    def audit(self, job_id: str, state: JobState | None) -> list[Complaint]:
        """Close a job whose end its client has not seen; `state` is the server's answer, None for none."""
        entry = self._open.pop(job_id, None)
        if entry is None:
            return []
        self._audited(entry, state)
        end = None if state is None else ENDED_STATES.get(state)
        return [Complaint.NOT_EXPECTED] if end and end not in entry.expected.ends else []

    def _audited(self, entry: Entry, state: JobState | None) -> None:
        if not entry.acknowledged and state in (None, JobState.UNKNOWN):
            self._close(entry, Outcome.UNANSWERED)
            return
        if not entry.acknowledged:
            self._acknowledged += 1
        if state is None:
            self._close(entry, Outcome.UNKNOWN)
        elif state is JobState.FAILED and entry.last is EventKind.ATTEMPT_FAILED:
            self._close(entry, Outcome.FAILED)
        else:
            self._close(entry, _OPEN.get(state, Outcome.END_UNSEEN))

    def jobs(self) -> Jobs:
        """The totals; jobs still open count as unanswered or unknown."""
        counts = dict(self._closed)
        for entry in self._open.values():
            counts[Outcome.UNKNOWN if entry.acknowledged else Outcome.UNANSWERED] += 1
        named = {outcome: ids[:NAMED] for outcome, ids in self._named.items()}
        return Jobs(
            submitted=self._submitted,
            acknowledged=self._acknowledged,
            outcomes=counts,
            named=named,
            kinds=dict(self._kinds),
            unanswered_at=[
                *self._unanswered_at,
                *((one.intended, one.sent_away) for one in self._open.values() if not one.acknowledged),
            ],
        )

    def _close(self, entry: Entry, outcome: Outcome) -> None:
        self._closed[outcome] += 1
        if outcome is Outcome.UNANSWERED:
            self._unanswered_at.append((entry.intended, entry.sent_away))
        if outcome not in (Outcome.COMPLETED, Outcome.REFUSED):
            self._named.setdefault(outcome, []).append(entry.job_id)

    def _perhaps_the_last(self, entry: Entry, event: JobEvent) -> JobEvent:
        """The hub has no word of its own for the last failure: it is known by the number of failed attempts."""
        entry.failures += 1
        if entry.transport is Transport.WEBSOCKET and entry.failures >= entry.expected.attempts:
            return msgspec.structs.replace(event, kind=EventKind.FAILED)
        return event

    def _late(self, event: JobEvent) -> list[Complaint]:
        if event.kind is EventKind.CANCELLED and event.job_id in self._by_answer:
            self._by_answer.remove(event.job_id)
            return []
        if event.kind in ENDS:
            return [Complaint.ENDED_TWICE]
        if event.kind in (EventKind.PROGRESS, EventKind.CLAIMED):
            return [Complaint.EVENT_AFTER_END]
        return []

    def _latencies(self, entry: Entry, event: JobEvent, seen: float) -> list[Latency]:
        found: list[tuple[Metric, float]] = []
        if event.kind is EventKind.CLAIMED and EventKind.CLAIMED not in entry.seen:
            found.append((Metric.CLAIM_SEEN, seen - entry.intended))
            if event.at is not None:
                found.append((Metric.CLAIMED, event.at - entry.intended))
        if event.kind is EventKind.PROGRESS and event.sent_at is not None:
            found.append((Metric.PROGRESS_SEEN, seen - event.sent_at))
        if event.kind in ENDS:
            found.append((Metric.ENDED, seen - entry.intended))
        return [Latency(metric, entry.transport, entry.intended, seconds, entry.job_id) for metric, seconds in found]

    def _complaints(self, entry: Entry, event: JobEvent, latencies: list[Latency]) -> list[Complaint]:
        found = []
        if any(latency.seconds < -CLOCK_TOLERANCE_S for latency in latencies):
            found.append(Complaint.CLOCKS)
        if event.kind in ATTEMPT_STARTS_OVER:
            entry.progress = None
        if event.kind is EventKind.PROGRESS and event.progress is not None and event.progress >= 0:
            if entry.progress is not None and event.progress < entry.progress:
                found.append(Complaint.PROGRESS_WENT_BACK)
            entry.progress = event.progress
        if event.kind in ENDS and event.kind not in entry.expected.ends:
            found.append(Complaint.NOT_EXPECTED)
        elif event.kind is EventKind.COMPLETED and entry.expected.result not in (None, event.result):
            found.append(Complaint.WRONG_RESULT)
        return found
