"""Redis killed and started again on its append-only file."""

from __future__ import annotations

import asyncio

from harness.faults.nemesis import Nemesis
from harness.history import HistoryWriter
from harness.processes import EnvironmentFailure, Valkey
from harness.protocols import EventKind


class KillRedis(Nemesis):
    """SIGKILL, `down_s` without it, start, `every_s` of peace, `times` times. The server has to keep its data."""

    def __init__(
        self,
        valkey: Valkey,
        writer: HistoryWriter,
        *,
        seed: int = 0,
        times: int = 1,
        every_s: float = 3.0,
        down_s: float = 1.0,
    ) -> None:
        super().__init__(writer, seed=seed)
        if "yes" not in valkey.process.launch.command[valkey.process.launch.command.index("--appendonly") + 1 :][:1]:
            raise EnvironmentFailure("this Redis has no append-only file: a kill would lose every job, and by right")
        self._valkey = valkey
        self._times = times
        self._every_s = every_s
        self._down_s = down_s
        self._down = False
        self.kills = 0

    async def wreak(self) -> None:
        """See `Nemesis`."""
        for _ in range(self._times):
            await asyncio.sleep(self._every_s * self.random.uniform(0.5, 1.0))
            self.writer.note(EventKind.REDIS_DOWN, by=self.name, target="redis")
            self._down = True
            self.kills += 1
            await asyncio.to_thread(self._valkey.kill)
            await asyncio.sleep(self._down_s)
            await self.heal()

    async def heal(self) -> None:
        """See `Nemesis`."""
        if self._down:
            if not self._valkey.process.alive:
                await self._valkey.arestart()
            else:
                await self._valkey.process.ready()
            self._down = False
            self.writer.note(EventKind.REDIS_UP, by=self.name, target="redis")
