"""Mixes: any number of moves of clients and workers, played to a hub through the recorder.

A generator (Hypothesis) makes the moves; what the hub sends becomes the recording that a stack is then held against. A
move that is impossible where it stands is left out, so that any part of a mix is a mix: that is what shrinking needs.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from harness.cassettes import Cassette, load
from harness.cassettes.record import Recorder, Sessions
from harness.cassettes.replay.player import replay
from harness.clients import ExpectationTimeout, LegacyClient, RecordingSocket
from harness.errors import CouldNotRun
from harness.parity import parity_of
from harness.parity.deviations import Deviations, View
from harness.parity.facts import as_facts
from harness.protocols import hub as words
from harness.protocols.script import Step
from harness.targets import HubTarget, Needs, TargetPool

CLIENTS: Final = ("client-1", "client-2")
WORKERS: Final = ("worker-1", "worker-2")
MIX: Final = "mix"
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


Move = Submit | Claim | Progress | Complete | Fail | Cancel | Ask


class _Job(msgspec.Struct):
    """A job as the mix knows it."""

    id: str
    client: LegacyClient
    priority: int
    state: str = "pending"
    failed_by: str = ""


async def record_mix(moves: tuple[Move, ...], hub: HubTarget) -> Cassette:
    """Play the moves to a hub and answer the recording. Afterwards every job has ended, so a hub serves many mixes.

    Raises CouldNotRun where the hub does not answer.
    """
    with TemporaryDirectory() as folder:
        sessions = Sessions(Path(folder, f"{MIX}.jsonl"), about=f"{len(moves)} generated moves.")
        sessions.begin(MIX)
        try:
            async with Recorder(hub.http_url, sessions) as recorder, AsyncExitStack() as opened:
                clients = [await opened.enter_async_context(LegacyClient(recorder.ws_url, who)) for who in CLIENTS]
                workers = [RecordingSocket(recorder.ws_url, "worker", who) for who in WORKERS]
                mix = _Mix(clients, [await opened.enter_async_context(worker) for worker in workers])
                await mix.play(moves)
        except ExpectationTimeout as error:
            raise CouldNotRun(f"the hub did not answer: {error}") from error
        finally:
            sessions.end(MIX)
        return load(sessions.written[0])


class _Mix:
    """A mix under way."""

    def __init__(self, clients: list[LegacyClient], workers: list[RecordingSocket]) -> None:
        self._clients, self._workers = clients, workers
        self._jobs: list[_Job] = []
        self._held: dict[str, _Job] = {}

    async def play(self, moves: tuple[Move, ...]) -> None:
        """Register the workers, make every move that is possible when its turn comes, and end what has not ended."""
        for client in self._clients:
            await client.expect("connection_established")
        for worker in self._workers:
            await worker.send(words.register(worker.name, ["simulation"]))
            await worker.expect("job_notifications_subscribed")
        for move in moves:
            await self._make(move)
            await self._quiet()
        for worker in self._workers:
            await self._end(worker)
        for job in self._jobs:
            await self._cancel(job)
        await self._quiet()

    async def _make(self, move: Move) -> None:
        match move:
            case Submit():
                client = self._clients[move.client % len(CLIENTS)]
                job_id = await client.submit({"n": len(self._jobs)}, priority=move.priority, timeout_s=ANSWER_S)
                self._jobs.append(_Job(job_id, client, move.priority))
            case Cancel() | Ask():
                jobs = self._jobs_of(self._clients[move.client % len(CLIENTS)], pending=isinstance(move, Cancel))
                if jobs:
                    job = jobs[move.nth % len(jobs)]
                    await (self._cancel(job) if isinstance(move, Cancel) else job.client.status(job.id))
            case Claim():
                await self._claim(self._workers[move.worker % len(WORKERS)])
            case Progress():
                await self._report(self._workers[move.worker % len(WORKERS)], move.percent)
            case Complete() | Fail():
                await self._end(self._workers[move.worker % len(WORKERS)], failing=isinstance(move, Fail))

    def _jobs_of(self, client: LegacyClient, *, pending: bool) -> list[_Job]:
        return [job for job in self._jobs if job.client is client and (not pending or job.state == "pending")]

    async def _claim(self, worker: RecordingSocket) -> None:
        waiting = [job for job in self._jobs if job.state == "pending" and job.failed_by != worker.name]
        if worker.name in self._held or not waiting:
            return
        job = max(waiting, key=lambda one: one.priority)
        job.state, self._held[worker.name] = "claimed", job
        before = len(job.client.received)
        await worker.send(words.claim(worker.name, job.id))
        await worker.expect("job_assigned", job_id=job.id, timeout_s=ANSWER_S)
        processing = {"job_id": job.id, "status": "processing"}
        await job.client.expect("response_job_status", **processing, timeout_s=ANSWER_S, after=before)

    async def _report(self, worker: RecordingSocket, percent: int) -> None:
        if (job := self._held.get(worker.name)) is not None:
            before = len(job.client.received)
            step = Step(progress=percent, message=f"step {percent}")
            await worker.send(words.progress(worker.name, job.id, step, time.time()))
            await job.client.expect("update_job_progress", job_id=job.id, timeout_s=ANSWER_S, after=before)

    async def _end(self, worker: RecordingSocket, *, failing: bool = False) -> None:
        """Complete the job that the worker holds, or fail it, if nobody has failed it before."""
        job = self._held.get(worker.name)
        if job is None or (failing and job.failed_by):
            return
        del self._held[worker.name]
        if failing:
            job.state, job.failed_by = "pending", worker.name
            await worker.send(words.fail(worker.name, job.id, "no memory"))
        else:
            job.state = "completed"
            await worker.send(words.complete(worker.name, job.id, {"made": job.id}))
        await job.client.expect("fail_job" if failing else "complete_job", job_id=job.id, timeout_s=ANSWER_S)
        await worker.expect("job_failed_ack" if failing else "job_completed_ack", job_id=job.id, timeout_s=ANSWER_S)
        await worker.send(words.worker_status(worker.name, "idle"))

    async def _cancel(self, job: _Job) -> None:
        """Cancel a job that waits. Who submitted it is told twice: as the one who asked, and as the subscriber."""
        if job.state == "pending":
            job.state = "cancelled"
            await job.client.cancel(job.id, timeout_s=ANSWER_S)
            told = {"job_id": job.id, "status": "cancelled"}
            await job.client.wait_for(lambda _: len(job.client.messages(**told)) > 1, f"{told} again")

    async def _quiet(self) -> None:
        """Until nothing has come for a moment."""
        before = -1
        while (received := sum(len(actor.received) for actor in (*self._clients, *self._workers))) != before:
            before = received
            await asyncio.sleep(QUIET_S)


class MixComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A mix on both sides: the hub's recording, and what on the stack was different and not declared."""

    cassette: Cassette
    sentences: tuple[str, ...]


async def compare_on_both(
    moves: tuple[Move, ...], hub: HubTarget, stack: TargetPool, deviations: Deviations, today: dt.date
) -> MixComparison:
    """Record a mix on the hub, play it to the stack with old clients and with those of the other kind, and compare."""
    cassette = await record_mix(moves, hub)
    sentences: list[str] = []
    for view in View:
        modern = view is View.FACTS
        async with stack.acquire(Needs()) as target:
            transcript = await replay(cassette, target, modern_clients=modern)
        reference = as_facts(cassette.events) if modern else cassette.events
        parity = parity_of(reference, transcript.events, workers_by_facts=True, began=transcript.began_s)
        found = deviations.declare(parity.findings, cassette.name, today, view, parity.frames, parity.jobs)
        sentences += [f"{view.value}: {finding.sentence}" for finding in found if not finding.excused]
    return MixComparison(cassette=cassette, sentences=tuple(sentences))
