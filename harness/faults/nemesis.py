"""What every nemesis has in common: it breaks by plan and seed, writes down what it does, and always heals."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random
from types import TracebackType
from typing import ClassVar, Final, Self

import msgspec

from harness.errors import EnvironmentFailure
from harness.history import HistoryWriter
from harness.protocols import EventKind

HEAL_S: Final = 60.0
"""How long healing may take before the nemesis gives up loudly."""


class Nemesis:
    """An async context manager: it does its work while the block runs, and at the block's end everything is whole.

    `done` waits for the end of its plan. An error in the plan (a process that does not come back) is raised at the
    end of the block: a nemesis that silently did nothing would make the run's verdict a lie. EnvironmentFailure is
    raised there where healing takes too long.
    """

    def __init__(self, writer: HistoryWriter, *, seed: int) -> None:
        self.writer = writer
        self.random = Random(seed)  # noqa: S311 - choices that can be repeated, no secret
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Its name in the history."""
        return type(self).__name__

    async def inject(self) -> None:
        """The plan: ends by itself, or is cancelled."""
        raise NotImplementedError

    async def heal(self) -> None:
        """Make good what is broken now; called once at the end, also when nothing is."""
        raise NotImplementedError

    async def done(self) -> None:
        """Wait for the end of the plan. Raises what the plan raised."""
        if self._task:
            await asyncio.shield(self._task)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.inject(), name=f"nemesis {self.name}")
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> None:
        task = self._task
        if task is None:
            return
        failure = None if not task.done() or task.cancelled() else task.exception()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):  # told below, after the healing
            await task
        try:
            async with asyncio.timeout(HEAL_S):
                await self.heal()
        except TimeoutError:
            raise EnvironmentFailure(f"{self.name} could not make good within {HEAL_S:g} s what it broke") from None
        if failure and error is None:
            raise failure


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How often, how far apart (at most), and for how long."""

    times: int = 2
    every_s: float = 2.0
    for_s: float = 1.0


class Episodes(Nemesis):
    """A fault that begins, lasts for a while and ends, again and again, with pauses between."""

    began: ClassVar[EventKind]
    ended: ClassVar[EventKind] = EventKind.HEALED

    def __init__(self, writer: HistoryWriter, *, seed: int, target: str, plan: Plan | None = None) -> None:
        super().__init__(writer, seed=seed)
        self.plan = plan or Plan()
        self.strikes = 0
        self._target = target
        self._open = False

    async def begin(self) -> str:
        """Do it; answers what was done, in words."""
        raise NotImplementedError

    async def end(self) -> None:
        """Undo it; called also where `begin` was interrupted or never called."""
        raise NotImplementedError

    async def inject(self) -> None:
        """See `Nemesis`."""
        for _ in range(self.plan.times):
            await asyncio.sleep(self.plan.every_s * self.random.uniform(0.5, 1.0))
            self._open = True
            self.strikes += 1
            self.writer.note(self.began, by=self.name, target=self._target, note=await self.begin())
            await asyncio.sleep(self.plan.for_s)
            await self.heal()

    async def heal(self) -> None:
        """See `Nemesis`."""
        await self.end()
        if self._open:
            self._open = False
            self.writer.note(self.ended, by=self.name, target=self._target)
