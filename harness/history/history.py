"""`History`: the events of a run, put in order and indexed the ways that the checkers ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from harness.history.absences import BROWN_OUTS, SHARED_FAULTS, WORKER_FAULTS, Absence, absences_of, nobody_reaping
from harness.history.events import HistoryEvent, Source
from harness.history.file import DEFAULT_BOUNDS, Bounds, read_events
from harness.protocols import ATTEMPT_ENDS, ENDED_STATES, LOG_KINDS, EventKind, JobState

HEARD_MS: Final = 5_000.0
"""How much later than a worker began a hub's monitor may hear that it has claimed."""


class LeaseInterval:
    """One worker's lease of one job, by the system's own account."""

    def __init__(self, claim: HistoryEvent) -> None:
        self.claim = claim
        self.events: list[HistoryEvent] = []
        self.end: HistoryEvent | None = None
        self.ended_by_claim: HistoryEvent | None = None
        """The next claim, where it came while this lease was still open."""

    @property
    def worker_id(self) -> str:
        """Who held it."""
        return self.claim.worker_id or ""

    @property
    def until_ms(self) -> float | None:
        """When it ended, or None."""
        last = self.end or self.ended_by_claim
        return last.at_ms if last else None

    def regained_by(self, claim: HistoryEvent) -> bool:
        """Whether that claim goes on with this attempt: a lapsed lease may be renewed until somebody else claims."""
        same = (self.worker_id, self.claim.attempt) == (claim.worker_id, claim.attempt)
        return same and self.end is not None and self.end.kind is EventKind.LEASE_EXPIRED


class WorkerRun:
    """One run of a job in a worker's process, by the worker's own journal."""

    def __init__(self, started: HistoryEvent) -> None:
        self.started = started
        self.finished: HistoryEvent | None = None
        self.poisoned = False
        """Whether the work itself killed the process."""

    @property
    def worker_id(self) -> str:
        """Who ran it."""
        return self.started.worker_id or ""

    @property
    def until_ms(self) -> float:
        """When it was over; without end where nobody wrote that it was."""
        return self.finished.at_ms if self.finished else float("inf")

    def takes(self, event: HistoryEvent) -> bool:
        """Whether a line of a journal belongs to this run."""
        mine = self.started
        return (event.pid, event.worker_id, event.attempt) == (mine.pid, mine.worker_id, mine.attempt)


class JobHistory:
    """Everything about one job, in order."""

    def __init__(self, job_id: str) -> None:
        self.id = job_id
        self.events: list[HistoryEvent] = []
        self.log: list[HistoryEvent] = []
        """The system's own account of it."""
        self.submit: HistoryEvent | None = None
        self.acked: HistoryEvent | None = None

    def take(self, event: HistoryEvent, log_source: Source) -> None:
        """Append the next event."""
        self.events.append(event)
        if event.source is log_source and event.kind in LOG_KINDS:
            self.log.append(event)
        elif event.kind is EventKind.SUBMIT:
            self.submit = self.submit or event
        elif event.kind is EventKind.ACCEPTED:
            self.acked = self.acked or event

    @cached_property
    def leases(self) -> list[LeaseInterval]:
        """Who held it, one after the other."""
        leases: list[LeaseInterval] = []
        for event in self.log:
            current = leases[-1] if leases and leases[-1].until_ms is None else None
            if event.kind is EventKind.CLAIMED:
                if current:
                    current.ended_by_claim = event
                leases.append(LeaseInterval(event))
            elif current:
                current.events.append(event)
                if event.kind in ATTEMPT_ENDS:
                    current.end = event
        return leases

    @cached_property
    def runs(self) -> list[WorkerRun]:
        """The runs of it that workers wrote down, by their beginning."""
        runs: list[WorkerRun] = []
        for event in self.events:
            if event.source is not Source.WORKER:
                continue
            if event.kind is EventKind.STARTED:
                runs.append(WorkerRun(event))
            run = next((one for one in reversed(runs) if one.takes(event)), None)
            if run and event.kind is EventKind.FINISHED:
                run.finished = event
            elif run and event.kind is EventKind.POISONED:
                run.poisoned = True
        return runs

    def attempt_under(self, lease: LeaseInterval) -> list[HistoryEvent]:
        """What happened in the attempt that ended under this lease, also before its worker regained it."""
        events = list(lease.events)
        for earlier in reversed(self.leases[: self.leases.index(lease)]):
            if not earlier.regained_by(lease.claim):
                break
            events = earlier.events + events
        return events

    def lease_of(self, run: WorkerRun) -> LeaseInterval | None:
        """The lease under which it was run: the claim of that worker with that attempt, or the last before the run.

        A lease that ran out and was claimed by nobody is regained by its worker's next word: a claim of the same
        attempt, behind the one that the run began under.
        """
        mine = [one for one in self.leases if one.worker_id == run.worker_id]
        if run.started.attempt:
            return next((one for one in mine if one.claim.attempt == run.started.attempt), None)
        return next((one for one in reversed(mine) if one.claim.at_ms <= run.started.at_ms + HEARD_MS), None)

    @cached_property
    def survey(self) -> HistoryEvent | None:
        """The last time somebody asked the server for its state."""
        return next((event for event in reversed(self.events) if event.kind is EventKind.STATUS), None)

    @cached_property
    def log_state(self) -> JobState | None:
        """The state that the system's own account leads to; None where it never names the job."""
        words = {kind: state for state, kind in ENDED_STATES.items()}
        for event in reversed(self.log):
            if event.kind in words:
                return words[event.kind]
            if event.kind in (EventKind.CLAIMED, EventKind.PROGRESS):
                return JobState.CLAIMED
            return JobState.PENDING
        return None

    @property
    def last_sign_ms(self) -> float:
        """When the system last did something with it (or took it on)."""
        if self.log:
            return self.log[-1].at_ms
        return (self.acked or self.events[0]).at_ms


def _without_repeats(events: Iterable[HistoryEvent]) -> Iterator[HistoryEvent]:
    """A log that two recorders read, or that one read again after it was cut off, counts once."""
    seen: set[str] = set()
    for event in events:
        if event.source is Source.REDIS and event.entry:
            if event.entry in seen:
                continue
            seen.add(event.entry)
        yield event


def _with_hub_log(events: Iterable[HistoryEvent]) -> list[HistoryEvent]:
    """A hub's history with what its monitors do not receive: `submitted`, and each job's service and priority.

    Both are taken from the clients, who know them: a job is pending from its acknowledgement on, or from the first
    thing that happened to it if that was seen earlier.
    """
    history = list(events)
    if any(event.source is Source.REDIS and event.kind in LOG_KINDS for event in history):
        return history
    about = {e.job_id: e for e in reversed(history) if e.kind in (EventKind.SUBMIT, EventKind.ACCEPTED) and e.service}
    first: dict[str | None, float] = {}
    for event in sorted(history, key=lambda event: event.at_ms):
        if event.kind is EventKind.ACCEPTED or (event.source is Source.MONITOR and event.kind in LOG_KINDS):
            first.setdefault(event.job_id, event.at_ms)
    acked = {event.job_id for event in history if event.kind is EventKind.ACCEPTED}
    has_log = any(event.source is Source.MONITOR for event in history)
    entered = [
        HistoryEvent(
            at_ms=at_ms,
            source=Source.MONITOR,
            kind=EventKind.SUBMITTED,
            by="derived",
            job_id=job_id,
            **_about(about.get(job_id)),
        )
        for job_id, at_ms in first.items()
        if has_log and job_id in acked
    ]
    completed = [
        msgspec.structs.replace(event, **_about(about.get(event.job_id))) if event.source is Source.MONITOR else event
        for event in history
    ]
    return entered + completed


def _about(submit: HistoryEvent | None) -> dict[str, Any]:
    return {"service": submit.service, "priority": submit.priority} if submit else {}


class History:
    """A whole run. Read only; every index is built once, when it is first asked for."""

    def __init__(self, events: Iterable[HistoryEvent]) -> None:
        # Sorting is stable: what one source saw within the same ms stays in its order.
        self.events = sorted(_with_hub_log(_without_repeats(events)), key=lambda event: event.at_ms)

    @classmethod
    def load(cls, *paths: Path, bounds: Bounds = DEFAULT_BOUNDS) -> Self:
        """Read one run, which may be spread over several files. Raises HistoryFileError."""
        return cls(event for path in paths for event in read_events(path, bounds))

    @cached_property
    def log_source(self) -> Source:
        """Where the system's own account comes from: the stack's stream, else the hub's broadcasts."""
        from_redis = any(e.source is Source.REDIS and e.kind in LOG_KINDS for e in self.events)
        return Source.REDIS if from_redis else Source.MONITOR

    @cached_property
    def log(self) -> list[HistoryEvent]:
        """The system's own account of all jobs, in its order."""
        return [e for e in self.events if e.source is self.log_source and e.kind in LOG_KINDS]

    @cached_property
    def log_gaps(self) -> int:
        """How often the recorder of the log learned that entries are missing."""
        return sum(1 for e in self.events if e.kind is EventKind.GAP and e.source is self.log_source)

    @cached_property
    def jobs(self) -> dict[str, JobHistory]:
        """Every job that anybody named."""
        jobs: dict[str, JobHistory] = {}
        for event in self.events:
            if event.job_id is not None:
                jobs.setdefault(event.job_id, JobHistory(event.job_id)).take(event, self.log_source)
        return jobs

    @cached_property
    def journaled(self) -> frozenset[str]:
        """The workers that write down what they run."""
        return frozenset(e.worker_id for e in self.events if e.kind is EventKind.SERVING and e.worker_id)

    @cached_property
    def acknowledged(self) -> list[JobHistory]:
        """The jobs that are owed, by the time of their acknowledgement."""
        owed = [(job.acked.at_ms, job) for job in self.jobs.values() if job.acked]
        return [job for _, job in sorted(owed, key=lambda pair: pair[0])]

    @cached_property
    def ended_ms(self) -> float:
        """When the run was over: the harness's word (`settled`), else the last event."""
        settled = [event.at_ms for event in self.events if event.kind is EventKind.SETTLED]
        return settled[-1] if settled else (self.events[-1].at_ms if self.events else 0.0)

    @cached_property
    def faults(self) -> list[HistoryEvent]:
        """What the harness broke and healed, in order."""
        return [
            event for event in self.events if event.source is Source.HARNESS and event.kind is not EventKind.SETTLED
        ]

    @cached_property
    def absences(self) -> list[Absence]:
        """When a server or Redis was away, by the harness's own hand."""
        return [away for away in absences_of(self.faults) if away.part not in BROWN_OUTS]

    def sound_for(self, length_ms: float, from_ms: float, to_ms: float) -> bool:
        """Whether in that time neither a server nor Redis was away for so long at a stretch."""
        for away in self.absences:  # by their beginnings
            if away.from_s * 1000 >= from_ms + length_ms:
                break
            from_ms = max(away.to_s * 1000, from_ms)
        return from_ms + length_ms <= to_ms

    def unattended_ms(self, from_ms: float, to_ms: float) -> float:
        """How much of that time nobody could reap, for Redis or the servers were away: what overlaps counts once."""
        total, until_ms = 0.0, from_ms
        for away in nobody_reaping(self.faults):  # by their beginnings
            begun_ms, over_ms = max(away.from_s * 1000, until_ms), min(away.to_s * 1000, to_ms)
            total += max(over_ms - begun_ms, 0.0)
            until_ms = max(over_ms, until_ms)
        return total

    def worker_faults(self, worker_id: str) -> list[HistoryEvent]:
        """What was done to this worker, or to all of them at once, and what healed it."""
        healing = {EventKind.CONTINUED, EventKind.UP, EventKind.REDIS_UP, EventKind.HEALED}
        return [
            event
            for event in self.faults
            if (event.kind in WORKER_FAULTS and event.worker_id == worker_id)
            or (event.kind in SHARED_FAULTS and event.target.startswith(("redis", "network")))
            or (event.kind in healing and event.worker_id in (worker_id, None))
        ]

    def was_sound(
        self, worker_id: str, from_ms: float, to_ms: float, *, besides: frozenset[EventKind] = frozenset()
    ) -> bool:
        """Whether nothing but these was broken that could keep this worker from renewing its lease in that time."""
        broken_since: dict[str, float] = {}
        for event in (one for one in self.worker_faults(worker_id) if one.kind not in besides):
            key = event.target or event.worker_id or ""
            if event.kind in WORKER_FAULTS | SHARED_FAULTS:
                if from_ms <= event.at_ms <= to_ms:
                    return False
                if event.kind is not EventKind.CUT:  # a cut is over at once
                    broken_since[key] = event.at_ms
            else:
                since = broken_since.pop(key, None)
                if since is not None and since <= to_ms and event.at_ms >= from_ms:
                    return False
        return not any(since <= to_ms for since in broken_since.values())
