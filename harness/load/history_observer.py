"""The load's part of the run's history (`harness.history`): what its clients sent, were promised, and were told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness.history import HistoryEvent, HistoryWriter, Mode, Source, State
from harness.history import Kind as Seen
from harness.load.job_event import Kind, News

_DELIVERED: Final = {
    Kind.CLAIMED: Seen.CLAIMED,
    Kind.PROGRESS: Seen.PROGRESS,
    Kind.COMPLETED: Seen.COMPLETED,
    Kind.ATTEMPT_FAILED: Seen.ATTEMPT_FAILED,
    Kind.FAILED: Seen.FAILED,
    Kind.CANCELLED: Seen.CANCELLED,
}


class Journal:
    """Writes one generator process's history. Times are seconds since the epoch; the file's are ms."""

    def __init__(self, path: Path, about: str) -> None:
        self._writer = HistoryWriter(path, about=about)

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()

    def submit(self, at: float, user: str, job_id: str, service: str, priority: int, payload: dict[str, Any]) -> None:
        """A submission leaves its client."""
        script = payload.get("simulate")
        steps = tuple(float(step["progress"]) for step in script if "progress" in step) if script else None
        fails = any("fail" in step and "attempts" not in step for step in script or ())
        self._add(
            at,
            Seen.SUBMIT,
            user,
            job_id,
            service=service,
            priority=priority,
            steps=steps,
            expects=Seen.FAILED if fails else Seen.COMPLETED,
        )

    def acked(self, at: float, user: str, job_id: str) -> None:
        """The submission was answered with the job's id."""
        self._add(at, Seen.ACKED, user, job_id)

    def subscribed(self, at: float, user: str, job_id: str, *, whole: bool) -> None:
        """From here on the client is owed the job's updates, or all of them from the job's beginning (`whole`)."""
        self._add(at, Seen.SUBSCRIBED, user, job_id, mode=Mode.WHOLE if whole else Mode.LIVE)

    def unsubscribed(self, at: float, user: str, job_id: str) -> None:
        """The client's connection is lost: it is owed nothing until it subscribes again."""
        self._add(at, Seen.UNSUBSCRIBED, user, job_id)

    def refused(self, at: float, user: str, job_id: str, why: str) -> None:
        """The submission was answered with an error."""
        self._add(at, Seen.REFUSED, user, job_id, error=why)

    def delivered(self, at: float, user: str, news: News) -> None:
        """A client was told something."""
        if (of := _DELIVERED.get(news.kind)) is not None:
            self._add(
                at,
                Seen.DELIVERED,
                user,
                news.job_id,
                of=of,
                worker_id=news.worker_id,
                attempt=news.attempt or 0,
                progress=news.progress,
                error=news.error,
            )

    def status(self, at: float, user: str, job_id: str, word: str) -> None:
        """The server was asked where a job stands."""
        if word in set(State):
            self._add(at, Seen.STATUS, user, job_id, source=Source.API, state=State(word))

    def _add(
        self, at: float, kind: Seen, user: str, job_id: str, *, source: Source = Source.CLIENT, **more: Any
    ) -> None:
        self._writer.add(HistoryEvent(at_ms=at * 1000, source=source, kind=kind, by=user, job_id=job_id, **more))
