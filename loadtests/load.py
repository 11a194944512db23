"""`Load`: what the users of one Locust process share: the plan's arrivals, the ledger, the recorder, the history."""

from __future__ import annotations

import itertools
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import gevent
import msgspec
from gevent.event import Event

from harness.clients.sessions import Observe
from harness.history import Clock, HistoryWriter
from harness.history.events import client_event
from harness.load.arrivals import ENDLESS_S, Arrivals, Plan
from harness.load.latencies import Metric, Recorder, Transport
from harness.load.ledger import Latency, Ledger
from harness.load.population import DEFAULT_JOB, PlannedJob, Population, planned
from harness.load.swarm import ThroughputCounts
from harness.protocols import ENDED_STATES, ENDS, EventKind, JobEvent, JobState, Submission

AUDIT_S: Final = 10.0
"""How long a user that stops asks after its jobs."""
NOTIFY_S: Final = 5.0
"""How long the event of an end may take before it counts as never notified."""


class LocustEnvironment(Protocol):
    """What is used of `locust.env.Environment`."""

    events: Any
    parsed_options: Any


class Load:
    """One process's share of a load. Users of one Locust environment find it by `Load.of`."""

    def __init__(
        self,
        environment: LocustEnvironment,
        *,
        plan: Plan | None = None,
        job: Submission = DEFAULT_JOB,
        population: Population | None = None,
        token: str | None = None,
        history: HistoryWriter | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.environment = environment
        self.plan = plan or Plan(rate=1.0, duration_s=ENDLESS_S)
        self.job = job
        self.population = population
        self.token = token
        self.history = history
        self.clock = clock or Clock().seconds
        self.recorder = Recorder(window_s=max(1.0, min(self.plan.duration_s, 86_400) / 240))
        self.throughput = ThroughputCounts(self.recorder.window_s)
        self.ledger = Ledger()
        self.errors: Counter[str] = Counter()
        self.errors_at: Counter[tuple[int, str]] = Counter()
        """The same, by the second in which they were seen."""
        self.watched: Counter[str] = Counter()
        """Ends of jobs that each monitor has seen."""
        self.start_at: float | None = None
        self._arrivals: Arrivals | None = None
        self._started = Event()
        self._numbers: Iterator[int] = itertools.count()
        """Of the jobs of this process in the population; together the processes have each number once."""
        self._jobs = self.plan.jobs if population and self.plan.duration_s < ENDLESS_S else 0
        self._to_cancel: dict[str, EventKind] = {}
        """Jobs that their client cancels, and upon which event."""
        self._cancelling: set[str] = set()
        """Jobs whose cancellation was asked for; it is asked for again where a connection took it away."""
        self._audits: dict[str, JobState | None] = {}
        """Jobs that users ask after at their end, and what was answered."""
        self._answer = Event()

    @classmethod
    def of(cls, environment: Any) -> Load:
        """The environment's load; without `locust_plugin.install` a plain one that starts when the first user does."""
        load: Load | None = getattr(environment, "hubgate_load", None)
        if load is None:
            load = environment.hubgate_load = cls(environment)
            load.start(load.clock())
        return load

    def start(self, start_at: float, part: int = 0, parts: int = 1) -> None:
        """From that moment on, one of `parts` processes hands out its share of the plan."""
        self.start_at = start_at
        self._arrivals = Arrivals.of(self.plan, start_at=start_at, part=part, parts=parts)
        self._numbers = itertools.count(part, parts)
        self._started.set()

    @property
    def second(self) -> float:
        """Seconds since the load began; negative before."""
        return -1.0 if self.start_at is None else self.clock() - self.start_at

    @property
    def legacy_share(self) -> float:
        """Which share of the hybrid users is to speak the old protocol now."""
        return self.plan.legacy_share_at(max(0.0, self.second))

    def arrivals(self) -> Arrivals:
        """The plan's arrivals; blocks the user until the load has begun."""
        self._started.wait()
        if self._arrivals is None:
            raise RuntimeError("the load was started without arrivals")
        return self._arrivals

    @property
    def finished(self) -> bool:
        """Whether everything was sent and everything has ended."""
        return self._arrivals is not None and self._arrivals.used_up and not self.ledger.outstanding

    # what the clients of the users report

    def next_job(self) -> PlannedJob:
        """The next job to submit: drawn from the population, or the one job that all are."""
        job_id = f"load-{uuid.uuid4().hex}"
        if self.population is None:
            return planned(msgspec.structs.replace(self.job, job_id=job_id))
        return self.population.job(next(self._numbers), job_id, seed=self.plan.seed, jobs=self._jobs)

    def intend(self, job: PlannedJob, transport: Transport, user: str, intended: float, *, held: bool = False) -> None:
        """A job is about to be sent, which was intended for that moment; see `Ledger.submit`."""
        if job.expected.cancel_on is not None:
            self._to_cancel[job.submission.job_id or ""] = job.expected.cancel_on
        self._record(self.ledger.submit(job, transport, user, intended=intended, sent=self.clock(), held=held))

    def observer(self, transport: Transport, user: str, cancel: Callable[[str], None]) -> Observe:
        """Takes what a client asks for and sees, and lets it cancel the jobs that are to be cancelled."""

        def observe(event: JobEvent) -> None:
            self._observe(event, transport, user)
            if self._is_to_be_cancelled(event):
                self._cancelling.add(event.job_id)
                gevent.spawn(cancel, event.job_id)

        return observe

    def _is_to_be_cancelled(self, event: JobEvent) -> bool:
        """Upon its event; or where it turns out, on a new connection, that the job has missed it or it the job."""
        upon = self._to_cancel.get(event.job_id)
        if event.kind is EventKind.STATUS:
            missed = upon is EventKind.ACCEPTED or event.job_id in self._cancelling
            return missed and event.job_id not in self._audits and event.state not in ENDED_STATES
        return upon is event.kind and event.job_id not in self._cancelling

    def _observe(self, event: JobEvent, transport: Transport, user: str) -> None:
        now = self.clock()
        if self.history and (seen := client_event(event, user, now * 1000)):
            self.history.add(seen)
        match event.kind:
            case EventKind.ACCEPTED:
                self._record(self.ledger.accept(event.job_id, now))
            case EventKind.REFUSED:
                self.ledger.refuse(event.job_id)
                self.error(transport, Metric.ACCEPTED, event.error or "refused")
            case EventKind.GAP:
                self.error(transport, "stream", f"gap: {event.message}")
            case EventKind.STATUS:
                self._answered(event, transport)
            case _:
                self._see(event, transport)

    def _answered(self, event: JobEvent, transport: Transport) -> None:
        """How a job stands. An end that a client missed with its connection is seen by that.

        An answer is not a delivery; an end that was delivered meanwhile is not a second one.
        """
        if event.job_id in self._audits:
            self._audits[event.job_id] = event.state
            self._answer.set()
        elif event.state in ENDED_STATES and self.ledger.is_open(event.job_id):
            end = JobEvent(kind=ENDED_STATES[event.state], job_id=event.job_id, result=event.result)
            self._see(end, transport, answered=True)

    def audit(self, user: str, ask: Callable[[str], None]) -> None:
        """Ask what became of every job of a user whose end it has not seen, and close them in the ledger."""
        audits: dict[str, JobState | None] = dict.fromkeys(self.ledger.open_jobs(user))
        self._audits |= audits
        with gevent.Timeout(AUDIT_S, exception=False):
            for job_id in audits:
                ask(job_id)
            while any(self._audits[job_id] is None for job_id in audits):
                self._answer.clear()
                self._answer.wait()
        ended = [job_id for job_id in audits if self._audits[job_id] in ENDED_STATES]
        with gevent.Timeout(NOTIFY_S, exception=False):  # the event of an end may still be on its way
            while any(self.ledger.is_open(job_id) for job_id in ended):
                gevent.sleep(0.05)
        for job_id in audits:
            for complaint in self.ledger.audit(job_id, self._audits.pop(job_id)):
                self.error("user", Metric.ENDED, complaint)

    def monitor(self, transport: Transport, name: str) -> Observe:
        """Takes what a monitor sees of any job."""

        def observe(event: JobEvent) -> None:
            now = self.clock()
            if event.kind is EventKind.PROGRESS and event.sent_at is not None:
                late = now - event.sent_at
                self._record([Latency(Metric.PROGRESS_WATCHED, transport, event.sent_at, late, event.job_id)])
            elif event.kind is EventKind.GAP:
                self.error(transport, "monitor", f"gap: {event.message}")
            elif event.kind in ENDS:
                self.watched[name] += 1

        return observe

    def error(self, transport: str, name: str, what: str) -> None:
        """Something went wrong that is a failure of this kind in the run's result and on Locust's page."""
        kind = _without_ids(what)
        self.errors[kind] += 1
        self.errors_at[int(self.clock()), kind] += 1
        self._fire(transport, name, 0.0, LoadError(kind))

    def _see(self, event: JobEvent, transport: Transport, *, answered: bool = False) -> None:
        latencies, complaints = self.ledger.see(event, self.clock(), answered=answered)
        self._record(latencies)
        for complaint in complaints:
            self.error(transport, Metric.ENDED, complaint)

    def _record(self, latencies: list[Latency]) -> None:
        for latency in latencies:
            self.throughput.count(latency.metric, self.second)
            self.recorder.record(
                latency.metric,
                latency.transport,
                second=max(0.0, latency.intended - (self.start_at or latency.intended)),
                latency_s=latency.seconds,
                job_id=latency.job_id,
            )
            self._fire(latency.transport, latency.metric, latency.seconds, None)

    def _fire(self, transport: str, name: str, seconds: float, exception: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type=transport,
            name=name,
            response_time=max(0.0, seconds) * 1000,
            response_length=0,
            exception=exception,
            context={},
        )


class LoadError(Exception):
    """A failure that Locust shows under its text."""


_IDS = re.compile(r"load-[0-9a-f]{8,}|[0-9a-f]{8}-[0-9a-f-]{27}|\b\d{4,}\b")


def _without_ids(text: str) -> str:
    """The text with what differs from job to job taken out, so that errors of one kind count together."""
    return _IDS.sub("<id>", text)[:200]
