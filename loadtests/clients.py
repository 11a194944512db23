"""The clients of the users that submit: gevent shells of the harness's sessions; what they see goes to the load."""

from __future__ import annotations

import itertools
from typing import Any, Final, Protocol

import gevent
from gevent.pool import Group

from harness.clients.sessions import HubSession, StackSession
from harness.load.excuses import CANNOT_SEND, NO_WORD, SENT_AWAY_IN_FLIGHT
from harness.load.latencies import Metric, Transport
from harness.load.population import PlannedJob
from harness.protocols import EventKind, JobEvent, JobState, hub, stack
from harness.protocols.hub import Frame
from loadtests.load import Load
from loadtests.transport import NO_ANSWER, OK, ConnectionFailed, HttpApi, Socket, sent_away

RECONNECT_S: Final = (0.1, 0.2, 0.5, 1.0)
"""Pauses before the attempts to connect again; the last one is repeated."""
BAD_ITEM: Final = {"service_required": ["no", "name"], "payload": "no object"}
BAD_REQUEST: Final = 400
GONE: Final = 410
CLIENT_HEADER: Final = "Hubgate-Client"
ASK_AGAIN_S: Final = 1.0
POLL_S: Final = 0.25
SERVER_ERROR: Final = 500
GOLDEN: Final = 0.6180339887498949
"""Its multiples, modulo 1, spread any number of clients evenly between 0 and 1."""
_places = itertools.count()


class JobClient(Protocol):
    """One client's way to submit jobs and be notified of them."""

    def open(self) -> None:
        """Connect. Raises ConnectionFailed."""

    def submit(self, job: PlannedJob, intended: float) -> None:
        """Send a job, at once or when the connection is back."""

    def audit(self) -> None:
        """Ask the server what became of every job whose end was not seen."""

    def close(self) -> None:
        """Disconnect."""


class LegacyClient:
    """Submits over its one connection, reconnects under its id when that is lost, and asks for what it missed."""

    def __init__(self, load: Load, host: str, name: str) -> None:
        self._load = load
        self._name = name
        self._told = load.observer(Transport.WEBSOCKET, name, self._cancel)
        self._session = HubSession(name, observe=self._observe, clock=load.clock)
        self._url = hub.websocket_url(host, self._session.path, load.token)
        self._socket: Socket | None = None
        self._backlog: list[tuple[PlannedJob, float]] = []
        """Jobs whose moment came while there was no connection."""
        self._unsent: list[tuple[str, str]] = []
        """What could not be sent, each with why; the connection's end tells whether it was closed for a brown-out."""
        self._missed: set[str] = set()
        """Jobs of which something may have been told while it had no connection."""
        self._closed = False
        self.refused = False
        """Whether the server does not serve the hub's protocols to it now."""

    def open(self) -> None:
        """See `JobClient`."""
        self._closed = False
        try:
            self._socket = Socket(self._url, on_data=self._session.receive, on_lost=self._on_lost)
        except ConnectionFailed as error:
            self.refused = error.code == hub.GONE_CODE
            raise
        self.refused = False

    def submit(self, job: PlannedJob, intended: float) -> None:
        """See `JobClient`."""
        if self._socket is None:
            self._backlog.append((job, intended))
        else:
            self._submit(job, intended)

    def _submit(self, job: PlannedJob, intended: float, *, held: bool = False) -> None:
        self._load.intend(job, Transport.WEBSOCKET, self._name, intended, held=held)
        self._send(self._session.submit(job.submission))

    def _cancel(self, job_id: str) -> None:
        """Without a connection, the answer on the next one lets it be asked for again."""
        if self._socket:
            self._send(self._session.cancel(job_id))

    def _observe(self, event: JobEvent) -> None:
        """An end may have to be asked for: a failure that may be the last one, as not all were told, has the same words
        as any other; and what the server does not know may have been on its way."""
        self._told(event)
        if event.kind is EventKind.STATUS and event.state is JobState.UNKNOWN and self._load.unknown(event.job_id):
            gevent.spawn_later(ASK_AGAIN_S, self._ask, event.job_id)
        elif event.kind is EventKind.ATTEMPT_FAILED and event.job_id in self._missed:
            gevent.spawn(self._ask, event.job_id)

    def _ask(self, job_id: str) -> None:
        if self._socket and self._load.ledger.is_open(job_id):
            self._send(self._session.ask(job_id))

    @property
    def idle(self) -> bool:
        """Whether no job of this client is under way."""
        return not self._load.ledger.open_jobs(self._name)

    def audit(self) -> None:
        """See `JobClient`."""
        self._load.audit(self._name, lambda job_id: self._send(self._session.ask(job_id)))

    def close(self) -> None:
        """See `JobClient`."""
        self._closed = True
        if self._socket:
            self._socket.close()
            self._socket = None
        self._tell_unsent(None)

    def _send(self, frame: Frame) -> None:
        """Send, or count an error: a job that was not sent stays in the ledger, as one without an answer."""
        if self._socket is None:
            self._load.error(Transport.WEBSOCKET, str(frame["type"]), "not connected")
            return
        try:
            self._socket.send(frame)
        except ConnectionFailed as error:
            self._unsent.append((str(frame["type"]), str(error)))

    def _complain(self, error: ConnectionFailed) -> None:
        """Of its connection, with what it was told where it is refused, and whether it had jobs in flight."""
        away = sent_away(error, self._load.ledger.in_flight(self._name))
        if away:
            self._load.ledger.sent_away(self._name)
        self._load.error(Transport.WEBSOCKET, "connection", away or str(error))
        self._tell_unsent(away)

    def _tell_unsent(self, away: str | None) -> None:
        unsent, self._unsent = self._unsent, []
        for what, why in unsent:
            self._load.error(Transport.WEBSOCKET, what, f"{CANNOT_SEND}{away}" if away else why)

    def _on_lost(self, error: ConnectionFailed) -> None:
        """Connect again and ask for what is still awaited (in the reader's greenlet, which has nothing else to do)."""
        self._socket = None
        if self._closed:
            return
        self.refused = error.code == hub.GONE_CODE
        self._session.disconnected()
        self._missed.update(self._load.ledger.open_jobs(self._name))
        self._complain(error)
        attempt = 0
        while self._socket is None:
            gevent.sleep(RECONNECT_S[min(attempt, len(RECONNECT_S) - 1)])
            attempt += 1
            if self._closed:
                return
            try:
                self.open()
            except ConnectionFailed as failure:
                self._complain(failure)
        for frame in self._session.reconnected():
            self._send(frame)
        waiting, self._backlog = self._backlog, []
        for job, intended in waiting:
            self._submit(job, intended, held=True)


class TwinClient(LegacyClient):
    """Two connections under one id, as of a page that is open in two tabs: the other one only listens."""

    def __init__(self, load: Load, host: str, name: str) -> None:
        super().__init__(load, host, name)
        self._other: Socket | None = None

    def open(self) -> None:
        """See `JobClient`; a second connection that is lost is opened again with the first."""
        super().open()
        self._close_other()
        self._other = Socket(self._url, on_data=_ignore, on_lost=_ignore)

    def close(self) -> None:
        """See `JobClient`."""
        super().close()
        self._close_other()

    def _close_other(self) -> None:
        if self._other:
            self._other.close()
            self._other = None


def _ignore(_: object) -> None:
    """What a connection gets that nobody looks at."""


class ModernClient:
    """Posts jobs and follows each by its own stream of events, as an EventSource does."""

    def __init__(self, load: Load, host: str, name: str) -> None:
        self._load = load
        self._host = host
        self._name = name
        observe = load.observer(Transport.SSE, name, self._cancel)
        self._session = StackSession(name, token=load.token, observe=observe, clock=load.clock)
        self._api: HttpApi | None = None
        self._followers = Group()

    def open(self) -> None:
        """See `JobClient`; the connections open with the first request."""
        self._api = HttpApi(self._host, self._session.headers)

    def submit(self, job: PlannedJob, intended: float) -> None:
        """See `JobClient`; each job is followed in a greenlet of its own."""
        if self._api is None:
            return
        jobs = [job, *job.beside]
        for one in jobs:
            self._load.intend(one, Transport.SSE, self._name, intended)
        requests = [self._session.submit(one.submission) for one in jobs]
        try:
            if job.beside:
                self._submit_batch(self._api, jobs, [request.body for request in requests])
            else:
                self._submitted(self._api, job, *self._api.send(requests[0]))
        except NO_ANSWER as error:
            self._load.error(Transport.SSE, Metric.ACCEPTED, f"no answer: {error or type(error).__name__}")
            for one in jobs:
                self._followers.spawn(self._find_out, one.submission.job_id or "")

    def _submit_batch(self, api: HttpApi, jobs: list[PlannedJob], bodies: list[Any]) -> None:
        """Send the jobs in one request with a bad item among them, which alone has to be refused."""
        status, body = api.send(stack.batch([bodies[0], BAD_ITEM, *bodies[1:]]))
        if status != OK:
            for job in jobs:
                self._submitted(api, job, status, body)
            return
        answers = stack.batch_answers(body)
        if len(answers) != len(bodies) + 1:
            self._load.error(Transport.SSE, "batch", f"{len(answers)} answers to a batch of {len(bodies) + 1}")
        bad = answers.pop(1) if len(answers) > 1 else None
        if bad and bad[0] < BAD_REQUEST:
            self._load.error(Transport.SSE, "batch", "a bad item of a batch was taken")
        for job, answer in zip(jobs, answers, strict=False):
            self._submitted(api, job, *answer)

    def _submitted(self, api: HttpApi, job: PlannedJob, status: int, body: dict[str, Any]) -> None:
        """Take the answer to one submission, and follow the job where it was taken."""
        job_id = self._session.submitted(job.submission, status, body)
        if job_id is not None:
            self._followers.spawn(api.follow, self._session.follow(job_id), self._on_broken)

    def audit(self) -> None:
        """See `JobClient`."""
        self._load.audit(self._name, self._ask)

    def close(self) -> None:
        """See `JobClient`."""
        self._followers.kill()
        if self._api:
            self._api.close()
            self._api = None

    def _ask(self, job_id: str) -> JobState | None:
        if self._api is None:
            return None
        try:
            status, body = self._api.send(self._session.ask(job_id))
        except NO_ANSWER:
            return None
        return self._session.answered(job_id, status, body)

    def _cancel(self, job_id: str) -> None:
        """Until the server has answered, or the job has ended."""
        while self._api is not None and self._load.ledger.is_open(job_id):
            try:
                status, body = self._api.send(self._session.cancel(job_id))
            except NO_ANSWER as error:
                self._load.error(Transport.SSE, "cancel", f"no answer: {error or type(error).__name__}")
            else:
                if status == OK:
                    self._session.cancelled(job_id)
                if status < SERVER_ERROR:
                    return
                self._load.error(Transport.SSE, "cancel", stack.complaint(status, body))
            gevent.sleep(RECONNECT_S[-1])

    def _on_broken(self, why: str) -> None:
        self._load.error(Transport.SSE, "stream", why)

    def _find_out(self, job_id: str) -> None:
        """What became of a job whose submission had no answer: until it has ended, or is not known."""
        while self._api is not None and self._load.ledger.is_open(job_id):
            gevent.sleep(ASK_AGAIN_S)
            if self._ask(job_id) is JobState.UNKNOWN and not self._load.unknown(job_id):
                return


class RestClient(ModernClient):
    """Posts jobs to the hub's REST, under its own name, and asks for each job until it has ended."""

    def open(self) -> None:
        """See `JobClient`."""
        self._api = HttpApi(self._host, {**self._session.headers, CLIENT_HEADER: self._name})

    def submit(self, job: PlannedJob, intended: float) -> None:
        """See `JobClient`; it knows no batches."""
        if self._api is None:
            return
        self._load.intend(job, Transport.SSE, self._name, intended)
        self._session.submit(job.submission)
        try:
            status, body = self._api.send(hub.submit_by_rest(job.submission))
        except NO_ANSWER as error:
            self._load.error(Transport.SSE, Metric.ACCEPTED, f"no answer: {error or type(error).__name__}")
            self._followers.spawn(self._find_out, job.submission.job_id or "")
            return
        if status == GONE:
            self._ask_for_all()
            if self._load.ledger.in_flight(self._name):  # still: so they were when it was refused
                self._load.error(Transport.SSE, Metric.ACCEPTED, f"{SENT_AWAY_IN_FLIGHT}{body.get('detail', NO_WORD)}")
        job_id = self._session.submitted(job.submission, status, body)
        if job_id is not None:
            self._followers.spawn(self._poll, job_id)

    def _ask_for_all(self) -> None:
        for job_id in self._load.ledger.in_flight(self._name):
            self._ask(job_id)

    def _poll(self, job_id: str) -> None:
        while self._api is not None and self._load.ledger.is_open(job_id):
            gevent.sleep(POLL_S)
            self._ask(job_id)


class HybridClient:
    """Two clients, each opened when it is first needed; before each job it is decided which one is in force.

    The old protocol is spoken while this client's place, between 0 and 1, lies below the load's share of legacy users,
    and while the server does not refuse it.
    Jobs in flight are followed to their end in the language they were submitted in, as by a client that is replaced
    while its work runs.
    """

    def __init__(self, load: Load, host: str, name: str) -> None:
        self._load = load
        self._place = (next(_places) * GOLDEN) % 1.0
        self._legacy = LegacyClient(load, host, f"{name}-old")
        self._modern = ModernClient(load, host, f"{name}-new")
        self._open: set[Transport] = set()

    def open(self) -> None:
        """See `JobClient`; in the language in force."""
        self._current()

    def submit(self, job: PlannedJob, intended: float) -> None:
        """See `JobClient`; in the language in force now."""
        try:
            client = self._current()
        except ConnectionFailed as error:
            self._load.error(Transport.WEBSOCKET, "connection", sent_away(error) or str(error))
            client = self._modern_opened()
        client.submit(job, intended)

    def audit(self) -> None:
        """See `JobClient`."""
        self._legacy.audit()
        self._modern.audit()

    def close(self) -> None:
        """See `JobClient`."""
        self._legacy.close()
        self._modern.close()

    def _current(self) -> JobClient:
        old, known = self._place < self._load.legacy_share, Transport.WEBSOCKET in self._open
        if old and not (known and self._legacy.refused):
            if not known:
                self._legacy.open()
                self._open.add(Transport.WEBSOCKET)
            return self._legacy
        if not old and known and self._legacy.idle:
            self._legacy.close()
            self._open.discard(Transport.WEBSOCKET)
        return self._modern_opened()

    def _modern_opened(self) -> JobClient:
        if Transport.SSE not in self._open:
            self._modern.open()
            self._open.add(Transport.SSE)
        return self._modern
