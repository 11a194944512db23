"""A client of the legacy WebSocket protocol, as one user of a load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
from gevent.event import Event

from harness.load.latencies import Figure, Wire
from harness.protocols import ENDED_STATES, EventKind, JobState, Submission, hub
from loadtests.clients.socket import ConnectionFailed, JsonSocket
from loadtests.load import Load

RECONNECT_S = (0.1, 0.2, 0.5, 1.0)
"""Pauses before the attempts to reconnect; the last one is repeated."""


class LegacyClient:
    """Submits over its one connection, reconnects under its id when that is lost, and subscribes again to its jobs."""

    wire = Wire.WEBSOCKET

    def __init__(self, load: Load, host: str, name: str) -> None:
        self._load = load
        self._name = name
        self._url = hub.websocket_url(host, hub.path_of("client", name), load.token)
        self._socket: JsonSocket | None = None
        self._unanswered: list[str] = []
        """Submissions without an answer, in the order they were sent: answers come in that order."""
        self._asked: dict[str, str] = {}
        """The audit's questions, and the answers that have come."""
        self._asking: set[str] = set()
        """Jobs whose state was asked for after a reconnect."""
        self._answered = Event()
        self._backlog: list[tuple[str, float]] = []
        """Jobs whose moment came while there was no connection."""
        self._closed = False

    def open(self) -> None:
        """Connect. Raises ConnectionFailed."""
        self._closed = False
        self._socket = JsonSocket(self._url, on_frame=self._on_frame, on_lost=self._on_lost)

    def submit(self, job_id: str, intended: float) -> None:
        """Send a job, at once or when the connection is back; its news go to the load as they come."""
        if self._socket is None:
            self._backlog.append((job_id, intended))
            return
        job = self._load.job
        self._load.submitting(job_id, self.wire, self._name, intended)
        self._unanswered.append(job_id)
        self._send(
            hub.submit(
                Submission(service=job.service, payload=job.payload, priority=job.priority, job_id=job_id),
                at=self._load.clock(),
            )
        )

    @property
    def idle(self) -> bool:
        """Whether no job of this client is under way."""
        return not self._load.ledger.open_jobs(self._name)

    def audit(self, timeout_s: float) -> None:
        """Ask what became of every job whose end was not seen, and close the books on it."""
        open_jobs = self._load.ledger.open_jobs(self._name)
        for job_id in open_jobs:
            self._asked[job_id] = ""
            self._send(hub.ask(job_id, self._load.clock()))
        with gevent.Timeout(timeout_s, exception=False):
            while not all(self._asked.values()):
                self._answered.clear()
                self._answered.wait()
        self._load.wait_for_ends([job_id for job_id, said in self._asked.items() if said in ENDED_STATES])
        for job_id in open_jobs:
            self._load.audited(job_id, self._name, self._asked.get(job_id) or None)
        self._asked.clear()

    def close(self) -> None:
        """Disconnect."""
        self._closed = True
        if self._socket:
            self._socket.close()
            self._socket = None

    def _send(self, message: dict[str, Any]) -> None:
        """Send, or count an error: a job that was not sent stays in the ledger, as one without an answer."""
        if self._socket is None:
            self._load.error(self.wire, str(message["type"]), "not connected")
            return
        try:
            self._socket.send(message)
        except ConnectionFailed as error:
            self._load.error(self.wire, str(message["type"]), str(error))

    def _on_frame(self, frame: dict[str, Any]) -> None:
        status = hub.status_of(frame)
        if status and status.job_id in self._asked:
            self._asked[status.job_id] = status.state
            self._answered.set()
            return
        if status and status.job_id in self._asking:
            self._asking.discard(status.job_id)
            if status.state is not JobState.UNKNOWN:  # else a submission that was lost with the connection
                self._load.answered(status, self.wire, self._name)
            return
        if frame.get("type") == "error":
            self._on_error(str(frame.get("error")))
            return
        news = hub.event_of(frame)
        if news is None:
            return
        if news.kind is EventKind.ACCEPTED:
            self._forget_unanswered(news.job_id)
            self._load.accepted(news.job_id, self._name)
            self._load.subscribed(news.job_id, self._name, whole=True)
        self._load.heard(news, self.wire, self._name)

    def _on_error(self, why: str) -> None:
        """Errors do not name the submission they answer, but answers come in the order of the questions."""
        if self._unanswered:
            self._load.refused(self._unanswered.pop(0), self._name, self.wire, why)
        else:
            self._load.error(self.wire, Figure.ACCEPTED, why)

    def _forget_unanswered(self, job_id: str) -> None:
        if job_id in self._unanswered:
            self._unanswered.remove(job_id)

    def _on_lost(self, why: str) -> None:
        """Reconnect and ask for the jobs that are still awaited (in the reader's greenlet, which has nothing to do)."""
        self._socket = None
        self._unanswered.clear()
        if self._closed:
            return
        for job_id in self._load.ledger.open_jobs(self._name):
            self._load.unsubscribed(job_id, self._name)
        self._load.error(self.wire, "connection", why)
        for pause in _pauses():
            gevent.sleep(pause)
            if self._closed:
                return
            try:
                self.open()
            except ConnectionFailed as error:
                self._load.error(self.wire, "connection", str(error))
                continue
            break
        for job_id in self._load.ledger.open_jobs(self._name):
            self._send(hub.subscribe(job_id, self._load.clock()))
            self._load.subscribed(job_id, self._name, whole=False)
            self._asking.add(job_id)
            self._send(hub.ask(job_id, self._load.clock()))
        waiting, self._backlog = self._backlog, []
        for job_id, intended in waiting:
            self.submit(job_id, intended)


def _pauses() -> Iterator[float]:
    yield from RECONNECT_S
    while True:
        yield RECONNECT_S[-1]
