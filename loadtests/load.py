"""`Load`: the account of the users of one Locust process, who block until they are told; Locust shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import gevent
from gevent.event import Event

from harness.clients.sessions import Observe
from harness.load.account import Account
from harness.load.arrivals import Arrivals
from harness.load.latencies import Metric, Transport
from harness.load.ledger import Latency
from harness.load.population import PlannedJob
from harness.protocols import ENDED_STATES, ENDS, EventKind, JobEvent, JobState

AUDIT_S: Final = 10.0
"""How long a user that stops asks after its jobs."""
NOTIFY_S: Final = 5.0
"""How long the event of an end may take before it counts as never notified."""


class LocustEnvironment(Protocol):
    """What is used of `locust.env.Environment`."""

    events: Any
    parsed_options: Any


class Load(Account):
    """One process's share of a load. Users of one Locust environment find it by `Load.of`."""

    def __init__(self, environment: LocustEnvironment, *, token: str | None = None, **account: Any) -> None:
        super().__init__(**account)
        self.environment = environment
        self.token = token
        self._started = Event()
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
        """See `Account`; users that wait for it go on."""
        super().start(start_at, part, parts)
        self._started.set()

    @property
    def legacy_share(self) -> float:
        """Which share of the hybrid users is to speak the old protocol now."""
        return self.plan.legacy_share_at(max(0.0, self.second))

    def arrivals(self) -> Arrivals:
        """The plan's arrivals; blocks the user until the load has begun."""
        self._started.wait()
        return super().arrivals()

    # what the clients of the users report

    def intend(self, job: PlannedJob, transport: Transport, user: str, intended: float, *, held: bool = False) -> None:
        """See `Account`; the job may be one that its client cancels."""
        if job.expected.cancel_on is not None:
            self._to_cancel[job.submission.job_id or ""] = job.expected.cancel_on
        super().intend(job, transport, user, intended, held=held)

    def observer(self, transport: Transport, user: str, cancel: Callable[[str], None]) -> Observe:
        """Takes what a client asks for and sees, and lets it cancel the jobs that are to be cancelled."""

        def observe(event: JobEvent) -> None:
            self.observe(event, transport, user)
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

    def _answered(self, event: JobEvent, transport: Transport) -> None:
        """See `Account`; of a job that is asked after at the end, only the answer counts."""
        if event.job_id in self._audits:
            self._audits[event.job_id] = event.state
            self._answer.set()
        else:
            super()._answered(event, transport)

    def unknown(self, job_id: str) -> bool:
        """The server was asked, and knows no such job. Whether to ask once more; see `Ledger.unknown`."""
        return job_id not in self._audits and self.ledger.unknown(job_id)

    def audit(self, user: str, ask: Callable[[str], object]) -> None:
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

    def shown(self, transport: str, name: str, seconds: float, failure: str | None) -> None:
        """On Locust's page."""
        self.environment.events.request.fire(
            request_type=transport,
            name=name,
            response_time=max(0.0, seconds) * 1000,
            response_length=0,
            exception=None if failure is None else LoadError(failure),
            context={},
        )


class LoadError(Exception):
    """A failure that Locust shows under its text."""
