"""The load's part of the run's history (`harness.history`): what its clients sent, were promised, and were told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness.history import HistoryEvent, HistoryWriter, Source
from harness.protocols import ENDS, EventKind, JobEvent, JobState, Mode
from harness.protocols.script import expectation_of

_DELIVERED: Final = ENDS | {EventKind.CLAIMED, EventKind.PROGRESS, EventKind.ATTEMPT_FAILED}


class Journal:
    """Writes one generator process's history. Times are seconds since the epoch; the file's are ms."""

    def __init__(self, path: Path, about: str) -> None:
        self._writer = HistoryWriter(path, about=about)

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()

    def submit(self, at: float, user: str, job_id: str, service: str, priority: int, payload: dict[str, Any]) -> None:
        """A submission leaves its client."""
        expected = expectation_of(payload)
        self._add(
            at,
            EventKind.SUBMIT,
            user,
            job_id,
            service=service,
            priority=priority,
            steps=expected.steps,
            expects=None if expected.hangs else expected.end or EventKind.COMPLETED,
            hangs=expected.hangs,
        )

    def acked(self, at: float, user: str, job_id: str) -> None:
        """The submission was answered with the job's id."""
        self._add(at, EventKind.ACCEPTED, user, job_id)

    def subscribed(self, at: float, user: str, job_id: str, *, whole: bool) -> None:
        """From here on the client is owed the job's updates, or all of them from the job's beginning (`whole`)."""
        self._add(at, EventKind.SUBSCRIBED, user, job_id, mode=Mode.WHOLE if whole else Mode.LIVE)

    def unsubscribed(self, at: float, user: str, job_id: str) -> None:
        """The client's connection is lost: it is owed nothing until it subscribes again."""
        self._add(at, EventKind.UNSUBSCRIBED, user, job_id)

    def refused(self, at: float, user: str, job_id: str, why: str) -> None:
        """The submission was answered with an error."""
        self._add(at, EventKind.REFUSED, user, job_id, error=why)

    def delivered(self, at: float, user: str, news: JobEvent) -> None:
        """A client was told something."""
        if news.kind in _DELIVERED:
            self._add(
                at,
                EventKind.DELIVERED,
                user,
                news.job_id,
                of=news.kind,
                worker_id=news.worker_id,
                attempt=news.attempt,
                progress=news.progress,
                error=news.error,
            )

    def status(self, at: float, user: str, job_id: str, word: str) -> None:
        """The server was asked where a job stands."""
        if word in set(JobState):
            self._add(at, EventKind.STATUS, user, job_id, source=Source.API, state=JobState(word))

    def _add(
        self, at: float, kind: EventKind, user: str, job_id: str, *, source: Source = Source.CLIENT, **more: Any
    ) -> None:
        self._writer.add(HistoryEvent(at_ms=at * 1000, source=source, kind=kind, by=user, job_id=job_id, **more))
