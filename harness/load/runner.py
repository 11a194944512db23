"""One load run, from an empty machine to a judged result: the target, the fleet, the swarm, the samples, the kills."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from harness.history import HistoryWriter, Limits
from harness.load.deployment import Depth, Site, open_site
from harness.load.fleet import FleetResult
from harness.load.recording import Check, check, recording, settle
from harness.load.results import LiveLine, SwarmResult
from harness.load.spec import LoadSpec, Side
from harness.load.verdict import Finding, Judgement, judge
from harness.processes import MemorySample, MemorySampler, Process, Processes, free_port, services
from harness.processes.services import PROJECT_ROOT
from harness.results import Verdict

LOCUSTFILE: Final = PROJECT_ROOT / "loadtests" / "locustfile.py"
SETTLE_S: Final = 60.0
"""What a swarm may take beyond its plan and drain: to start, to connect, to ask after its last jobs."""

OnLive = Callable[[LiveLine], None]
Disturb = Callable[[Site, HistoryWriter], Awaitable[None]]


class MemorySeries(msgspec.Struct, frozen=True, kw_only=True):
    """Proportional set size over time, in bytes, of all processes that play one part."""

    part: str
    processes: int
    points: list[tuple[float, int]]
    """(second of the load, bytes of all together)"""
    per_process: tuple[int, int, int]
    """Least, median and most bytes of a single process, over all samples under load."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What else the machine was doing: figures taken beside other work say little about the target."""

    cores: int
    load_before: float
    """The system's load average over a minute, before anything was started."""

    @property
    def busy(self) -> bool:
        """Whether there was more to do than one of its cores could."""
        return self.load_before > self.cores / 2

    @classmethod
    def now(cls) -> Surroundings:
        """This machine at this moment."""
        return cls(cores=os.cpu_count() or 1, load_before=round(os.getloadavg()[0], 2))


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """A load and what it came to: `load.json`."""

    side: Side
    spec: LoadSpec
    owned: bool
    """Whether the target was started for this load."""
    judgement: Judgement
    swarm: SwarmResult
    fleet: FleetResult | None
    memory: list[MemorySeries]
    depth: list[Depth]
    history: list[str]
    """Files of the run's history, below the run's folder."""
    surroundings: Surroundings | None = None
    checks: list[Check]
    """What the checkers say of it; empty where nobody asked them."""


class LoadFailed(Exception):  # noqa: N818 - the failure is the name
    """The load could not be made; nothing was measured."""


async def run(
    spec: LoadSpec, out: Path, *, on_live: OnLive | None = None, disturb: Disturb | None = None
) -> LoadResult:
    """Run one load with everything it needs, and write `out/load.json`.

    `disturb` runs beside a checked load, may do to the site what it likes, and notes it in the history. Raises
    EnvironmentFailure, and then nothing of it is left running.
    """
    await asyncio.to_thread(_clear, out)
    surroundings = Surroundings.now()
    async with Processes(out / "logs") as processes, open_site(spec, processes) as site:
        result = await run_on(site, processes, out, on_live=on_live, disturb=disturb)
    result = msgspec.structs.replace(result, surroundings=surroundings)
    await asyncio.to_thread((out / "load.json").write_bytes, msgspec.json.format(msgspec.json.encode(result)))
    return result


async def run_on(
    site: Site, processes: Processes, out: Path, *, on_live: OnLive | None = None, disturb: Disturb | None = None
) -> LoadResult:
    """Run the load of a site that is up."""
    spec = site.spec
    if not spec.checked:
        return await _load(site, processes, out, on_live=on_live)
    async with recording(site, out) as writer:
        beside = [disturb(site, writer)] if disturb else []
        result = await _load(site, processes, out, on_live=on_live, beside=beside)
        await settle(site, writer, out)
    checks = await asyncio.to_thread(check, out, Limits())
    judgement = judge(result.swarm, spec.demands, [*_fleet_findings(result.fleet), *_check_findings(spec, checks)])
    return msgspec.structs.replace(result, judgement=judgement, checks=checks, history=_histories(out))


async def _load(
    site: Site, processes: Processes, out: Path, *, on_live: OnLive | None, beside: Sequence[Awaitable[None]] = ()
) -> LoadResult:
    spec = site.spec
    swarm = await _start_swarm(site, processes, out)
    observer = Observer(site, processes, out, on_live)
    with_kills = [_kill_waves(site)] if spec.kills.waves and site.fleet else []
    others = [observer.watch(), *with_kills, *beside]
    tasks = [asyncio.ensure_future(other) for other in others]
    try:
        await _wait_for(swarm, spec, tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in swarm))
    measured = _read_swarm(out, swarm[0])
    fleet = site.fleet.result() if site.fleet else None
    return LoadResult(
        side=spec.side,
        spec=spec,
        owned=spec.url is None,
        judgement=judge(measured, spec.demands, _fleet_findings(fleet)),
        swarm=measured,
        fleet=fleet,
        memory=observer.memory(measured),
        depth=observer.depths(measured),
        history=_histories(out),
        checks=[],
    )


def _clear(out: Path) -> None:
    """Make the folder, or take what an earlier load left in it: it must not be read as this one's."""
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("history-*.jsonl"), *(out / name for name in ("swarm.json", "live.jsonl", "load.json"))):
        old.unlink(missing_ok=True)


class Observer:
    """Looks on while a load runs: the live lines, the memory, the depth of the queue."""

    def __init__(self, site: Site, processes: Processes, out: Path, on_live: OnLive | None) -> None:
        self._site = site
        self._live = out / "live.jsonl"
        self._on_live = on_live
        self._processes = processes
        self._sampler = MemorySampler(processes.pids, every_s=site.spec.sample_s, clock=time.time)
        self._depths: list[tuple[float, Depth]] = []

    async def watch(self) -> None:
        """Until cancelled."""
        async with self._sampler, asyncio.TaskGroup() as group:
            group.create_task(self._watch_depth())
            if self._on_live:
                group.create_task(self._tell_live(self._on_live))

    def memory(self, swarm: SwarmResult) -> list[MemorySeries]:
        """The memory's series by part, on the load's clock."""
        parts = {**self._site.parts}
        generators = {name: "generator" for sample in self._sampler.samples for name in sample.by_name}
        parts = {**{name: part for name, part in generators.items() if name.startswith("swarm")}, **parts}
        end = swarm.started_at + swarm.seconds
        samples = [sample for sample in self._sampler.samples if sample.at_ms / 1000 <= end]
        return [
            _series(part, [name for name, one in parts.items() if one == part], samples, swarm)
            for part in sorted(set(parts.values()))
        ]

    def depths(self, swarm: SwarmResult) -> list[Depth]:
        """The queue's depth on the load's clock."""
        return [
            msgspec.structs.replace(depth, second=round(at - swarm.started_at, 2))
            for at, depth in self._depths
            if 0 <= at - swarm.started_at <= swarm.seconds
        ]

    async def _watch_depth(self) -> None:
        while True:
            if depth := await self._site.depth(0.0):
                self._depths.append((time.time(), depth))
            await asyncio.sleep(self._site.spec.sample_s)

    async def _tell_live(self, on_live: OnLive) -> None:
        position = 0
        try:
            while True:
                await asyncio.sleep(0.3)
                position = self._tell_lines(on_live, position)
        finally:
            self._tell_lines(on_live, position)

    def _tell_lines(self, on_live: OnLive, position: int) -> int:
        """Tell the lines written since that position of the file; answers the new one."""
        if not self._live.exists():
            return position
        with self._live.open("rb") as file:
            file.seek(position)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        for line in whole.splitlines():
            on_live(msgspec.json.decode(line, type=LiveLine))
        return position + len(whole)


def _series(part: str, names: list[str], samples: list[MemorySample], swarm: SwarmResult) -> MemorySeries:
    single = sorted(
        sample.by_name[name].pss
        for sample in samples
        if sample.at_ms / 1000 >= swarm.started_at
        for name in names
        if name in sample.by_name
    )
    points = [
        (
            round(sample.at_ms / 1000 - swarm.started_at, 2),
            sum(sample.by_name[name].pss for name in names if name in sample.by_name),
        )
        for sample in samples
    ]
    per_process = (single[0], single[len(single) // 2], single[-1]) if single else (0, 0, 0)
    return MemorySeries(part=part, processes=len(names), points=points, per_process=per_process)


def swarm_arguments(site: Site, out: Path) -> list[str]:
    """Locust's command line for this load."""
    spec, plan = site.spec, site.spec.plan
    users = spec.mix.on(spec.side)
    options = {
        "--host": site.url,
        "--shape": plan.shape,
        "--rate": plan.rate,
        "--duration": plan.duration_s,
        "--arrivals": plan.arrivals,
        "--seed": plan.seed,
        "--legacy-share": plan.legacy_share,
        "--drain": spec.drain_s,
        "--job": msgspec.json.encode(spec.job).decode(),
        "--load-out": out.resolve(),
        "--legacy-users": users.get("LegacyWebSocketUser", 0),
        "--sse-users": users.get("ModernSseUser", 0),
        "--hybrid-users": users.get("HybridUser", 0),
        "--monitor-users": users.get("MonitorUser", 0),
        "--sse-monitor-users": users.get("SseMonitorUser", 0),
        **({"--token": spec.token} if spec.token else {}),
    }
    pairs = [part for option, value in options.items() for part in (option, str(value))]
    return ["-f", str(LOCUSTFILE), "--headless", "--only-summary", *pairs]


async def _start_swarm(site: Site, processes: Processes, out: Path) -> list[Process]:
    """One Locust, or a master and its workers; the first one writes the result."""
    arguments = swarm_arguments(site, out)
    generators = site.spec.generators
    if generators == 1:
        return [await processes.astart(services.module_launch("locust", arguments, name="swarm"))]
    port = str(free_port())
    master = ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    master += ["--expect-workers", str(generators)]
    launches = [services.module_launch("locust", [*arguments, *master], name="swarm")]
    for number in range(1, generators + 1):
        to_master = ["--worker", "--master-host", "127.0.0.1", "--master-port", port]
        name = f"swarm-worker-{number}"
        launches.append(services.module_launch("locust", ["-f", str(LOCUSTFILE), *to_master], name=name))
    return [await processes.astart(launch) for launch in launches]


async def _wait_for(swarm: list[Process], spec: LoadSpec, others: Sequence[asyncio.Future[None]]) -> None:
    """Until the load is over. An observer or a disturbance that breaks takes the run down with it."""
    limit = time.monotonic() + spec.plan.duration_s + spec.drain_s + SETTLE_S
    while swarm[0].alive:
        for other in others:
            if other.done() and (error := other.exception()):
                raise error
        if time.monotonic() > limit:
            raise LoadFailed(f"the load did not end in time; the generator's log says:\n{swarm[0].tail()}")
        await asyncio.sleep(0.1)


def _read_swarm(out: Path, master: Process) -> SwarmResult:
    try:
        return msgspec.json.decode((out / "swarm.json").read_bytes(), type=SwarmResult)
    except (FileNotFoundError, msgspec.DecodeError):
        raise LoadFailed(f"the generator left no result; its log says:\n{master.tail()}") from None


async def _kill_waves(site: Site) -> None:
    """A share of the fleet is killed, again and again, and started again."""
    kills, chance = site.spec.kills, random.Random(site.spec.plan.seed)  # noqa: S311 - a load, not a secret
    for _ in range(kills.waves):
        await asyncio.sleep(kills.every_s)
        if site.fleet:
            await site.fleet.kill(round(kills.share * len(site.fleet.workers)), chance=chance)


def _histories(out: Path) -> list[str]:
    return sorted(path.name for path in out.glob("history-*.jsonl"))


def _check_findings(spec: LoadSpec, checks: list[Check]) -> list[Finding]:
    """The stack is held to every checker. The hub breaks some by its known faults; its checks are only told."""
    if spec.side is Side.HUB:
        return []
    return [
        Finding(Verdict.FAIL, f"{one.name.replace('_', ' ')}: {one.violations} times, such as: {one.sentences[0]}")
        for one in checks
        if one.violations
    ]


def _fleet_findings(fleet: FleetResult | None) -> list[Finding]:
    if fleet is None:
        return []
    found = []
    if fleet.alive < fleet.size:
        found.append(Finding(Verdict.INCONCLUSIVE, f"only {fleet.alive} of {fleet.size} workers were alive at the end"))
    own = [death for death in fleet.deaths if not death.ours]
    if own:
        names = ", ".join(sorted({death.worker for death in own})[:5])
        found.append(Finding(Verdict.FAIL, f"workers ended on their own {len(own)} times: {names}"))
    return found
