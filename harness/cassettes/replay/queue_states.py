"""How the queue stood at each place of a recording: what an answer that tells of it depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from typing import Any, Final

from harness.cassettes import Event, Receive, Response, Send
from harness.cassettes.events import fields_of
from harness.cassettes.replay.causality import job_of, sent
from harness.cassettes.timers import STATS

SUBMITTED: Final = frozenset({"job_accepted", "accepted"})


class QueueState:
    """The jobs that wait, each with how often it has failed, those that run, and what each worker has done."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}
        self.running: dict[str, str] = {}
        self._known: set[str] = set()
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._progress: Counter[str] = Counter()

    def go_on(self, event: Event, *, granted: bool) -> None:
        """What the event changes; `granted` where it is a claim that was."""
        job, kind, content = job_of(event), sent(event), fields_of(event)
        if job is None:
            return
        if granted:
            self.waiting.pop(job, None)
            self.running[job] = event.actor
            self._known.add(job)  # whoever submitted it may hear of that only now
        elif kind in {"complete_job", "fail_job"}:
            self.running.pop(job, None)
            self._failed[job] += kind == "fail_job"
            self._done[event.actor] += kind == "complete_job"
            if kind == "fail_job":
                self.waiting[job] = self._failed[job]
        elif kind == "update_job_progress":
            self._progress[job] += 1
        elif content.get("type") in SUBMITTED or (isinstance(event, Response) and "job_id" in content):
            if job not in self._known:
                self.waiting[job] = 0
            self._known.add(job)
        elif isinstance(event, Receive | Send) and (content.get("status") == "cancelled" or kind == "cancel_job"):
            self.waiting.pop(job, None)
            self.running.pop(job, None)

    def told_by(self, event: Event) -> Hashable:
        """What the event's content depends on; None where it tells nothing of the queue."""
        content: dict[str, Any] = fields_of(event) if isinstance(event, Receive | Response) else {}
        job = job_of(event)
        if content.get("type") == STATS:
            return frozenset(self.waiting.items()), frozenset(self.running.items()), frozenset(self._done.items())
        if content.get("type") == "job_accepted" or "position" in content:
            return frozenset(self.waiting)
        if "status" in content and job is not None:
            return job in self.waiting, self.running.get(job), self._progress[job], self._failed[job]
        return None


def states_of(events: Sequence[Event], granted: Collection[int]) -> list[Hashable]:
    """What each event's content depends on, by its place."""
    state = QueueState()
    found: list[Hashable] = []
    for place, event in enumerate(events):
        state.go_on(event, granted=place in granted)
        found.append(state.told_by(event))
    return found
