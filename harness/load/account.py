"""`Account`: what the clients of one process share: the plan, the ledger, the recorder, the history.

It waits for nothing and sends nothing: the users of Locust (`loadtests/load.py`) and the clients of any protocol
(`harness/load/spoken.py`) stand on it.
"""

from __future__ import annotations

import itertools
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from harness.history import Clock, HistoryWriter
from harness.history.events import client_event
from harness.load.arrivals import ENDLESS_S, Arrivals, Plan
from harness.load.latencies import Metric, Recorder, Transport
from harness.load.ledger import Latency, Ledger
from harness.load.population import DEFAULT_JOB, PlannedJob, Population, planned
from harness.load.swarm import ThroughputCounts
from harness.protocols import ENDED_STATES, EventKind, JobEvent, Submission


class Account:
    """One process's share of a load."""

    def __init__(
        self,
        *,
        plan: Plan | None = None,
        job: Submission = DEFAULT_JOB,
        population: Population | None = None,
        history: HistoryWriter | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.plan = plan or Plan(rate=1.0, duration_s=ENDLESS_S)
        self.job = job
        self.population = population
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
        self._numbers: Iterator[int] = itertools.count()
        """Of the jobs of this process in the population; together the processes have each number once."""
        self._jobs = self.plan.jobs if population and self.plan.duration_s < ENDLESS_S else 0

    def start(self, start_at: float, part: int = 0, parts: int = 1) -> None:
        """From that moment on, one of `parts` processes hands out its share of the plan."""
        self.start_at = start_at
        self._arrivals = Arrivals.of(self.plan, start_at=start_at, part=part, parts=parts)
        self._numbers = itertools.count(part, parts)

    @property
    def second(self) -> float:
        """Seconds since the load began; negative before."""
        return -1.0 if self.start_at is None else self.clock() - self.start_at

    def arrivals(self) -> Arrivals:
        """The plan's arrivals; there are some once the load has begun."""
        if self._arrivals is None:
            raise RuntimeError("the load was started without arrivals")
        return self._arrivals

    @property
    def finished(self) -> bool:
        """Whether everything was sent and everything has ended."""
        return self._arrivals is not None and self._arrivals.used_up and not self.ledger.outstanding

    def next_job(self) -> PlannedJob:
        """The next job to submit: drawn from the population, or the one job that all are."""
        job_id = f"load-{uuid.uuid4().hex}"
        if self.population is None:
            return planned(msgspec.structs.replace(self.job, job_id=job_id))
        return self.population.job(next(self._numbers), job_id, seed=self.plan.seed, jobs=self._jobs)

    def intend(self, job: PlannedJob, transport: Transport, user: str, intended: float, *, held: bool = False) -> None:
        """A job is about to be sent, which was intended for that moment; see `Ledger.submit`."""
        self._record(self.ledger.submit(job, transport, user, intended=intended, sent=self.clock(), held=held))

    def observe(self, event: JobEvent, transport: Transport, user: str) -> None:
        """What a client asked for or was told."""
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
        if event.state in ENDED_STATES and self.ledger.is_open(event.job_id):
            end = JobEvent(kind=ENDED_STATES[event.state], job_id=event.job_id, result=event.result)
            self._see(end, transport, answered=True)

    def error(self, transport: str, name: str, what: str) -> None:
        """Something went wrong that is a failure of this kind in the run's result."""
        kind = _without_ids(what)
        self.errors[kind] += 1
        self.errors_at[int(self.clock()), kind] += 1
        self.shown(transport, name, 0.0, kind)

    def shown(self, transport: str, name: str, seconds: float, failure: str | None) -> None:
        """A latency, or a failure of that kind; for who shows them as they come."""

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
            self.shown(latency.transport, latency.metric, latency.seconds, None)


_IDS: Final = re.compile(r"load-[0-9a-f]{8,}|[0-9a-f]{8}-[0-9a-f-]{27}|\b\d{4,}\b")


def _without_ids(text: str) -> str:
    """The text with what differs from job to job taken out, so that errors of one kind count together."""
    return _IDS.sub("<id>", text)[:200]
