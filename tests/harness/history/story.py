"""Hand-written histories, one line a happening: `Story().job("a").claim("a", "w1").end("a")`."""

from __future__ import annotations

from typing import Any, Self

from harness.history import CheckResult, History, HistoryEvent, Source
from harness.history.checkers import CHECKERS
from harness.protocols import EventKind, JobState, Mode
from tests.harness.history.sound import LIMITS


class Story:
    """Time moves by 10 ms with every happening; `wait` moves it further."""

    def __init__(self) -> None:
        self.now_ms = 1_000.0
        self.events: list[HistoryEvent] = []
        self.holder: dict[str, tuple[str, int]] = {}
        self.about: dict[str, dict[str, Any]] = {}

    def add(self, source: Source, kind: EventKind, job_id: str | None = None, **fields: Any) -> Self:
        self.now_ms += 10
        about = self.about.get(job_id or "", {})
        self.events.append(
            HistoryEvent(at_ms=self.now_ms, source=source, kind=kind, job_id=job_id, **{**about, **fields})
        )
        return self

    def wait(self, ms: float) -> Self:
        self.now_ms += ms
        return self

    # clients
    def job(self, job_id: str, *, priority: int = 0, by: str = "client", **promises: Any) -> Self:
        """Submitted, queued and acknowledged."""
        self.about[job_id] = {"priority": priority, "service": "simulation"}
        self.add(Source.CLIENT, EventKind.SUBMIT, job_id, by=by, **promises)
        self.log(EventKind.SUBMITTED, job_id)
        return self.add(Source.CLIENT, EventKind.ACCEPTED, job_id, by=by)

    def subscribe(self, job_id: str, by: str, mode: Mode = Mode.WHOLE) -> Self:
        return self.add(Source.CLIENT, EventKind.SUBSCRIBED, job_id, by=by, mode=mode)

    def leave(self, job_id: str, by: str) -> Self:
        return self.add(Source.CLIENT, EventKind.UNSUBSCRIBED, job_id, by=by)

    def got(self, job_id: str, by: str, of: EventKind, *, attempt: int = 1, progress: float | None = None) -> Self:
        return self.add(Source.CLIENT, EventKind.DELIVERED, job_id, by=by, of=of, attempt=attempt, progress=progress)

    # the queue's own account
    def log(self, kind: EventKind, job_id: str, worker_id: str | None = None, attempt: int = 0, **fields: Any) -> Self:
        return self.add(Source.REDIS, kind, job_id, worker_id=worker_id, attempt=attempt, **fields)

    def claim(self, job_id: str, worker_id: str, attempt: int | None = None) -> Self:
        number = attempt if attempt is not None else self.holder.get(job_id, ("", 0))[1] + 1
        self.holder[job_id] = (worker_id, number)
        return self.log(EventKind.CLAIMED, job_id, worker_id, number)

    def say(self, kind: EventKind, job_id: str, **fields: Any) -> Self:
        """The holder's word, or about its lease."""
        return self.log(kind, job_id, *self.holder.get(job_id, (None, 0)), **fields)

    def progress(self, job_id: str, progress: float) -> Self:
        return self.say(EventKind.PROGRESS, job_id, progress=progress)

    def complete(self, job_id: str) -> Self:
        return self.say(EventKind.COMPLETED, job_id)

    # harness and server
    def fault(self, kind: EventKind, worker_id: str | None = None, target: str = "") -> Self:
        return self.add(Source.HARNESS, kind, worker_id=worker_id, target=target or worker_id or "")

    def running(self, worker_id: str, *job_ids: str) -> Self:
        return self.add(Source.API, EventKind.WORKER_STATUS, worker_id=worker_id, running=job_ids)

    def told(self, job_id: str, state: JobState) -> Self:
        return self.add(Source.API, EventKind.STATUS, job_id, state=state)

    def settle(self, after_ms: float = 3_000) -> Self:
        return self.wait(after_ms).add(Source.HARNESS, EventKind.SETTLED)

    def judged_by(self, check: str) -> CheckResult:
        return CHECKERS[check](History(self.events), LIMITS)

    def forms(self, check: str) -> list[tuple[str, str]]:
        """(job, form) of each violation."""
        return [(violation.job_id, violation.form) for violation in self.judged_by(check).violations]
