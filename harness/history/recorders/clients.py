"""What clients see: frames of the legacy protocol, SSE events, and whole transcripts, as history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.history.events import HistoryEvent, Kind, Mode, Source
from harness.history.recorders.hub import frame_kind, from_frame
from harness.history.recorders.stack import from_event


def sse_delivery(
    subscriber: str, event: str, data: Mapping[str, Any], at_ms: float, *, entry: str = "", job_id: str | None = None
) -> HistoryEvent | None:
    """One SSE event that a subscriber got from a job's stream; None for a kind that tells nothing of a job."""
    if event == "gap":
        return HistoryEvent(
            at_ms=at_ms, source=Source.CLIENT, kind=Kind.GAP, by=subscriber, job_id=job_id, note=str(data)[:200]
        )
    told = from_event({"kind": event, **data}, entry)
    if told is None:
        return None
    return HistoryEvent(
        at_ms=at_ms,
        source=Source.CLIENT,
        kind=Kind.DELIVERED,
        by=subscriber,
        of=told.kind,
        job_id=told.job_id,
        worker_id=told.worker_id,
        attempt=told.attempt,
        progress=told.progress,
        error=told.error,
        entry=entry,
    )


class LegacyTranslator:
    """One client of the legacy protocol. It remembers what it asked, because an answer looks like an update."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self._cancels: Counter[str] = Counter()
        self._submits: list[dict[str, Any]] = []
        self._owned: set[str] = set()

    def sent(self, message: Mapping[str, Any], at_ms: float) -> list[HistoryEvent]:
        """A message leaves the client."""
        kind = message.get("type")
        job_id = message.get("job_id")
        if kind == "submit_job":
            self._submits.append({"at_ms": at_ms, **_submission(message)})
        elif kind == "cancel_job" and isinstance(job_id, str):
            self._cancels[job_id] += 1
            return [self._event(Kind.CANCEL, at_ms, job_id)]
        return []

    def received(self, message: Mapping[str, Any], at_ms: float) -> list[HistoryEvent]:
        """A message reaches the client."""
        kind = message.get("type")
        job_id = message.get("job_id")
        if not isinstance(job_id, str):
            return []
        if kind == "job_accepted":
            return self._accepted(job_id, at_ms)
        if kind == "subscription_confirmed":
            asked = job_id != "stats"
            return [self._event(Kind.SUBSCRIBED, at_ms, job_id, mode=Mode.LIVE)] if asked else []
        of = frame_kind(message)
        if of is Kind.CANCELLED and self._cancels[job_id]:
            self._cancels[job_id] -= 1
            return [self._event(Kind.CANCEL_ACKED, at_ms, job_id)]
        if of is None:
            return []
        progress = message.get("progress") if of is Kind.PROGRESS else None
        return [
            self._event(
                Kind.DELIVERED,
                at_ms,
                job_id,
                of=of,
                worker_id=message.get("worker_id"),
                progress=None if progress is None else float(progress),
                error=message.get("error"),
            )
        ]

    def left(self, at_ms: float) -> list[HistoryEvent]:
        """The client went away by its own will: nothing is owed to it any more."""
        return [self._event(Kind.UNSUBSCRIBED, at_ms, job_id) for job_id in sorted(self._owned)]

    def _accepted(self, job_id: str, at_ms: float) -> list[HistoryEvent]:
        """Submissions are answered in their order; one that named its id is known by it."""
        self._owned.add(job_id)
        named = next((one for one in self._submits if one["id"] == job_id), None)
        unnamed = next((one for one in self._submits if one["id"] is None), None)
        submission = named or unnamed
        about: dict[str, Any] = {}
        events = []
        if submission:
            self._submits.remove(submission)
            about = {"service": submission["service"], "priority": submission["priority"]}
            steps, expects, hangs = script_facts(submission["payload"])
            told = {"steps": steps, "expects": expects, "hangs": hangs}
            events.append(self._event(Kind.SUBMIT, submission["at_ms"], job_id, **about, **told))
        events.append(self._event(Kind.ACKED, at_ms, job_id, **about))
        events.append(self._event(Kind.SUBSCRIBED, at_ms, job_id, mode=Mode.WHOLE))
        return events

    def _event(self, kind: Kind, at_ms: float, job_id: str, **fields: Any) -> HistoryEvent:
        return HistoryEvent(at_ms=at_ms, source=Source.CLIENT, kind=kind, by=self.client_id, job_id=job_id, **fields)


def _submission(message: Mapping[str, Any]) -> dict[str, Any]:
    priority = message.get("priority", 0)
    return {
        "id": message.get("message_id") or None,
        "service": str(message.get("job_type", "unknown")),
        "priority": priority if isinstance(priority, int) else 0,
        "payload": message.get("payload"),
    }


def script_facts(payload: object, *, max_retries: int = 3) -> tuple[tuple[float, ...] | None, Kind | None, bool]:
    """What a simulation script in a payload promises: its steps, its ending, and whether it hangs."""
    script = payload.get("simulate") if isinstance(payload, dict) else None
    if not isinstance(script, list):
        return None, None, False
    steps: list[float] = []
    for step in script:
        if not isinstance(step, dict):
            continue
        if step.get("hang"):
            return tuple(steps), None, True
        if "fail" in step:
            attempts = step.get("attempts")
            if attempts is None or int(attempts) > max_retries:
                return tuple(steps), Kind.FAILED, False
        if "progress" in step:
            steps.append(float(step["progress"]))
    return tuple(steps), Kind.FAILED if _fails(script) else Kind.COMPLETED, False


def _fails(script: list[Any]) -> bool:
    """Whether the last result is a failure in a success's clothes (`success: false`)."""
    results = [step["result"] for step in script if isinstance(step, dict) and "result" in step]
    return bool(results) and isinstance(results[-1], dict) and results[-1].get("success") is False


def transcript_events(lines: Iterable[Mapping[str, Any]], *, start_ms: float = 0.0) -> Iterator[HistoryEvent]:
    """The clients' and monitors' part of a transcript in the shape of a cassette's lines."""
    roles: dict[str, str] = {}
    translators: dict[str, LegacyTranslator] = {}
    for line in lines:
        actor, what = str(line.get("actor", "")), line.get("event")
        at_ms = start_ms + float(line.get("at", 0))
        message = line.get("message")
        if what == "open":
            roles[actor] = str(line.get("role"))
        elif roles.get(actor) == "monitor" and what == "receive" and isinstance(message, dict):
            event = from_frame(message, at_ms, by=actor)
            if event:
                yield event
        elif roles.get(actor) == "client":
            translator = translators.setdefault(actor, LegacyTranslator(actor))
            if what == "close":
                yield from translator.left(at_ms)
            elif isinstance(message, dict) and what in ("send", "receive"):
                yield from (translator.sent if what == "send" else translator.received)(message, at_ms)
