"""What clients see: frames of the legacy protocol, SSE events, and whole transcripts, as history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.history.events import HistoryEvent, Source, delivered
from harness.history.recorders.hub import from_frame
from harness.protocols import LOG_KINDS, EventKind, Mode, hub, stack
from harness.protocols.script import expectation_of


def sse_delivery(
    subscriber: str, event: str, data: Mapping[str, Any], at_ms: float, *, entry: str = "", job_id: str | None = None
) -> HistoryEvent | None:
    """One SSE event that a subscriber got from a job's stream; None for a kind that tells nothing of a job."""
    if event == "gap":
        return HistoryEvent(
            at_ms=at_ms, source=Source.CLIENT, kind=EventKind.GAP, by=subscriber, job_id=job_id, note=str(data)[:200]
        )
    told = stack.event_of(data, event, entry)
    return delivered(told, at_ms, subscriber) if told else None


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
            return [self._event(EventKind.CANCEL, at_ms, job_id)]
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
            return [self._event(EventKind.SUBSCRIBED, at_ms, job_id, mode=Mode.LIVE)] if asked else []
        event = hub.event_of(message)
        if event is None or event.kind not in LOG_KINDS:
            return []
        if event.kind is EventKind.CANCELLED and self._cancels[job_id]:
            self._cancels[job_id] -= 1
            return [self._event(EventKind.CANCEL_ACCEPTED, at_ms, job_id)]
        return [delivered(event, at_ms, self.client_id)]

    def left(self, at_ms: float) -> list[HistoryEvent]:
        """The client went away by its own will: nothing is owed to it any more."""
        return [self._event(EventKind.UNSUBSCRIBED, at_ms, job_id) for job_id in sorted(self._owned)]

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
            expected = expectation_of(submission["payload"])
            told = {"steps": expected.steps, "expects": expected.end, "hangs": expected.hangs}
            events.append(self._event(EventKind.SUBMIT, submission["at_ms"], job_id, **about, **told))
        events.append(self._event(EventKind.ACCEPTED, at_ms, job_id, **about))
        events.append(self._event(EventKind.SUBSCRIBED, at_ms, job_id, mode=Mode.WHOLE))
        return events

    def _event(self, kind: EventKind, at_ms: float, job_id: str, **fields: Any) -> HistoryEvent:
        return HistoryEvent(at_ms=at_ms, source=Source.CLIENT, kind=kind, by=self.client_id, job_id=job_id, **fields)


def _submission(message: Mapping[str, Any]) -> dict[str, Any]:
    priority = message.get("priority", 0)
    return {
        "id": message.get("message_id") or None,
        "service": str(message.get("job_type", "unknown")),
        "priority": priority if isinstance(priority, int) else 0,
        "payload": message.get("payload"),
    }


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
