"""What client and hub say of one job on one connection, and what the candidate says in its place."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from harness.cassettes import INCOMING, Close, Closed, Drop, Event, Receive, Send
from harness.cassettes.events import fields_of, saying
from harness.cassettes.record import Redaction
from harness.cassettes.tokens import Exchange
from harness.protocols import ENDED_STATES, EventKind, JobStatus, hub

QUIET_MS: Final = 1_000.0
"""Both sides have to be silent for so long before one is held against the other: what is too much has to show."""
OVERTAKEN_MS: Final = 500.0
"""A job's end that comes so soon after its cancel was refused was on its way before."""
_ENDS: Final = frozenset({EventKind.COMPLETED, EventKind.CANCELLED})
_WORK: Final = frozenset({EventKind.CLAIMED, EventKind.PROGRESS, EventKind.COMPLETED, EventKind.ATTEMPT_FAILED})
_OPEN: Final = frozenset({EventKind.ACCEPTED, EventKind.CLAIMED, EventKind.PROGRESS})


class Topic:
    """One job, or all that is about no job, on one connection.

    Frames of different jobs have no order between them, so that each job is compared by itself as soon as it has
    ended, on a connection that may stay for weeks.
    """

    def __init__(
        self, redaction: Redaction, now_ms: float, hub_id: str | None = None, *, is_cancelled: bool = False
    ) -> None:
        self.hub_id = hub_id
        self.candidate_id: str | None = None
        self.expected: list[Event] = []
        self.observed: list[Event] = []
        self.size = 0
        """Bytes of the frames that are kept."""
        self.saying = asyncio.Lock()
        """Frames about one job are sent in their order."""
        self.is_over = False
        """Whether the connection ended on the hub."""
        self.last_ask: str | bytes | None = None
        self._redaction = redaction
        self._changed = asyncio.Event()
        self._hub_at = self._candidate_at = self._asked_at = now_ms
        self._of_hub = self._of_candidate = self._given_up = 0
        self._last: EventKind | None = None
        self.is_cancelled = is_cancelled
        """Whether the hub has told so. Its work goes on and is told, too (fault 4): none of that is looked at."""
        self._is_cancelled_there = is_cancelled

    # what is said
    def hub_told(self, event: Event, size: int = 0) -> None:
        """Something that the client did or was told."""
        self.size += size
        told = _kind_in(event)
        if self.is_cancelled and told in _WORK:
            return
        self.is_cancelled |= told is EventKind.CANCELLED
        self._last = told or self._last
        self.expected.append(self._redaction.event(event))
        if isinstance(event, INCOMING):
            self._hub_at = event.at
            self._of_hub += 1

    def candidate_told(self, event: Event, size: int = 0) -> None:
        """Something that was done on the candidate or that it told."""
        self.size += size
        told = _kind_in(event)
        if self._is_cancelled_there and told in _WORK:
            return
        self._is_cancelled_there |= told is EventKind.CANCELLED
        self.observed.append(self._redaction.event(event))
        if isinstance(event, INCOMING):
            self._candidate_at = event.at
            self._of_candidate += 1
            self._changed.set()
        else:
            self._asked_at = event.at

    @property
    def told(self) -> int:
        """How much the hub has told."""
        return self._of_hub

    async def caught_up(self, wanted: int, patience_s: float) -> None:
        """Wait until the candidate has told as much as the hub had; what does not come is given up.

        A client may do something because of what it was told; so the candidate has to have told it, too.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._of_candidate + self._given_up < wanted:
                    self._changed.clear()
                    await self._changed.wait()
        self._given_up = max(self._given_up, wanted - self._of_candidate)

    # when it is compared
    def is_due(self, now_ms: float, patience_ms: float) -> bool:
        """Whether the two sides can be held against each other now."""
        if self.saying.locked() or (self.is_empty and self.hub_id is None):
            return False
        if self._is_cut and self._of_candidate >= self._of_hub:
            return True
        silent_ms = now_ms - max(self._hub_at, self._candidate_at)
        if self._of_hub != self._of_candidate or self._is_unanswered:
            return self.is_late(now_ms, patience_ms) and (self._is_ended or self.is_over)
        if self._is_ended or self.is_over:
            return silent_ms >= QUIET_MS
        return self._last not in _OPEN and silent_ms >= patience_ms

    @property
    def _is_ended(self) -> bool:
        return self.hub_id is None or self._last in _ENDS

    @property
    def _is_unanswered(self) -> bool:
        """Whether the client's last word was answered on the hub alone."""
        ends = [isinstance(side[-1], INCOMING) for side in (self.expected, self.observed) if side]
        return ends == [True, False]

    @property
    def _is_cut(self) -> bool:
        """Whether the client left in the middle of the job."""
        return self.is_over and self.hub_id is not None and self._last not in _ENDS

    def is_behind(self) -> bool:
        """Whether the last answer about the job's state is an end on the hub and none yet on the candidate."""
        ours, theirs = _last_answer(self.expected), _last_answer(self.observed)
        if self.last_ask is None or ours is None or theirs is None:
            return False
        return ours[1].state in ENDED_STATES and theirs[1].state not in ENDED_STATES

    def is_late(self, now_ms: float, patience_ms: float) -> bool:
        """Whether the candidate had its time to come after the hub."""
        return now_ms - max(self._hub_at, self._asked_at) >= patience_ms

    @property
    def is_empty(self) -> bool:
        """Whether neither side has told anything."""
        return not (self._of_hub or self._of_candidate)

    def ask_again(self) -> str | bytes | None:
        """The question whose answer came too early; that answer is taken back."""
        if (found := _last_answer(self.observed)) is None:
            return None
        del self.observed[found[0]]
        self._of_candidate -= 1
        return self.last_ask

    def has_crossed(self) -> bool:
        """Whether the job ended while its cancel was on the way: then either end is right."""
        return _has_crossed(self.expected) or _has_crossed(self.observed)

    def transcripts(self, opened: Event) -> tuple[list[Event], list[Event]]:
        """Both sides, in the hub's ids. Where the client left in the middle, what the candidate would have told it
        later is not looked at.
        """
        observed = self.observed
        if self._is_cut:
            observed = _cut(observed, self._of_hub)
        if self.hub_id != self.candidate_id and self.hub_id and self.candidate_id:
            exchange = Exchange({self.candidate_id: self.hub_id})
            observed = [_with(event, exchange) for event in observed]
        return [opened, *self.expected], [opened, *observed]


def _has_crossed(events: list[Event]) -> bool:
    """Whether a job that was to be cancelled had ended before the cancel was answered. A refusal may come first."""
    asked = next((place for place, event in enumerate(events) if _word(event) == "cancel_job"), None)
    ended = next((event for event in events if _kind_in(event) is EventKind.COMPLETED), None)
    if asked is None or ended is None:
        return False
    for event in events[asked:]:
        if _kind_in(event) is EventKind.CANCELLED or _word(event) == "error":
            overtaken = _word(event) == "error" and ended.at <= event.at + OVERTAKEN_MS
            return events.index(ended) < events.index(event) or overtaken
    return False


def _word(event: Event) -> object:
    return fields_of(event).get("type") if isinstance(event, Receive | Send) else None


def _kind_in(event: Event) -> EventKind | None:
    """What a frame tells of a job's life; an answer about its state tells it, too."""
    content = fields_of(event)
    if not isinstance(event, Receive) or not content:
        return None
    told, status = hub.event_of(content), hub.status_of(content)
    if told is not None and told.kind is not EventKind.SUBSCRIBED:
        return told.kind
    return ENDED_STATES.get(status.state, EventKind.CLAIMED) if status is not None else None


def _last_answer(events: list[Event]) -> tuple[int, JobStatus] | None:
    for place in range(len(events) - 1, -1, -1):
        content = fields_of(events[place]) if isinstance(events[place], Receive) else {}
        if content and (status := hub.status_of(content)) is not None:
            return place, status
    return None


def _cut(events: list[Event], incoming: int) -> list[Event]:
    found: list[Event] = []
    for event in events:
        incoming -= isinstance(event, INCOMING)
        if incoming >= 0 or isinstance(event, Close | Drop | Closed):
            found.append(event)
    return found


def _with(event: Event, exchange: Exchange) -> Event:
    return saying(event, exchange.applied(event.content)) if isinstance(event, Receive) else event
