"""Faults of processes, Redis among them: killed, terminated or stopped, in waves or when a job reaches a named point of
its life, and brought back.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from harness.errors import ProcessDied
from harness.faults.nemesis import Nemesis
from harness.history import HistoryEvent, HistoryWriter
from harness.processes import EnvironmentFailure, Process, Valkey
from harness.protocols import EventKind

START_S: Final = 30.0
CANNOT_START: Final = 3
"""The exit status by which a process of the stack says so."""
EXIT_S = 40.0
"""A terminated process has so long to finish its work; then it is killed, and the history says so."""


class Signal(StrEnum):
    """What a process gets."""

    KILL = "SIGKILL"
    TERMINATE = "SIGTERM"
    STOP = "SIGSTOP"
    ABORT = "SIGABRT"
    """It crashes, by the harness's hand."""


class Trigger(StrEnum):
    """The point in a job's life, as its events show it, at which its worker is struck."""

    AFTER_CLAIM = "after claim"
    MID_PROGRESS = "mid-progress"
    BEFORE_COMPLETION = "before completion"


class Role(StrEnum):
    """What a process is to the system: the history's notes differ."""

    WORKER = "worker"
    SERVER = "server"
    REDIS = "redis"


REDIS_NOTES: Final = dict.fromkeys(
    (EventKind.KILLED, EventKind.TERMINATED, EventKind.STOPPED), EventKind.REDIS_DOWN
) | dict.fromkeys((EventKind.CONTINUED, EventKind.UP), EventKind.REDIS_UP)


class Victims:
    """The processes that a nemesis may break, and how each is broken and restored, with a note of both."""

    def __init__(self, processes: Sequence[Process], writer: HistoryWriter, by: str, role: Role) -> None:
        self.processes = list(processes)
        self._writer = writer
        self._by = by
        self._role = role
        self._broken: dict[str, Signal] = {}
        self.count = 0
        """How many faults there were."""

    def whole(self) -> list[Process]:
        """Those that run undisturbed. One that has ended by itself is no victim any more: nothing excuses it."""
        return [process for process in self.processes if process.alive and process.name not in self._broken]

    async def strike(self, process: Process, how: Signal) -> None:
        """Break one that runs. A terminated process is waited for, within bounds."""
        if not process.alive:
            process.note_own_exit()
            return
        self._broken[process.name] = how
        self.count += 1
        if how is Signal.STOP:
            self._note(EventKind.STOPPED, process)
            process.signal(signal.SIGSTOP)
        elif how is Signal.KILL:
            self._note(EventKind.KILLED, process)
            await asyncio.to_thread(process.kill)
        elif how is Signal.ABORT:
            self._note(EventKind.KILLED, process)
            await asyncio.to_thread(process.abort)
        else:
            self._note(EventKind.TERMINATED, process)
            process.terminate()

    async def restore(self, process: Process) -> None:
        """Make one whole again: continued, or started anew and ready."""
        how = self._broken.get(process.name)
        if how is None:
            return
        if how is Signal.STOP and process.alive:
            process.signal(signal.SIGCONT)
            self._note(EventKind.CONTINUED, process)
        else:
            if how is Signal.TERMINATE:
                await self._exited(process)
                self._broken[process.name] = (
                    Signal.KILL
                )  # should the restart be interrupted: it is not waited for again
            await _start_again(process)
            self._note(EventKind.UP, process)
        del self._broken[process.name]

    async def _exited(self, process: Process) -> None:
        """Wait for the exit of a terminated process; one that does not go is killed."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + EXIT_S
        while process.alive and loop.time() < limit:  # noqa: ASYNC110 - a process tells nobody of its exit
            await asyncio.sleep(0.02)
        if process.alive:
            self._note(EventKind.KILLED, process)
            await asyncio.to_thread(process.kill)

    async def restore_all(self) -> None:
        """Make all whole."""
        broken = [process for process in self.processes if process.name in self._broken]
        await asyncio.gather(*(self.restore(process) for process in broken))

    def _note(self, kind: EventKind, process: Process) -> None:
        if self._role is Role.REDIS:
            self._writer.note(REDIS_NOTES[kind], by=self._by, target="redis")
            return
        worker_id = process.name if self._role is Role.WORKER else None
        self._writer.note(kind, by=self._by, target=process.name, worker_id=worker_id)


async def _start_again(process: Process) -> None:
    """Have it ready again, as a supervisor would: one that cannot start while Redis is away is started anew."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + START_S
    while True:
        try:
            await (process.ready() if process.alive else process.arestart())
        except ProcessDied as died:
            if died.returncode != CANNOT_START or loop.time() > limit:
                raise
            await asyncio.sleep(0.2)
        else:
            return


class Waves(Nemesis):
    """Every `every_s` a share of the processes is struck at once, and whole again `down_s` later."""

    def __init__(  # noqa: PLR0913 - the plan's own numbers
        self,
        processes: Sequence[Process],
        writer: HistoryWriter,
        *,
        seed: int,
        how: Signal = Signal.KILL,
        share: float = 1 / 3,
        waves: int = 3,
        every_s: float = 2.0,
        down_s: float = 0.5,
        role: Role = Role.WORKER,
    ) -> None:
        super().__init__(writer, seed=seed)
        self.victims = Victims(processes, writer, self.name, role)
        self._how = how
        self._share = share
        self._waves = waves
        self._every_s = every_s
        self._down_s = down_s

    @property
    def strikes(self) -> int:
        """How many processes were struck so far, each time counted."""
        return self.victims.count

    async def inject(self) -> None:
        """See `Nemesis`."""
        for _ in range(self._waves):
            await asyncio.sleep(self._every_s)
            whole = self.victims.whole()
            struck = self.random.sample(whole, min(len(whole), max(1, round(len(whole) * self._share))))
            await asyncio.gather(*(self.victims.strike(process, self._how) for process in struck))
            await asyncio.sleep(self._down_s)
            await asyncio.gather(*(self.victims.restore(process) for process in struck))

    async def heal(self) -> None:
        """See `Nemesis`."""
        await self.victims.restore_all()


class KillServers(Waves):
    """API processes, one at a time; side by side instances leave the others at work."""

    def __init__(
        self,
        servers: Sequence[Process],
        writer: HistoryWriter,
        *,
        seed: int,
        how: Signal = Signal.KILL,
        times: int = 3,
        every_s: float = 2.0,
    ) -> None:
        one, role = 1 / max(1, len(servers)), Role.SERVER
        super().__init__(
            servers, writer, seed=seed, how=how, share=one, waves=times, every_s=every_s, down_s=0.3, role=role
        )


class KillRedis(Waves):
    """SIGKILL, `down_s` without it, start, `times` times. The server has to keep its data.

    With `Signal.STOP` it is paused instead, and need not.
    """

    def __init__(
        self,
        valkey: Valkey,
        writer: HistoryWriter,
        *,
        seed: int = 0,
        how: Signal = Signal.KILL,
        times: int = 1,
        every_s: float = 3.0,
        down_s: float = 1.0,
    ) -> None:
        if how is not Signal.STOP and not valkey.appendonly:
            raise EnvironmentFailure("this Redis has no append-only file: a kill would lose every job, and by right")
        plan: dict[str, Any] = {"waves": times, "every_s": every_s, "down_s": down_s}
        super().__init__([valkey.process], writer, seed=seed, how=how, share=1, role=Role.REDIS, **plan)


class OnTrigger(Nemesis):
    """Strikes a worker just when a job that it holds reaches a named point: up to `most` times, by a chance each time.

    It hears of the point from the history that a recorder is writing (the stack's events), so a job's script has to
    stay a little at that point for the strike to meet it there.
    """

    def __init__(  # noqa: PLR0913 - the plan's own numbers
        self,
        workers: Sequence[Process],
        writer: HistoryWriter,
        trigger: Trigger,
        *,
        seed: int,
        how: Signal = Signal.KILL,
        most: int = 10,
        chance: float = 1.0,
        down_s: float = 0.3,
    ) -> None:
        super().__init__(writer, seed=seed)
        self.victims = Victims(workers, writer, f"{self.name} {trigger}", Role.WORKER)
        self.trigger = trigger
        self._by_name = {process.name: process for process in workers}
        self._how = how
        self._most = most
        self._chance = chance
        self._down_s = down_s
        self._last_steps: dict[str, float] = {}
        self.struck: list[str] = []
        """The jobs that were met at the point."""

    async def inject(self) -> None:
        """See `Nemesis`."""
        reached: asyncio.Queue[HistoryEvent] = asyncio.Queue(maxsize=10_000)
        stop = self.writer.listen(lambda event: self._hear(event, reached))
        try:
            async with asyncio.TaskGroup() as mending:
                while len(self.struck) < self._most:
                    event = await reached.get()
                    process = self._by_name[event.worker_id or ""]
                    if process in self.victims.whole() and self.random.random() < self._chance:
                        self.struck.append(event.job_id or "")
                        await self.victims.strike(process, self._how)
                        mending.create_task(self._mend(process))
        finally:
            stop()

    def _hear(self, event: HistoryEvent, reached: asyncio.Queue[HistoryEvent]) -> None:
        if event.kind is EventKind.SUBMIT and event.steps and event.job_id:
            self._last_steps[event.job_id] = event.steps[-1]
        elif event.worker_id in self._by_name and self._is_there(event) and not reached.full():
            reached.put_nowait(event)

    def _is_there(self, event: HistoryEvent) -> bool:
        if self.trigger is Trigger.AFTER_CLAIM:
            return event.kind is EventKind.CLAIMED
        if event.kind is not EventKind.PROGRESS or event.progress is None:
            return False
        last = self._last_steps.get(event.job_id or "", 100.0)
        return event.progress >= last if self.trigger is Trigger.BEFORE_COMPLETION else 0 < event.progress < last

    async def _mend(self, process: Process) -> None:
        await asyncio.sleep(self._down_s)
        await self.victims.restore(process)

    async def heal(self) -> None:
        """See `Nemesis`."""
        await self.victims.restore_all()
