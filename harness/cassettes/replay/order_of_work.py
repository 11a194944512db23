"""The order in which jobs were given to workers: a recording as it would be with the order that a stack has chosen.

A hub offers a job to a worker that was idle then; a stack gives the best job there is to the worker that asks now.
Where one that is better has come meanwhile, or one waits for its next attempt, both are right.
Pure: events in, events out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Any, Final

import msgspec

from harness.cassettes import Close, Drop, Event, Open, Outgoing, Receive, Response, Role, Send
from harness.cassettes.events import fields_of
from harness.cassettes.replay.causality import granted_claims, is_claim, job_of, sent
from harness.cassettes.replay.rearranging import Rearrangement, Turn, unsure
from harness.cassettes.timers import STATS
from harness.parity.findings import sentence_of
from harness.results import Finding, FindingKind

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


LAST: Final = (float("-inf"), 0)
_ENDINGS: Final = frozenset({"complete_job", "fail_job"})
_ANSWERS_TO_WORKERS: Final = frozenset({"job_assigned", "job_completed_ack", "job_failed_ack"})
_ASKING: Final = frozenset({"submit_job", "get_system_status"})


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A worker was given another job than in the recording. Ids are the recording's."""

    worker: str
    claim: int
    """Which of its claims it was, counted from 0, with the exchanges before."""
    wanted: str
    given: str
    promised: bool = False
    """Whether the recording's job had to come first: it had the higher priority, or the same and was older; or the
    worker does not list the type of the job that it was given.
    """
    handed_to: str = ""
    """The worker that has to try the job instead, since this one has failed it: then it is given none."""


class Schedule:
    """A recording, which of the claims in it were granted, and how it reads with two of its turns exchanged."""

    def __init__(
        self, events: Sequence[Event], granted: frozenset[int] | None = None, recorded: Sequence[Hashable] | None = None
    ) -> None:
        self.events: Final = tuple(events)
        self._granted: Final = granted_claims(events) if granted is None else granted
        self._recorded: Final = states_of(events, self._granted) if recorded is None else recorded
        """How the queue stood in the recording, by the places that its events have here."""
        self.turns: Final = [self._turn(place) for place in sorted(self._granted)]

    def _turn(self, place: int) -> Turn:
        claim = self.events[place]
        job, worker_id = str(job_of(claim)), str(fields_of(claim).get("worker_id") or claim.actor)
        later = range(place + 1, len(self.events))
        own = (at for at in later if self.events[at].actor == claim.actor)
        end = next((at for at in own if _ends(self.events[at], job)), None)
        ended = end is not None and isinstance(self.events[end], Send)
        return Turn(claim.actor, worker_id, job, place, end if ended else None)

    def granted(self, place: int) -> bool:
        """Whether the claim at that place was."""
        return place in self._granted

    def is_refused_with_work_left(self, place: int) -> bool:
        """Whether a claim is made there that the hub refuses while other jobs wait. A worker of a stack names no job:
        it would be given one of those.
        """
        if not is_claim(self.events[place]) or self.granted(place):
            return False
        return bool(self._waiting(place))

    def _waiting(self, place: int) -> dict[str, int]:
        """The jobs that wait there, each with how often it has failed."""
        state = QueueState()
        for at in range(place):
            state.go_on(self.events[at], granted=at in self._granted)
        return state.waiting

    def exchange_at(self, place: int, given: str) -> Exchange:
        """What it means that the worker that claims a job at that place was given another one."""
        worker, wanted = self.events[place].actor, str(job_of(self.events[place]))
        promised = not self._may_come_first(place, given) or not self._lists(worker, given)
        claim = self._claims_of(worker).index(place)
        return Exchange(worker=worker, claim=claim, wanted=wanted, given=given, promised=promised)

    def _lists(self, worker: str, job: str) -> bool:
        """Whether a hub offers the worker such a job: it lists its type, or no type at all."""
        listed: object = None
        for event in self.events:
            if event.actor == worker and sent(event) == "register_worker":
                capabilities = fields_of(event).get("capabilities")
                listed = capabilities.get("supported_job_types") if isinstance(capabilities, dict) else None
        kinds = {fields_of(event).get("job_type") for event in self.events if job_of(event) == job} - {None}
        return not isinstance(listed, list) or not listed or not kinds or bool(kinds & {*map(str, listed)})

    def _claims_of(self, worker: str) -> list[int]:
        return [at for at, event in enumerate(self.events) if event.actor == worker and is_claim(event)]

    def hand_over_at(self, place: int) -> Exchange | None:
        """Who has to try the job that is claimed at that place, if the worker that claims it has failed it by now."""
        worker, wanted = self.events[place].actor, str(job_of(self.events[place]))
        failed = self._failed(wanted, place)
        if not self.granted(place) or worker not in failed:
            return None
        there: dict[str, bool] = {}
        for event in self.events[:place]:
            if isinstance(event, Open) and event.role is Role.WORKER:
                there[event.actor] = True
            elif isinstance(event, Close | Drop):
                there[event.actor] = False
        others = [one for one, is_there in there.items() if is_there and one not in failed]
        claim = self._claims_of(worker).index(place)
        return Exchange(worker=worker, claim=claim, wanted=wanted, given="", handed_to=others[0]) if others else None

    def _failed(self, job: str, place: int) -> set[str]:
        """The workers that failed the job before that place."""
        ended = [turn for turn in self.turns if turn.job == job and turn.claim < place and turn.end is not None]
        return {turn.worker for turn in ended if self._fails(turn)}

    def _fails(self, turn: Turn) -> bool:
        return turn.end is not None and sent(self.events[turn.end]) == "fail_job"

    def _may_come_first(self, place: int, given: str) -> bool:
        """Whether no other job that waits for its first attempt, and that the worker serves, ranks before it.

        When the next attempt of one that failed is due is the server's to say.
        """
        worker, ranks = self.events[place].actor, self._ranks()
        fresh = [job for job, failed in self._waiting(place).items() if not failed and job != given]
        return all(ranks.get(given, LAST) > ranks.get(job, LAST) for job in fresh if self._lists(worker, job))

    def _ranks(self) -> dict[str, tuple[float, int]]:
        """Each job's priority, and how early it was submitted."""
        ranks: dict[str, tuple[float, int]] = {}
        for place, event in enumerate(self.events):
            job, priority = job_of(event), fields_of(event).get("priority")
            if job is not None and (job not in ranks or isinstance(priority, int | float)):
                age = ranks[job][1] if job in ranks else -place
                ranks[job] = (priority if isinstance(priority, int | float) else 0, age)
        return ranks

    def with_exchange(self, exchange: Exchange) -> tuple[Schedule, list[int]] | None:
        """With that worker's turn and the next one of the job that it was given in each other's places; and where each
        event stands now. What went before keeps its place.

        None where the recording has no such turn, or one that a worker left unended.
        """
        claims = self._claims_of(exchange.worker)
        if exchange.claim >= len(claims):
            return None
        slot = claims[exchange.claim]
        here = next((turn for turn in self.turns if turn.claim == slot), None)
        if exchange.handed_to:
            return self._handed_over(here, exchange.handed_to)
        there = next((turn for turn in self.turns if turn.claim > slot and turn.job == exchange.given), None)
        if there is None or there.end is None or (here is not None and here.end is None):
            return None
        if any(turn.job == exchange.given and turn.claim < slot and not _is_over(turn, slot) for turn in self.turns):
            return None  # it is given to a second one at once
        plan = Rearrangement(self.events, slot, self.turns)
        worker_id = str(fields_of(self.events[slot]).get("worker_id") or exchange.worker)
        plan.move(there, exchange.worker, worker_id, slot, here)
        if here is not None:  # its later attempts stay behind it
            again = [turn for turn in self.turns if turn.job == here.job and slot < turn.claim < there.claim]
            for turn, place in zip([here, *again], [*again, there], strict=True):
                plan.move(turn, place.worker, place.worker_id, place.claim, place)
        return self._after(plan, there.claim)

    def _handed_over(self, turn: Turn | None, worker: str) -> tuple[Schedule, list[int]] | None:
        """With that turn done by another worker, once it has ended what it holds."""
        if turn is None or turn.end is None:
            return None
        its = [one for one in self.turns if one.worker == worker]
        held = [one.end + 0.5 for one in its if one.claim < turn.claim and one.end is not None]
        plan = Rearrangement(self.events, turn.claim, self.turns)
        plan.move(turn, worker, its[0].worker_id if its else worker, max([turn.claim, *held]), None)
        return self._after(plan)

    def _after(self, plan: Rearrangement, *first: int) -> tuple[Schedule, list[int]]:
        events, places = plan.carried_out(*first)
        granted = frozenset(places[place] for place in self._granted)
        recorded: list[Hashable] = [None] * len(events)
        for old, new in enumerate(places):
            recorded[new] = self._recorded[old]
        # What tells of the queue is compared where the queue stands as it did in the recording.
        now = zip(events, recorded, states_of(events, granted), strict=True)
        sure = [event if then == state else unsure(event) for event, then, state in now]
        return Schedule(sure, granted, recorded), places


def without_crossings(events: Sequence[Event]) -> tuple[Event, ...]:
    """The recording without places in the queue and figures that were asked for while the hub had a worker to answer:
    which of the two it read first was chance.
    """
    begun: dict[tuple[str, str], int] = {}
    spans: list[tuple[int, int]] = []
    for place, event in enumerate(events):
        of = (event.actor, str(job_of(event)))
        if sent(event) in _ENDINGS or is_claim(event):
            begun[of] = place
        elif fields_of(event).get("type") in _ANSWERS_TO_WORKERS:
            spans.append((begun.pop(of, place), place))
    asked: dict[str, int] = {}
    found = list(events)
    for place, event in enumerate(events):
        if sent(event) in _ASKING:
            asked[event.actor] = place
        elif fields_of(event).get("type") in {"job_accepted", STATS}:
            began = asked.get(event.actor, place)
            if any(claimed < place and answered > began for claimed, answered in spans):
                found[place] = unsure(event)
    return tuple(found)


def followed(events: Sequence[Event], exchanges: Iterable[Exchange]) -> tuple[Event, ...]:
    """The recording with the stack's order of work."""
    schedule: Schedule | None = None
    for exchange in exchanges:
        schedule = schedule or Schedule(events)
        changed = schedule.with_exchange(exchange)
        schedule = changed[0] if changed else schedule
    return schedule.events if schedule else tuple(events)


def _is_over(turn: Turn, place: int) -> bool:
    return turn.end is not None and turn.end < place


def order_findings(exchanges: Sequence[Exchange]) -> list[tuple[Finding, Any]]:
    """What is to be told of the order, each with its message and how often it was so: that it was another one, that a
    job was tried by another worker, and what no order that was promised allows.
    """
    broken = [one for one in exchanges if one.promised]
    handed = [one for one in exchanges if one.handed_to and not one.promised]
    free = [one for one in exchanges if not one.promised and not one.handed_to]
    found = []
    for alike in filter(None, (free, handed, broken)):
        one = alike[0]
        kind = FindingKind.CHANGED if one.promised else FindingKind.REORDERED
        finding = Finding(
            kind=kind,
            actor=one.worker,
            role="worker",
            sentence=_sentence(one),
            message_type="job_assigned",
            field="job_id" if one.promised else "order",
            expected=one.wanted,
            observed=one.given or None,
            times=len(alike),
        )
        found.append((finding, {"type": "job_assigned", "promised": one.promised}))
    return found


def _sentence(one: Exchange) -> str:
    if one.promised:
        return sentence_of(FindingKind.CHANGED, one.worker, "job_assigned", "job_id", (one.wanted, one.given))
    goes_on = "and no order was promised: the replay follows the stack's order of work from there on."
    if one.handed_to:
        return f"{one.worker} had failed {one.wanted} in the stack's order, {one.handed_to} tries it, {goes_on}"
    return f"{one.worker} was given {one.given} where the recording has {one.wanted}, {goes_on}"


def _ends(event: Event, job: str) -> bool:
    """Whether a worker ends that job by it, or leaves."""
    ends = sent(event) in _ENDINGS and job_of(event) == job
    return ends or (isinstance(event, Outgoing) and not isinstance(event, Send))
