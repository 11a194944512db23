"""How much memory processes really hold: proportional set size, so that shared pages are not counted for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Self

import msgspec
import psutil

from harness.tasks import called_off


class Memory(msgspec.Struct, frozen=True):
    """One process's memory in bytes. `pss` and `own` equal `rss` where the system does not tell them."""

    pss: int
    rss: int
    own: int
    """What stands in no file: it does not change with who else maps the same libraries."""


class MemorySample(msgspec.Struct, frozen=True):
    """The memory of every process at one moment, in ms of the sampler's clock."""

    at_ms: float
    by_name: dict[str, Memory]


def memory_of(pid: int) -> Memory | None:
    """Memory of a process, or None where it is gone."""
    try:
        found = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return None
    pss, own = getattr(found, "pss", found.rss), found.rss - getattr(found, "shared", 0)
    return Memory(pss=pss, rss=found.rss, own=own) if found.rss else None


class MemorySampler:
    """Samples the memory of named processes on a fixed beat, as an async context; `samples` grows meanwhile.

    `pids` is asked before each sample, so processes that come, go and restart are followed.
    """

    def __init__(
        self,
        pids: Callable[[], Mapping[str, int]],
        *,
        every_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pids = pids
        self._every_s = every_s
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self.samples: list[MemorySample] = []

    def sample(self) -> MemorySample:
        """Take one sample now."""
        found = {name: memory for name, pid in self._pids().items() if (memory := memory_of(pid)) is not None}
        taken = MemorySample(at_ms=self._clock() * 1000, by_name=found)
        self.samples.append(taken)
        return taken

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="memory sampler")
        return self

    async def __aexit__(self, *_: object) -> None:
        await called_off(self._task)
        self._task = None
        self.sample()

    async def _run(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(self._every_s)
