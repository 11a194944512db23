"""Faults of the network, done to a `Proxy`: cuts, slowness, partitions."""

from __future__ import annotations

import asyncio

import msgspec

from harness.faults.nemesis import Nemesis
from harness.faults.proxy import BOTH, Direction, Proxy
from harness.history import HistoryWriter
from harness.protocols import EventKind


class Cuts(Nemesis):
    """Every connection through the proxy is reset, again and again."""

    def __init__(self, proxy: Proxy, writer: HistoryWriter, *, seed: int, times: int = 3, every_s: float = 2.0) -> None:
        super().__init__(writer, seed=seed)
        self._proxy = proxy
        self._times = times
        self._every_s = every_s
        self.connections = 0
        """How many connections were cut so far."""

    async def wreak(self) -> None:
        """See `Nemesis`."""
        for _ in range(self._times):
            await asyncio.sleep(self._every_s * self.random.uniform(0.5, 1.0))
            cut = self._proxy.cut()
            self.connections += cut
            self.writer.note(EventKind.CUT, by=self.name, target=self._proxy.name, note=f"{cut} connections")

    async def heal(self) -> None:
        """See `Nemesis`."""
        self._proxy.heal()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How often, how far apart (at most), and for how long."""

    times: int = 2
    every_s: float = 2.0
    for_s: float = 1.0


class Spells(Nemesis):
    """Times of trouble with times of peace between: what `trouble` does is undone after the plan's `for_s`."""

    kind: EventKind

    def __init__(self, proxy: Proxy, writer: HistoryWriter, *, seed: int, plan: Plan | None = None) -> None:
        super().__init__(writer, seed=seed)
        self.proxy = proxy
        self.plan = plan or Plan()
        self._troubled = False

    def trouble(self) -> str:
        """Do it; answers what was done, in words."""
        raise NotImplementedError

    async def wreak(self) -> None:
        """See `Nemesis`."""
        for _ in range(self.plan.times):
            await asyncio.sleep(self.plan.every_s * self.random.uniform(0.5, 1.0))
            self._troubled = True
            self.writer.note(self.kind, by=self.name, target=self.proxy.name, note=self.trouble())
            await asyncio.sleep(self.plan.for_s)
            await self.heal()

    async def heal(self) -> None:
        """See `Nemesis`."""
        self.proxy.heal()
        if self._troubled:
            self._troubled = False
            self.writer.note(EventKind.HEALED, by=self.name, target=self.proxy.name)


class Slowness(Spells):
    """Everything takes longer: `delay_s` per piece, `bytes_per_s` per direction (0: not limited)."""

    kind = EventKind.SLOWED

    def __init__(
        self,
        proxy: Proxy,
        writer: HistoryWriter,
        *,
        seed: int,
        plan: Plan | None = None,
        delay_s: float = 0.2,
        bytes_per_s: float = 0.0,
    ) -> None:
        super().__init__(proxy, writer, seed=seed, plan=plan)
        self._delay_s = delay_s
        self._bytes_per_s = bytes_per_s

    def trouble(self) -> str:
        """See `Spells`."""
        self.proxy.slow(delay_s=self._delay_s, bytes_per_s=self._bytes_per_s)
        return f"{self._delay_s:g} s per piece, {self._bytes_per_s:g} bytes/s"


class Partition(Spells):
    """Nothing goes through; with `one_way` in one direction only, by the seed's choice."""

    kind = EventKind.PARTITIONED

    def __init__(
        self, proxy: Proxy, writer: HistoryWriter, *, seed: int, plan: Plan | None = None, one_way: bool = False
    ) -> None:
        super().__init__(proxy, writer, seed=seed, plan=plan)
        self._one_way = one_way

    def trouble(self) -> str:
        """See `Spells`."""
        directions: tuple[Direction, ...] = (self.random.choice(BOTH),) if self._one_way else BOTH
        self.proxy.partition(*directions)
        return " and ".join(directions)
