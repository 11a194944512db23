"""Plays a recording by protocols alone: its clients ask for the same in the words of the target, workers started as its
protocol says do what was done, and what clients are told of their jobs is compared.

The recording's own words may be another protocol's: so a hub's recording is played on a stack that nobody here knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from harness.cassettes import Cassette, Event, Open, Receive, Role, load
from harness.cassettes.conversation import WORK, Conversation, Doing, Hearing, conversation_of
from harness.cassettes.replay.compatibility import LeftOut
from harness.cassettes.replay.files import CassetteResult, concluded
from harness.cassettes.replay.player import Transcript
from harness.clients.spoken_client import NotTaken, NotTold, SpokenClient
from harness.clients.spoken_side import SpokenSide
from harness.errors import CouldNotRun
from harness.parity import parity_of
from harness.parity.facts import Fact, fact_of
from harness.parity.findings import folded
from harness.protocols import ENDED_STATES, ENDS, EventKind, JobEvent, JobState
from harness.protocols.asked import Asked
from harness.protocols.description import Described
from harness.protocols.known import SHIPPED, shipped
from harness.results import CellVerdict

DEADLINE_S: Final = 5.0
"""For what the recording has, beyond what the recording itself took for it."""
PATIENCE_S: Final = 40.0
"""The most that a recorded wait adds to that."""
WHOLE_S: Final = 300.0
QUIET_S: Final = 0.3
AT_ONCE_MS: Final = 100.0
MOST_WORKERS: Final = 4
COMPARED: Final = ("type", "job_id", "progress", "error", "result")
ANSWERS: Final = frozenset({EventKind.ACCEPTED, EventKind.REFUSED, EventKind.STATUS})
"""What a client is told when it asks, and not when something happens."""
SAME_WORD: Final = {EventKind.FAILED: EventKind.ATTEMPT_FAILED}
"""Not every protocol has a word for the last failure: it is one of an attempt."""


async def run_by_protocol(
    files: Sequence[Path],
    side: SpokenSide,
    *,
    recorded: Described | None = None,
    done: Callable[[CassetteResult], None] = lambda _: None,
) -> list[CassetteResult]:
    """Play each file and judge it. `recorded` is what was spoken when it was recorded; without it, what the target
    speaks, or else the protocol that comes with hubgate and knows the words. What cannot be played says why before
    anything of it is sent.
    """
    results = []
    for path in files:
        results.append(await _result(path, side, recorded))
        done(results[-1])
    return results


def _read(cassette: Cassette, protocols: Sequence[Described]) -> tuple[Described, Conversation]:
    """The recording by the first protocol in whose words a client submits; by the first of all where none does."""
    read = [(words, conversation_of(cassette, words)) for words in protocols]
    return next((one for one in read if "submit" in one[1].asked), read[0])


async def _result(path: Path, side: SpokenSide, recorded: Described | None) -> CassetteResult:
    cassette = None
    try:
        cassette = await asyncio.to_thread(load, path)
        words, conversation = _read(cassette, [recorded] if recorded else [side.protocol, *map(shipped, SHIPPED)])
        check_playable(conversation, words, side)
        async with asyncio.timeout(WHOLE_S):
            playing = _Playing(cassette, conversation, words, side)
            transcript = await playing.play()
    except CouldNotRun as error:
        verdict = CellVerdict.NOT_APPLICABLE if isinstance(error, LeftOut) else CellVerdict.INCONCLUSIVE
        return CassetteResult(path=path, cassette=cassette, verdict=verdict, reason=str(error))
    except TimeoutError:
        why = f"it was not played to its end within {WHOLE_S:g} s"
        return CassetteResult(path=path, cassette=cassette, verdict=CellVerdict.INCONCLUSIVE, reason=why)
    reference = playing.reference
    parity = parity_of(reference, transcript.events)
    return concluded(path, cassette, transcript, reference, folded(parity.findings, parity.frames), parity.rows)


def check_playable(conversation: Conversation, words: Described, side: SpokenSide) -> None:
    """Raise LeftOut, or CouldNotRun, where this recording cannot be played on that target by their protocols."""
    described, name = side.protocol.description, side.protocol.name
    asked = conversation.asked
    if conversation.monitors:
        raise LeftOut("A monitor looks at all that is on the target, and there may be jobs and workers of others.")
    if "submit" not in asked:
        raise LeftOut(f"No client of it submits a job in the words of the protocol {words.name}.")
    if any(step.asked and step.asked.action == "submit" and not step.job for step in conversation.doings):
        raise LeftOut("A submission in it was not taken, and by a protocol only sound ones are made.")
    if conversation.cut_off:
        raise LeftOut(f"Its worker {conversation.cut_off[0]} is cut off, and those that the protocol starts are not.")
    if unsaid := [action for action in sorted(asked - {"follow"}) if getattr(described, action) is None]:
        raise LeftOut(f"Its clients {unsaid[0]} jobs, and the protocol {name} has no [{unsaid[0]}].")
    side.require_ends()
    if conversation.worked_on and described.worker is None:
        raise LeftOut(f"Workers do its jobs, and the protocol {name} does not say how one is started ([worker]).")
    if conversation.worked_on:
        side.require_workers()


class _Playing:
    """One recording under way."""

    def __init__(self, cassette: Cassette, conversation: Conversation, words: Described, side: SpokenSide) -> None:
        self._cassette, self._conversation, self._side = cassette, conversation, side
        self._by_itself = words.description.told
        """Whether, in the recording, who submits is told without asking for it."""
        both = [{SAME_WORD.get(kind, kind) for kind in protocol.tells} for protocol in (words, side.protocol)]
        self._told = (both[0] & both[1]) | ANSWERS
        self._ids: dict[str, str] = {}
        """The target's ids to the recording's."""
        self._early: dict[str, list[tuple[str, JobEvent]]] = {}
        """What was told of jobs before their submission was answered."""
        self._listening: set[tuple[str, str]] = set()
        """Actors and the jobs that they follow."""
        self._count: Counter[tuple[str, str]] = Counter()
        self._given_up: Counter[tuple[str, str]] = Counter()
        self._cancelled: set[tuple[str, str]] = set()
        self._changed = asyncio.Event()
        self._clients: dict[str, SpokenClient] = {}
        self._services = {True: side.service(), False: side.service()}
        """Of jobs that are worked on, and of those that wait for nobody."""
        self._observed: list[Event] = []
        self._incidents: list[str] = []
        self._began = time.monotonic()

    @property
    def reference(self) -> tuple[Event, ...]:
        """What the recording's clients were told, as far as the target's protocol can tell it."""
        heard = (
            step
            for step in self._conversation.heard
            if step.event.state is None or self._is_settled(step.event.job_id, step.event.state)
        )
        found = [(step, self._fact(step.event, step.event.job_id)) for step in heard]
        told = [Receive(at=step.at, actor=step.actor, message=fact) for step, fact in found if fact]
        return (*_opened(told), *told)

    async def play(self) -> Transcript:
        began_s, steps = time.time(), self._conversation.steps
        left: list[str] = []
        try:
            async with self._workers(), contextlib.AsyncExitStack() as connected:
                for place, step in enumerate(steps):
                    if isinstance(step, Doing):
                        await self._causes(place)
                        await self._do(place, step, connected)
                await self._causes(len(steps))
                await asyncio.sleep(QUIET_S)
                self._forget_what_went_before()
        finally:
            left = await self._side.leave()
            self._side.jobs.clear()
        return Transcript(
            scenario=self._cassette.name,
            target=self._side.target.side.value,
            events=(*_opened(self._observed), *self._observed),
            bindings={recorded: given for given, recorded in self._ids.items()},
            incidents=tuple(self._incidents),
            left_behind=tuple(left),
            took_s=time.monotonic() - self._began,
            began_s=began_s,
        )

    @asynccontextmanager
    async def _workers(self) -> AsyncIterator[None]:
        jobs = len(self._conversation.worked_on)
        if not jobs:
            yield
            return
        await self._side.check_worker()
        async with self._side.workers(min(jobs, MOST_WORKERS), self._services[True]):
            yield

    def _wanted(self, place: int) -> Counter[tuple[str, str]]:
        """How much each actor has been told of each job before that place of the recording, without being asked."""
        told = (step for step in self._conversation.steps[:place] if isinstance(step, Hearing))
        happened = (step for step in told if step.event.kind not in ANSWERS and self._kind(step.event) in self._told)
        return Counter((step.actor, step.event.job_id) for step in happened)

    async def _causes(self, place: int) -> None:
        """Wait until all that the recording has before that place was told; what does not come is given up."""
        steps, wanted = self._conversation.steps[:place], self._wanted(place)
        acted = max((step.at for step in steps if isinstance(step, Doing)), default=0.0)
        took_s = max((step.at - acted for step in steps), default=0.0) / 1000
        limit = time.monotonic() + DEADLINE_S + min(PATIENCE_S, max(0.0, took_s))
        while missing := (wanted - self._count) - self._given_up:
            self._changed.clear()
            try:
                async with asyncio.timeout(limit - time.monotonic()):
                    await self._changed.wait()
            except TimeoutError:
                self._given_up += missing
                self._incidents += [f"{actor} was not told all of {job} in time" for actor, job in missing]

    async def _do(self, place: int, step: Doing, connected: contextlib.AsyncExitStack) -> None:
        if step.asked is None:
            self._leave(place, step)
            return
        client = self._clients.get(step.actor)
        if client is None:
            client = self._side.client(heard=partial(self._heard, step.actor))
            self._clients[step.actor] = await connected.enter_async_context(client)
        try:
            await self._ask(client, step, step.asked)
        except NotTold as why:
            self._incidents.append(f"{step.actor}: {why}")

    def _leave(self, place: int, step: Doing) -> None:
        """It is told nothing more; and nothing of what its last act led to, where it left at once."""
        before = self._conversation.steps[:place]
        acted = max((one.at for one in before if isinstance(one, Doing) and one.actor == step.actor), default=0.0)
        gone = {(actor, job) for actor, job in self._listening if actor == step.actor}
        self._listening -= gone
        for key in gone if step.at - acted < AT_ONCE_MS else ():
            self._drop(key, slice(self._due(key, place), None))

    def _forget_what_went_before(self) -> None:
        """Who follows late may be told all, or what comes from then on: by the recording it was so much."""
        steps = self._conversation.steps
        for place, step in enumerate(steps):
            if isinstance(step, Doing) and step.asked and step.asked.action == "follow":
                before = (one for one in steps[:place] if isinstance(one, Hearing) and one.event.job_id == step.job)
                if any(one.event.kind not in ANSWERS for one in before):
                    key = (step.actor, step.job)
                    self._drop(key, slice(0, max(0, self._count[key] - self._due(key, len(steps)))))

    def _due(self, key: tuple[str, str], place: int) -> int:
        """How much the recording tells that actor of that job before that place."""
        return self._wanted(place)[key]

    def _drop(self, key: tuple[str, str], which: slice) -> None:
        told = [
            event
            for event in self._observed
            if isinstance(event, Receive)
            and (event.actor, event.content["job_id"]) == key
            and event.content["type"] not in {kind.value for kind in ANSWERS}
        ]
        for event in told[which]:
            self._observed.remove(event)

    async def _ask(self, client: SpokenClient, step: Doing, asked: Asked) -> None:
        job = step.job
        there = next((given for given, here in self._ids.items() if here == job), f"hubgate-unknown-{uuid4()}")
        match asked.action:
            case "submit":
                await self._submit(client, step, asked)
            case "follow":
                self._listening.add((step.actor, job))
                await client.follow(there)
            case "ask":
                ends = step.state in ENDED_STATES
                status = await client.settled(there, ENDED_STATES if ends else set(JobState), DEADLINE_S)
                if step.state and self._is_settled(job, step.state):  # else it left before it was answered, or chance
                    answer = JobEvent(kind=EventKind.STATUS, state=status.state, result=status.result)
                    self._put(step.actor, answer, job)
            case "cancel":
                await client.cancel(there, asked.reason or "not needed any more")
            case _:
                await client.retry(there)

    async def _submit(self, client: SpokenClient, step: Doing, asked: Asked) -> None:
        """The job as it was, with a service of this run's own, and for our worker what it did."""
        worked_on = step.job in self._conversation.worked_on
        payload = asked.payload
        if worked_on:
            script = self._side.payload(*script_of(self._best_told(step.job)))
            payload = {**payload, **script} if isinstance(payload, dict) and isinstance(script, dict) else script
        if self._by_itself:
            self._listening.add((step.actor, step.job))
        try:
            given = await client.submit(
                payload,
                service=self._services[worked_on],
                priority=asked.priority,
                job_id=f"{asked.job_id}-{uuid4()}" if asked.job_id else None,
                follow=self._by_itself,
            )
        except NotTaken:
            self._put(step.actor, JobEvent(kind=EventKind.REFUSED), "")
            return
        self._ids[given] = step.job
        self._put(step.actor, JobEvent(kind=EventKind.ACCEPTED), step.job)
        for actor, event in self._early.pop(given, []):
            self._heard(actor, event)

    def _best_told(self, job: str) -> list[Hearing]:
        """What the actor was told that was told most of that job, and what was answered to anybody."""
        told: dict[str, list[Hearing]] = {}
        about = [step for step in self._conversation.heard if step.event.job_id == job]
        for step in about:
            if step.event.kind in WORK | ENDS:
                told.setdefault(step.actor, []).append(step)
        return [*max(told.values(), key=len, default=[]), *(step for step in about if is_done(step.event))]

    def _heard(self, actor: str, event: JobEvent) -> None:
        if event.kind in ANSWERS:
            return
        if event.job_id not in self._ids:
            self._early.setdefault(event.job_id, []).append((actor, event))
            return
        job = self._ids[event.job_id]
        key = (actor, job)
        twice = event.kind is EventKind.CANCELLED and key in self._cancelled
        if key in self._listening and not twice and self._kind(event) in self._told:
            self._cancelled |= {key} if event.kind is EventKind.CANCELLED else set()
            self._count[key] += 1
            self._put(actor, event, job)
            self._changed.set()

    def _is_settled(self, job: str, state: JobState) -> bool:
        """Whether no worker could have changed it meanwhile: else how a job stands depends on the moment."""
        return state in ENDED_STATES or job not in self._conversation.worked_on

    def _put(self, actor: str, event: JobEvent, job: str) -> None:
        if (fact := self._fact(event, job)) is not None:
            at = round((time.monotonic() - self._began) * 1000, 1)
            self._observed.append(Receive(at=at, actor=actor, message=fact))

    def _kind(self, event: JobEvent) -> EventKind:
        return SAME_WORD.get(event.kind, event.kind)

    def _fact(self, event: JobEvent, job: str) -> Fact | None:
        """What happened, without what workers and their words add to it; None where one side cannot tell it."""
        if self._kind(event) not in self._told:
            return None
        if event.kind is EventKind.REFUSED:
            return {"type": "refused", "job_id": job}
        if event.kind is EventKind.STATUS:
            state = event.state or JobState.UNKNOWN
            return {"type": "status", "job_id": job, "status": state.value, "result": event.result}
        fact = fact_of(event) or {}
        return {name: value for name, value in {**fact, "job_id": job}.items() if name in COMPARED} if fact else None


def _opened(told: Sequence[Event]) -> list[Event]:
    """Each actor as a client with a connection."""
    actors = dict.fromkeys(event.actor for event in told)
    return [Open(at=0.0, actor=actor, role=Role.CLIENT, path=f"/{actor}") for actor in actors]


MOST_PAUSE_MS: Final = 250.0
NEVER_ENDS: Final = [{"sleep_ms": MOST_PAUSE_MS}] * 240
"""A minute in which a job that the recording cancels, or leaves running, does not end."""


def script_of(heard: Sequence[Hearing]) -> list[dict[str, Any]]:
    """What a worker does, by what one client was told of a job: attempts that fail in the same place, then the last."""
    failures = [step for step in heard if step.event.kind in {EventKind.ATTEMPT_FAILED, EventKind.FAILED}]
    first = heard[: heard.index(failures[0])] if failures else heard
    last = heard[heard.index(failures[-1]) + 1 :] if failures else []
    steps, again = _updates(first), any(step.event.kind in WORK for step in last)
    for number, failure in enumerate(failures, 1):  # the attempt of that number ends there
        once = {"attempts": number} if again or number < len(failures) else {}
        steps.append({"fail": failure.event.error or "failed", **once})
    steps += _updates(last)[len(_updates(first)) :]
    ended = [step.event for step in heard if step.event.kind is EventKind.COMPLETED or is_done(step.event)]
    if failures and not again:
        return steps
    return [*steps, {"result": ended[0].result}] if ended else [*steps, *NEVER_ENDS]


def is_done(event: JobEvent) -> bool:
    """Whether somebody who asked was answered that the job has completed."""
    return event.kind is EventKind.STATUS and event.state is JobState.COMPLETED


def _updates(heard: Sequence[Hearing]) -> list[dict[str, Any]]:
    """The progress, with the pauses before it."""
    steps: list[dict[str, Any]] = []
    for before, step in itertools.pairwise([*heard[:1], *heard]):
        if step.event.kind is EventKind.PROGRESS:
            pause_ms = min(MOST_PAUSE_MS, max(0.0, step.at - before.at))
            steps += [{"sleep_ms": round(pause_ms)}, {"progress": step.event.progress}]
    return steps
