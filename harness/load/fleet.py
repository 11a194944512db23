"""The fleet: worker processes of a deployment that are started, measured, and watched."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil

from harness.errors import ProcessDied
from harness.history import HistoryEvent
from harness.load.latencies import Histogram
from harness.load.results import FleetResult, WorkerExit
from harness.processes import Launch, OwnExit, Process, Processes
from harness.protocols import EventKind
from harness.targets import Deployment
from harness.tasks import few_at_once
from harness.workers.journal import Entry, entries_in

AT_ONCE: Final = 2 * (os.cpu_count() or 1)
"""Starts under way at once: more would only measure how they hinder each other."""
WATCH_S: Final = 0.5


class Fleet:
    """The workers of a deployment; `watch` brings back those that exit on their own."""

    def __init__(self, deployment: Deployment, processes: Processes) -> None:
        self._deployment = deployment
        self._processes = processes
        self._start = Histogram()
        self._start_cpu = Histogram()
        self._started_s = 0.0
        self._size = 0
        self._journal: Path | None = None
        self._back: dict[OwnExit, float] = {}
        self._found_gone: list[Process] = []
        """Workers whose exit was noticed by who asked for the exits, before `watch` came to look."""

    @property
    def exits(self) -> list[WorkerExit]:
        """Those that were nobody's doing, also of a worker that somebody struck before anyone had noticed."""
        exits = []
        poisoned = [one for one in self._entries() if one.kind is EventKind.POISONED]
        for worker in self._deployment.workers:
            if worker.expected_to_live and not worker.alive:
                worker.note_own_exit()
                self._found_gone.append(worker)
            for one in worker.own_exits:
                back, status = self._back.get(one), one.error.returncode
                alone = WorkerExit(worker=worker.name, at=one.at, ours=False, back_after_s=back, status=status)
                exits.append(_asked(alone, poisoned))
        return exits

    def _entries(self) -> Iterable[Entry]:
        """What the workers have written down so far."""
        return entries_in(self._journal) if self._journal else ()

    async def start(self, launches: Sequence[Launch], *, environment: Mapping[str, str], journal: Path) -> None:
        """Start these workers, which write their journals there, and wait until each is ready. Raises CouldNotRun."""
        self._journal = journal
        began = time.monotonic()
        launches = [msgspec.structs.replace(one, environment=one.environment | dict(environment)) for one in launches]
        started = await few_at_once(self._start_one, launches, AT_ONCE)
        self._deployment.workers += started
        self._started_s = time.monotonic() - began
        self._size = len(launches)

    async def watch(self) -> None:
        """For as long as it runs: note who exited on its own, and start it again."""
        while True:
            await asyncio.sleep(WATCH_S)
            found, self._found_gone = self._found_gone, []
            gone = [one for one in self._deployment.workers if not one.alive and (one.expected_to_live or one in found)]
            for worker in gone:
                worker.note_own_exit()
            await asyncio.gather(*map(self._bring_back, gone))

    def result(self, events: Iterable[HistoryEvent]) -> FleetResult:
        """What there is to say of it now; what was done to its workers is in the events of the history."""
        exits = [*self.exits, *exits_of(events)]
        return FleetResult(
            size=self._size,
            alive=sum(1 for worker in self._deployment.workers if worker.alive),
            started_s=round(self._started_s, 3),
            start_ms=self._start.series("start"),
            start_cpu_ms=self._start_cpu.series("processor time of the start"),
            exits=sorted(exits, key=lambda one: one.at),
        )

    async def _start_one(self, launch: Launch) -> Process:
        began = time.monotonic()
        worker = await self._processes.astart(launch)
        self._start.record(time.monotonic() - began)
        spent = psutil.Process(worker.pid).cpu_times()
        self._start_cpu.record(spent.user + spent.system)
        return worker

    async def _bring_back(self, worker: Process) -> None:
        """Start it again. Whoever strikes it meanwhile brings it back; where it ends on its own, the next look does."""
        ended = worker.own_exits[-1]
        try:
            await worker.arestart()
        except ProcessDied:
            if worker.own_exits[-1] is not ended:
                self._found_gone.append(worker)
        else:
            self._back[ended] = time.time() - ended.at


def _asked(alone: WorkerExit, poisoned: list[Entry]) -> WorkerExit:
    """The exit, and where a job asked for it, when that was; each line of a journal explains one exit."""
    for line in poisoned:
        at = line.at_ms / 1000
        if alone.status == -signal.SIGKILL and line.worker == alone.worker and at <= alone.at:
            poisoned.remove(line)
            back_after_s = None if alone.back_after_s is None else alone.at + alone.back_after_s - at
            return msgspec.structs.replace(alone, at=at, back_after_s=back_after_s, asked=True)
    return alone


def exits_of(events: Iterable[HistoryEvent]) -> list[WorkerExit]:
    """The workers that a nemesis killed or sent away, and when each was back."""
    exits: list[WorkerExit] = []
    away: dict[str, int] = {}
    for event in events:
        if event.worker_id is None:
            continue
        at = event.at_ms / 1000
        if event.kind in (EventKind.KILLED, EventKind.TERMINATED) and event.worker_id not in away:
            away[event.worker_id] = len(exits)
            exits.append(WorkerExit(worker=event.worker_id, at=at, ours=True, back_after_s=None))
        elif event.kind is EventKind.UP and event.worker_id in away:
            number = away.pop(event.worker_id)
            exits[number] = msgspec.structs.replace(exits[number], back_after_s=at - exits[number].at)
    return exits
