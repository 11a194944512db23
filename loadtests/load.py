"""`Load`: what the users of one Locust process share: the plan's tickets, the ledger, the recorder, the journal."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Final, Protocol

import gevent
from gevent.event import Event

from harness.load.arrivals import Tickets
from harness.load.clock import Clock, EpochClock
from harness.load.history_observer import Journal
from harness.load.jobs import DEFAULT_JOB, JobSpec
from harness.load.latencies import Figure, Recorder, Wire
from harness.load.ledger import Latency, Ledger
from harness.load.plan import ENDLESS_S, Plan
from harness.load.throughput import FlowCounts, Step
from harness.protocols import ENDS, EventKind, JobEvent, JobStatus

NEWS_S: Final = 5.0
"""How long the news of an end may take before it counts as never told."""
_STEPS: Final = {
    Figure.SENT: Step.SUBMITTED,
    Figure.ACCEPTED: Step.ACCEPTED,
    Figure.CLAIM_SEEN: Step.CLAIMED,
    Figure.ENDED: Step.ENDED,
}


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
        job: JobSpec = DEFAULT_JOB,
        token: str | None = None,
        journal: Journal | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.environment = environment
        self.plan = plan or Plan(rate=1.0, duration_s=ENDLESS_S)
        self.job = job
        self.token = token
        self.journal = journal
        self.clock = clock or EpochClock()
        self.recorder = Recorder(window_s=max(1.0, min(self.plan.duration_s, 86_400) / 240))
        self.flow = FlowCounts(self.recorder.window_s)
        self.ledger = Ledger(succeed=job.succeeds)
        self.errors: Counter[str] = Counter()
        self.watched: Counter[str] = Counter()
        """Ends of jobs that each monitor has seen."""
        self.start_at: float | None = None
        self._tickets: Tickets | None = None
        self._started = Event()

    @classmethod
    def of(cls, environment: Any) -> Load:
        """The environment's load; without `swarm.install` a plain one that starts when the first user does."""
        load: Load | None = getattr(environment, "hubgate_load", None)
        if load is None:
            load = environment.hubgate_load = cls(environment)
            load.start(load.clock())
        return load

    def start(self, start_at: float, part: int = 0, parts: int = 1) -> None:
        """From that moment on, one of `parts` processes hands out its share of the plan."""
        self.start_at = start_at
        self._tickets = Tickets.of(self.plan, start_at=start_at, part=part, parts=parts)
        self._started.set()

    @property
    def second(self) -> float:
        """Seconds since the load began; negative before."""
        return -1.0 if self.start_at is None else self.clock() - self.start_at

    @property
    def legacy_share(self) -> float:
        """Which share of the hybrid users is to speak the old protocol now."""
        return self.plan.legacy_share_at(max(0.0, self.second))

    def tickets(self) -> Tickets:
        """The plan's tickets; blocks the user until the load has begun."""
        self._started.wait()
        if self._tickets is None:
            raise RuntimeError("the load was started without tickets")
        return self._tickets

    @property
    def finished(self) -> bool:
        """Whether everything was sent and everything has ended."""
        return self._tickets is not None and self._tickets.used_up and not self.ledger.outstanding

    # what the clients of the users report

    def submitting(self, job_id: str, wire: Wire, user: str, intended: float) -> None:
        """A job is about to be sent."""
        now = self.clock()
        self._record(self.ledger.submit(job_id, wire, user, intended=intended, sent=now))
        if self.journal:
            self.journal.submit(now, user, job_id, self.job.service, self.job.priority, self.job.payload)

    def accepted(self, job_id: str, user: str) -> None:
        """The server acknowledged a submission."""
        now = self.clock()
        latencies = self.ledger.accept(job_id, now)
        self._record(latencies)
        if latencies and self.journal:
            self.journal.acked(now, user, job_id)

    def subscribed(self, job_id: str, user: str, *, whole: bool) -> None:
        """A client is owed the job's updates from here on, or all of them (`whole`)."""
        if self.journal:
            self.journal.subscribed(self.clock(), user, job_id, whole=whole)

    def unsubscribed(self, job_id: str, user: str) -> None:
        """A client has lost the connection over which it was told of the job."""
        if self.journal:
            self.journal.unsubscribed(self.clock(), user, job_id)

    def refused(self, job_id: str, user: str, wire: Wire, why: str) -> None:
        """The server answered a submission with an error."""
        self.ledger.refuse(job_id)
        self.error(wire, Figure.ACCEPTED, why)
        if self.journal:
            self.journal.refused(self.clock(), user, job_id, why)

    def heard(self, news: JobEvent, wire: Wire, user: str) -> None:
        """A client was told something of a job."""
        now = self.clock()
        latencies, complaints = self.ledger.hear(news, now)
        self._record(latencies)
        for complaint in complaints:
            self.error(wire, Figure.ENDED, f"{complaint}")
        if self.journal:
            self.journal.delivered(now, user, news)

    def answered(self, status: JobStatus, wire: Wire, user: str) -> None:
        """A client that had lost its connection asked where its job stands: an end that it missed is seen by that.

        An answer is not a delivery; an end that was delivered meanwhile is not a second one.
        """
        if self.journal:
            self.journal.status(self.clock(), user, status.job_id, status.state)
        if status.end is not None and self.ledger.is_open(status.job_id):
            end = JobEvent(kind=status.end, job_id=status.job_id)
            latencies, complaints = self.ledger.hear(end, self.clock())
            self._record(latencies)
            for complaint in complaints:
                self.error(wire, Figure.ENDED, f"{complaint}")

    def wait_for_ends(self, job_ids: list[str]) -> None:
        """Before the books are closed: the news of an end that the server already knows may still be on its way."""
        with gevent.Timeout(NEWS_S, exception=False):
            while any(self.ledger.is_open(job_id) for job_id in job_ids):
                gevent.sleep(0.05)

    def audited(self, job_id: str, user: str, said: str | None) -> None:
        """The server was asked what became of a job whose end its client has not seen."""
        self.ledger.audit(job_id, said)
        if said is not None and self.journal:
            self.journal.status(self.clock(), user, job_id, said)

    def watching(self, news: JobEvent, wire: Wire, monitor: str) -> None:
        """A monitor was told something of any job."""
        now = self.clock()
        if news.kind is EventKind.PROGRESS and news.sent_at is not None:
            self._record([Latency(Figure.PROGRESS_WATCHED, wire, news.sent_at, now - news.sent_at)])
        elif news.kind in ENDS:
            self.watched[monitor] += 1

    def error(self, wire: Wire, name: str, what: str) -> None:
        """Something went wrong that is a failure of this kind in the run's result and on Locust's page."""
        kind = _without_ids(what)
        self.errors[kind] += 1
        self._fire(wire, name, 0.0, LoadError(kind))

    def _record(self, latencies: list[Latency]) -> None:
        for latency in latencies:
            if (step := _STEPS.get(latency.figure)) is not None:
                self.flow.count(step, self.second)
            second = latency.intended - (self.start_at or latency.intended)
            self.recorder.record(latency.figure, latency.wire, second=max(0.0, second), latency_s=latency.seconds)
            self._fire(latency.wire, latency.figure, latency.seconds, None)

    def _fire(self, wire: Wire, name: str, seconds: float, exception: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type=str(wire),
            name=str(name),
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
