"""A client of the modern API, as one user of a load: it posts jobs and follows each by its own stream of events."""

from __future__ import annotations

import gevent
import msgspec
from gevent.pool import Group
from geventhttpclient.response import HTTPParseError

from harness.load.latencies import Figure, Wire
from harness.protocols import ENDED_STATES, ENDS, JobState, Submission, stack
from harness.protocols.sse import SseEvent, SseParser
from loadtests.clients.http import HttpApi, StreamOver, StreamRefused
from loadtests.load import Load

NO_ANSWER = (OSError, HTTPParseError)
RECONNECT_S = 0.5
"""The pause before a reconnect where the server has not said its own (`retry:`)."""


class ModernClient:
    """Posts jobs and follows each; a stream that breaks off is resumed from its last event, as an EventSource does."""

    wire = Wire.SSE

    def __init__(self, load: Load, host: str, name: str) -> None:
        self._load = load
        self._host = host
        self._name = name
        self._api: HttpApi | None = None
        self._followers = Group()

    def open(self) -> None:
        """Prepare the connections; they open with the first request."""
        self._api = HttpApi(self._host, token=self._load.token)

    def submit(self, job_id: str, intended: float) -> None:
        """Post a job, then follow it in a greenlet of its own."""
        if self._api is None:
            return
        job = self._load.job
        self._load.submitting(job_id, self.wire, self._name, intended)
        submission = Submission(service=job.service, payload=job.payload, priority=job.priority, job_id=job_id)
        try:
            answer = self._api.send(stack.submit(submission, self._name))
        except NO_ANSWER as error:
            self._load.error(self.wire, Figure.ACCEPTED, f"no answer: {error or type(error).__name__}")
            return
        if answer.status not in (200, 201):
            self._load.refused(job_id, self._name, self.wire, answer.complaint)
            return
        self._load.accepted(job_id, self._name)
        self._load.subscribed(job_id, self._name, whole=True)
        self._followers.spawn(self._follow, self._api, job_id)

    def audit(self, timeout_s: float) -> None:
        """Ask what became of every job whose end was not seen, and close the books on it."""
        said = dict.fromkeys(self._load.ledger.open_jobs(self._name))
        with gevent.Timeout(timeout_s, exception=False):
            for job_id in said:
                if self._api is not None:
                    said[job_id] = self._status(self._api, job_id)
        self._load.wait_for_ends([job_id for job_id, word in said.items() if word in ENDED_STATES])
        for job_id, word in said.items():
            self._load.audited(job_id, self._name, word)

    def close(self) -> None:
        """Stop following, disconnect."""
        self._followers.kill()
        if self._api:
            self._api.close()
            self._api = None

    def _status(self, api: HttpApi, job_id: str) -> JobState | None:
        try:
            answer = api.send(stack.ask(job_id))
        except NO_ANSWER:
            return None
        if answer.status == stack.NOT_FOUND:
            return JobState.UNKNOWN
        status = stack.status_of(answer.body) if answer.status == 200 else None
        return status.state if status else None

    def _follow(self, api: HttpApi, job_id: str) -> None:
        lines = SseParser()
        while True:
            try:
                for event in api.events(stack.subscribe(job_id).path, lines):
                    if self._hear(event):
                        return
                why = "the stream ended before the job"
            except StreamOver:
                return
            except StreamRefused as refusal:
                why = str(refusal)
            except NO_ANSWER as error:
                why = f"stream lost: {error or type(error).__name__}"
            self._load.error(self.wire, "stream", why)
            gevent.sleep(RECONNECT_S if lines.retry_ms is None else lines.retry_ms / 1000)

    def _hear(self, event: SseEvent) -> bool:
        """Take one event; true when it was the job's last."""
        if event.event == "gap":
            self._load.error(self.wire, "stream", f"gap: {event.data}")
            return False
        news = stack.event_of(msgspec.json.decode(event.data), event.event, event.id)
        if news is None:
            return False
        self._load.heard(news, self.wire, self._name)
        return news.kind in ENDS
