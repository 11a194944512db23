"""A recording in which workers have done their jobs in another order: when everything else happens then."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from harness.cassettes import Event, Note, Open, Outgoing, Receive, Request, Response
from harness.cassettes.events import fields_of, saying
from harness.cassettes.replay.causality import is_claim, job_of, sent
from harness.cassettes.timers import STATS, WORKER_STATUS

PUSHED: Final = frozenset({"update_job_progress", "complete_job", "fail_job"}) | frozenset(
    {"claimed", "progress", "completed", "attempt_failed"}
)
"""What a worker's work makes clients and monitors receive, as messages and as facts."""
ENDED: Final = frozenset({"completed", "failed", "cancelled"})
_SUBMITTING: Final = frozenset({"submit_job", "job_accepted", "accepted"})
_KEPT: Final = frozenset({"type", "job_id", "timestamp", "message_id"})


class Turn(msgspec.Struct, frozen=True):
    """One attempt of a job by one worker: the places of its claim and of its end, None where it was not ended."""

    worker: str
    worker_id: str
    job: str
    claim: int
    end: int | None


class Rearrangement:
    """A rearrangement in the making: which event is wanted when, and which one has to wait for which."""

    def __init__(self, events: Sequence[Event], slot: int, turns: Sequence[Turn]) -> None:
        self._old, self._slot, self._turns = events, slot, turns
        self._events = list(events)
        self._wanted_at = [float(index) for index in range(len(events))]
        self._moved: dict[int, Turn] = {}

    def move(self, turn: Turn, worker: str, worker_id: str, begin: float, instead_of: Turn | None) -> None:
        """Have another worker do the turn, from that place on, in the time that the other turn took."""
        until = next((one.claim for one in self._turns if one.job == turn.job and one.claim > turn.claim), None)
        after = range(turn.claim, len(self._old) if until is None else until)
        about = [place for place in after if job_of(self._old[place]) == turn.job]
        work = [place for place in about if _is_work(self._old[place], place, turn)]
        span = (instead_of.end or begin) - instead_of.claim if instead_of else 0
        for number, place in enumerate(work):
            self._moved[place] = turn
            self._wanted_at[place] = begin + span * number / len(work)
            if self._events[place].actor == turn.worker:
                self._events[place] = msgspec.structs.replace(self._events[place], actor=worker)
        for place in about:
            content = fields_of(self._events[place])
            if content.get("worker_id") == turn.worker_id and (place in self._moved or not _is_offer(content)):
                self._events[place] = saying(self._events[place], content | {"worker_id": worker_id})

    def carried_out(self, *first: int) -> tuple[tuple[Event, ...], list[int]]:
        """All events up to the slot, then a claim that was made, then the others as early as may be; and where each
        event stands now.
        """
        self._delay()
        rest = [place for place in range(self._slot, len(self._old)) if place not in first]
        order = [*range(self._slot), *first, *self._sorted(rest)]
        times = [event.at for event in self._old]
        events = tuple(msgspec.structs.replace(self._events[old], at=times[new]) for new, old in enumerate(order))
        places = [0] * len(order)
        for new, old in enumerate(order):
            places[old] = new
        return events, places

    def _delay(self) -> None:
        """Whoever acted may have acted because of what it, or another one, had received: it does so later, too, unless
        what it did is needed before.
        """
        latest, workers = 0.0, {turn.worker for turn in self._turns}
        for place in range(self._slot, len(self._old)):
            event = self._events[place]
            if place in self._moved and not isinstance(event, Outgoing):
                latest = max(latest, self._wanted_at[place])
            elif isinstance(event, Outgoing | Note) and event.actor not in workers:
                self._wanted_at[place] = max(self._wanted_at[place], latest)

    def _sorted(self, rest: Sequence[int]) -> Iterator[int]:
        """By the wanted times, none before what it waits for. Where all wait for each other, the earliest goes."""
        waits: dict[int, set[int]] = {place: set() for place in rest}
        then: dict[int, list[int]] = defaultdict(list)
        for before, after in self._constraints(rest):
            if before in waits and before not in waits[after] and before != after:
                waits[after].add(before)
                then[before].append(after)
        ready = [(self._wanted_at[place], place) for place in rest if not waits[place]]
        heapq.heapify(ready)
        while waits:
            place = heapq.heappop(ready)[1] if ready else min(waits, key=self._wanted_at.__getitem__)
            if place not in waits:
                continue
            del waits[place]
            yield place
            for after in then[place]:
                if after in waits:
                    waits[after].discard(place)
                    if not waits[after]:
                        heapq.heappush(ready, (self._wanted_at[after], after))

    def _constraints(self, rest: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Pairs: what has to come before what."""
        yield from self._of_actors(rest)
        by_job: dict[str, list[int]] = defaultdict(list)
        claims = {turn.claim for turn in self._turns}
        for place in rest:
            event = self._old[place]
            refused = is_claim(event) and place not in claims
            if (job := job_of(event)) is not None and not refused and fields_of(event).get("type") != "job_available":
                by_job[job].append(place)
        for places in by_job.values():
            for number, place in enumerate(places):
                # An early turn waits for nothing that was said of the job before it began, but for its submission.
                turn = self._moved.get(place)
                earlier = (one for one in reversed(places[:number]) if turn is None or self._precedes(one, turn))
                before = next(earlier, None)
                if before is not None:
                    yield before, place

    def _precedes(self, place: int, turn: Turn) -> bool:
        event = self._old[place]
        if place >= turn.claim or place in self._moved or isinstance(event, Request | Response):
            return True
        of_worker = any(event.actor == one.worker for one in self._turns)
        asked_or_answered = isinstance(event, Outgoing) or _answers(event)
        return of_worker or not asked_or_answered or fields_of(event).get("type") in _SUBMITTING

    def _of_actors(self, rest: Sequence[int]) -> Iterator[tuple[int, int]]:
        """An actor acts in its order, after what it had received; it receives answers after it has asked."""
        acted: dict[str, int] = {}
        opened: dict[str, int] = {}
        received: dict[str, list[int]] = defaultdict(list)
        workers = {turn.worker for turn in self._turns}
        for place in sorted(rest, key=lambda one: (self._place_of(one, workers), one)):
            event, actor = self._events[place], self._events[place].actor
            if isinstance(event, Outgoing | Note):
                submits = sent(event) == "submit_job"
                yield from ((one, place) for one in received[actor] if not (submits and one in self._moved))
                yield from ((acted[one], place) for one in (actor,) if one in acted)
                acted[actor] = place
                received[actor] = received[actor] if submits else []
            else:
                after = acted if _answers(event) or actor in workers else opened
                yield from ((after[one], place) for one in (actor,) if one in after)
                received[actor] += [] if actor in workers else [place]
            if isinstance(event, Open) or fields_of(event).get("type") == "connection_established":
                opened[actor] = place

    def _place_of(self, place: int, workers: set[str]) -> float:
        return self._wanted_at[place] if self._events[place].actor in workers else place


def _answers(event: Event) -> bool:
    """Whether an actor receives it because of what it did itself; if not, because of what others did."""
    content = fields_of(event)
    told_unasked = content.get("type") in PUSHED | {WORKER_STATUS} or content.get("status") == "processing"
    return not (told_unasked or content.get("original_type") == WORKER_STATUS)


def _is_work(event: Event, place: int, turn: Turn) -> bool:
    """Whether it is the worker's own, or what clients and monitors receive because of it."""
    content = fields_of(event)
    if event.actor == turn.worker:
        return place == turn.claim or not _is_offer(content)
    pushed = content.get("type") in PUSHED or content.get("status") == "processing"
    return isinstance(event, Receive) and pushed


def _is_offer(content: dict[str, Any]) -> bool:
    """Whether it is about giving the job to somebody: only one such claim belongs to a turn."""
    return content.get("type") in {"claim_job", "job_available"}


def unsure(event: Event) -> Event:
    """The event without what another order of work changes: figures, places in the queue, how far a job is."""
    content = fields_of(event)
    if not isinstance(event, Receive | Response):
        return event
    if content.get("type") == STATS:
        return saying(event, {key: value for key, value in content.items() if key in _KEPT})
    if "status" in content and "job_id" in content and content.get("type") != "job_accepted":
        if content["status"] in ENDED or content["status"] == "processing":
            return event
        return saying(event, {key: value for key, value in content.items() if key in _KEPT})
    return saying(event, {key: value for key, value in content.items() if key != "position"}) if content else event
