"""Mixes: any number of steps of clients and workers, played to a hub and recorded as a cassette while they are played.

A generator (Hypothesis) makes the steps; what the hub sends becomes the recording that a stack is then held against. A
step that is impossible where it stands is left out, so that any part of a mix is a mix: that is what shrinking needs.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from harness.cassettes import Cassette, Close, Event, Header, Incoming, Open, Receive, Role, Send
from harness.cassettes.replay.player import replay
from harness.cassettes.replay.transports import WebSocketActor
from harness.errors import CouldNotRun
from harness.parity import compare
from harness.parity.deviations import Deviations, View
from harness.parity.facts import as_facts
from harness.targets import HubTarget, Needs, TargetPool

CLIENTS: Final = ("client-1", "client-2")
WORKERS: Final = ("worker-1", "worker-2")
ANSWER_S: Final = 5.0
QUIET_S: Final = 0.01


class Submit(msgspec.Struct, frozen=True):
    """A client submits a job."""

    client: int
    priority: int


class Claim(msgspec.Struct, frozen=True):
    """An idle worker takes the first pending job that it has not failed."""

    worker: int


class Progress(msgspec.Struct, frozen=True):
    """A busy worker reports."""

    worker: int
    percent: int


class Complete(msgspec.Struct, frozen=True):
    """A busy worker is done."""

    worker: int


class Fail(msgspec.Struct, frozen=True):
    """A busy worker fails a job that nobody has failed before."""

    worker: int


class Cancel(msgspec.Struct, frozen=True):
    """A client cancels one of its jobs that waits."""

    client: int
    nth: int


class Ask(msgspec.Struct, frozen=True):
    """A client asks for the status of one of its jobs."""

    client: int
    nth: int


Step = Submit | Claim | Progress | Complete | Fail | Cancel | Ask


class _Job(msgspec.Struct):
    """A job as the mix knows it."""

    id: str
    client: str
    priority: int
    state: str = "pending"
    failed_by: str = ""


async def record_mix(steps: tuple[Step, ...], hub: HubTarget, *, name: str = "mix") -> Cassette:
    """Play the steps to a hub and answer the recording. Afterwards every job has ended, so a hub serves many mixes.

    Raises CouldNotRun where the hub does not answer.
    """
    mix = _Mix(hub)
    try:
        await mix.open()
        for step in steps:
            await mix.play(step)
        await mix.finish()
    finally:
        await mix.leave()
    header = Header(cassette=1, scenario=name, about=f"{len(steps)} generated steps.", target="hub")
    return Cassette(header=header, events=tuple(mix.events))


class _Mix:
    """A mix under way."""

    def __init__(self, hub: HubTarget) -> None:
        self._hub = hub
        self._began = time.monotonic()
        self._actors: dict[str, WebSocketActor] = {}
        self._jobs: list[_Job] = []
        self._held: dict[str, _Job] = {}
        self._news = asyncio.Event()
        self.events: list[Event] = []

    async def open(self) -> None:
        """Everybody comes, and the workers register."""
        for role, names in ((Role.CLIENT, CLIENTS), (Role.WORKER, WORKERS)):
            for name in names:
                path = f"/ws/{role.value}/{name}"
                self.events.append(Open(at=self._now(), actor=name, role=role, path=path))
                actor = self._actors[name] = WebSocketActor(name, self._arrived, self._broken, self._now)
                await actor.open(self._hub.ws_url + path, ANSWER_S, {})
                await self._received(name, 0, "connection_established")
        for name in WORKERS:
            capabilities = {"version": "1.0.0", "supported_job_types": ["simulation"]}
            before = await self._send(name, "register_worker", worker_id=name, capabilities=capabilities, status="idle")
            await self._received(name, before, "job_notifications_subscribed")

    async def play(self, step: Step) -> None:
        """Play one step, if it is possible now."""
        match step:
            case Submit(client=client, priority=priority):
                await self._submit(CLIENTS[client % len(CLIENTS)], priority)
            case Claim(worker=worker):
                await self._claim(WORKERS[worker % len(WORKERS)])
            case Progress(worker=worker, percent=percent):
                await self._report(WORKERS[worker % len(WORKERS)], percent)
            case Complete(worker=worker):
                await self._complete(WORKERS[worker % len(WORKERS)])
            case Fail(worker=worker):
                await self._fail(WORKERS[worker % len(WORKERS)])
            case Cancel(client=client, nth=nth):
                await self._with_job(self._cancel, client, nth, pending=True)
            case Ask(client=client, nth=nth):
                await self._with_job(self._ask, client, nth, pending=False)
        await self._quiet()

    async def finish(self) -> None:
        """End what has not ended, and go."""
        for worker in list(self._held):
            await self._complete(worker)
        for job in self._jobs:
            if job.state == "pending":
                await self._cancel(job)
        await self._quiet()
        for name, actor in self._actors.items():
            self.events.append(Close(at=self._now(), actor=name))
            await actor.close(1000)

    async def leave(self) -> None:
        """Leave nothing open, whatever happened."""
        for actor in self._actors.values():
            await actor.drop()

    async def _submit(self, client: str, priority: int) -> None:
        payload = {"n": len(self._jobs)}
        before = await self._send(client, "submit_job", job_type="simulation", priority=priority, payload=payload)
        accepted = await self._received(client, before, "job_accepted")
        self._jobs.append(_Job(accepted["job_id"], client, priority))

    async def _claim(self, worker: str) -> None:
        waiting = [job for job in self._jobs if job.state == "pending" and job.failed_by != worker]
        if worker in self._held or not waiting:
            return
        job = max(waiting, key=lambda one: one.priority)
        job.state, self._held[worker] = "claimed", job
        before = await self._send(worker, "claim_job", worker_id=worker, job_id=job.id)
        await self._received(worker, before, "job_assigned", job_id=job.id)
        await self._received(job.client, before, "response_job_status", job_id=job.id, status="processing")

    async def _report(self, worker: str, percent: int) -> None:
        if (job := self._held.get(worker)) is not None:
            fields = {"job_id": job.id, "worker_id": worker, "progress": percent, "message": f"step {percent}"}
            before = await self._send(worker, "update_job_progress", status="processing", **fields)
            await self._received(job.client, before, "update_job_progress", job_id=job.id)

    async def _complete(self, worker: str) -> None:
        if (job := self._held.pop(worker, None)) is not None:
            job.state = "completed"
            result = {"made": job.id}
            before = await self._send(worker, "complete_job", job_id=job.id, worker_id=worker, result=result)
            await self._received(job.client, before, "complete_job", job_id=job.id)
            await self._received(worker, before, "job_completed_ack", job_id=job.id)
            await self._send(worker, "worker_status", worker_id=worker, status="idle")

    async def _fail(self, worker: str) -> None:
        job = self._held.get(worker)
        if job is None or job.failed_by:
            return
        del self._held[worker]
        job.state, job.failed_by = "pending", worker
        before = await self._send(worker, "fail_job", job_id=job.id, worker_id=worker, error="no memory")
        await self._received(job.client, before, "fail_job", job_id=job.id)
        await self._received(worker, before, "job_failed_ack", job_id=job.id)
        await self._send(worker, "worker_status", worker_id=worker, status="idle")

    async def _with_job(self, act: Callable[[_Job], Any], client: int, nth: int, *, pending: bool) -> None:
        name = CLIENTS[client % len(CLIENTS)]
        jobs = [job for job in self._jobs if job.client == name and (not pending or job.state == "pending")]
        if jobs:
            await act(jobs[nth % len(jobs)])

    async def _cancel(self, job: _Job) -> None:
        job.state = "cancelled"
        before = await self._send(job.client, "cancel_job", job_id=job.id)
        await self._received(job.client, before, "response_job_status", times=2, job_id=job.id, status="cancelled")

    async def _ask(self, job: _Job) -> None:
        before = await self._send(job.client, "request_job_status", job_id=job.id)
        await self._received(job.client, before, "response_job_status", job_id=job.id)

    async def _send(self, actor: str, word: str, **fields: Any) -> int:
        message = {"type": word, **fields}
        self.events.append(Send(at=self._now(), actor=actor, message=message))
        await self._actors[actor].send(message, is_text=False)
        return len(self.events)

    async def _received(self, actor: str, after: int, word: str, *, times: int = 1, **fields: Any) -> dict[str, Any]:
        """Wait until the actor has received that, so many times, after a place in the recording."""
        wanted = {"type": word, **fields}
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    found = [
                        event.content
                        for event in self.events[after:]
                        if isinstance(event, Receive) and event.actor == actor and _has(event.content, wanted)
                    ]
                    if len(found) >= times:
                        return dict(found[0])
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            raise CouldNotRun(f"the hub did not send {actor} {wanted} within {ANSWER_S:g} s") from error

    async def _quiet(self) -> None:
        """Until nothing has come for a moment."""
        while True:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), QUIET_S)
            except TimeoutError:
                return

    def _arrived(self, event: Incoming) -> None:
        self.events.append(event)
        self._news.set()

    def _broken(self, sentence: str) -> None:
        raise CouldNotRun(sentence)

    def _now(self) -> float:
        return round((time.monotonic() - self._began) * 1000, 1)


def _has(content: Any, wanted: dict[str, Any]) -> bool:
    return isinstance(content, dict) and all(content.get(name) == value for name, value in wanted.items())


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A mix on both sides: the hub's recording, and what on the stack was different and not declared."""

    cassette: Cassette
    sentences: tuple[str, ...]


async def compare_on_both(
    steps: tuple[Step, ...], hub: HubTarget, stack: TargetPool, deviations: Deviations, today: dt.date
) -> Comparison:
    """Record a mix on the hub, play it to the stack with old clients and with those of the other kind, and compare."""
    cassette = await record_mix(steps, hub)
    sentences: list[str] = []
    for view in View:
        modern = view is View.FACTS
        async with stack.acquire(Needs()) as target:
            transcript = await replay(cassette, target, modern_clients=modern)
        reference = as_facts(cassette.events) if modern else cassette.events
        findings = compare(reference, transcript.events, workers_by_facts=True)
        found = deviations.declare(findings, cassette.name, today, view)
        sentences += [f"{view.value}: {finding.sentence}" for finding in found if not finding.excused]
    return Comparison(cassette=cassette, sentences=tuple(sentences))
