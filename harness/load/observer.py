"""What is looked at while a load runs: the live lines, the memory of all processes, the depth of the queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import msgspec

from harness.clients.transport import plain_http
from harness.load.results import Depth, MemorySeries
from harness.load.swarm import LiveLine, SwarmResult
from harness.processes import MemorySample, MemorySampler, Processes
from harness.targets import Deployment, Side

OnLive = Callable[[LiveLine], None]
LIVE_S: Final = 0.3
ANSWER_S: Final = 2.0


class Observer:
    """Watches a deployment until it is cancelled, then tells what it saw on the load's clock."""

    def __init__(
        self,
        deployment: Deployment,
        processes: Processes,
        live: Path,
        on_live: OnLive | None,
        *,
        every_s: float,
        depth: bool = True,
    ) -> None:
        self._deployment = deployment
        self._asks_depth = depth and deployment.side is Side.STACK  # asking a hub would be a load of its own
        self._live = live
        self._on_live = on_live
        self._processes = processes
        self._every_s = every_s
        self._sampler = MemorySampler(processes.pids, every_s=every_s, clock=time.time)
        self._depths: list[tuple[float, Depth]] = []

    async def watch(self) -> None:
        """Until cancelled."""
        async with self._sampler, asyncio.TaskGroup() as group:
            if self._asks_depth:
                group.create_task(self._watch_depth())
            if self._on_live:
                group.create_task(self._follow_live(self._on_live))

    def memory(self, swarm: SwarmResult) -> list[MemorySeries]:
        """The memory's series by part, until the end of the load."""
        end = swarm.started_at + swarm.seconds
        samples = [sample for sample in self._sampler.samples if sample.at_ms / 1000 <= end]
        parts: dict[str, list[str]] = {}
        for name in {name: None for sample in samples for name in sample.by_name}:
            if part := self._part_of(name):
                parts.setdefault(part, []).append(name)
        return [_series(part, names, samples, swarm.started_at) for part, names in sorted(parts.items())]

    def depths(self, swarm: SwarmResult) -> list[Depth]:
        """The queue's depth."""
        return [
            msgspec.structs.replace(depth, second=round(at - swarm.started_at, 2))
            for at, depth in self._depths
            if 0 <= at - swarm.started_at <= swarm.seconds
        ]

    def _part_of(self, name: str) -> str | None:
        """Which part a process plays, by its name; None for one that is not ours to tell of."""
        if name in {server.name for server in self._deployment.servers}:
            return "hub" if self._deployment.side is Side.HUB else "api"
        if name in {worker.name for worker in self._deployment.workers}:
            return "workers"
        return "redis" if name.startswith("valkey") else "generator" if name.startswith("swarm") else None

    async def _watch_depth(self) -> None:
        target = self._deployment.target
        async with plain_http(target.http_url, target.token, ANSWER_S) as http:
            while True:
                try:
                    counts = (await http.get("/api/stats")).json()["queue"]
                    self._depths.append((time.time(), Depth(second=0.0, pending=counts.get("pending", 0))))
                except (httpx.HTTPError, ValueError, KeyError):
                    pass  # the API may be down on purpose, or be another than ours
                await asyncio.sleep(self._every_s)

    async def _follow_live(self, on_live: OnLive) -> None:
        position = 0
        try:
            while True:
                await asyncio.sleep(LIVE_S)
                position = self._pass_on(on_live, position)
        finally:
            self._pass_on(on_live, position)

    def _pass_on(self, on_live: OnLive, position: int) -> int:
        """Pass on the lines written since that position of the file; answers the new one."""
        if not self._live.exists():
            return position
        with self._live.open("rb") as file:
            file.seek(position)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        for line in whole.splitlines():
            on_live(msgspec.json.decode(line, type=LiveLine))
        return position + len(whole)


def _series(part: str, names: list[str], samples: list[MemorySample], started_at: float) -> MemorySeries:
    points, single = [], []
    for sample in samples:
        second = round(sample.at_ms / 1000 - started_at, 2)
        sizes = [sample.by_name[name].rss for name in names if name in sample.by_name]
        points.append((second, sum(sizes)))
        single += sizes if second >= 0 else []
    single.sort()
    per_process = (single[0], single[len(single) // 2], single[-1]) if single else (0, 0, 0)
    return MemorySeries(part=part, processes=len(names), points=points, per_process=per_process)
