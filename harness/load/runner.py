"""One load run, from an empty machine to a judged result: the target, the fleet, the swarm, the samples, the kills."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from harness.clients.recognition import recognise
from harness.clients.spoken_side import SpokenSide
from harness.clients.transport import require_answer
from harness.errors import CouldNotRun
from harness.faults import Waves
from harness.history import HistoryWriter
from harness.history.absences import absences_of
from harness.load.brown_outs import FILE, SETTING, brown_out
from harness.load.fleet import Fleet
from harness.load.judge import judge
from harness.load.observer import Observer, OnLive
from harness.load.recording import JOURNAL, check, recording, settle
from harness.load.results import LoadResult, Surroundings
from harness.load.spec import LoadSpec
from harness.load.spoken import SpokenSwarm
from harness.load.swarm import SwarmResult
from harness.machine_time import Deadline, MachineLog
from harness.processes import Launch, MachineWatch, Process, Processes, free_port, open_redis, services
from harness.processes.services import PROJECT_ROOT
from harness.protocols.description import Described
from harness.targets import LOOPBACK, Deployment, HubTarget, Namespace, Setup, Side, StackTarget
from harness.tasks import called_off

LOCUSTFILE: Final = PROJECT_ROOT / "loadtests" / "locustfile.py"
MACHINE: Final = "machine.jsonl"
LEFT: Final = ("swarm.json", "live.jsonl", "load.json", FILE)
EARLIER_S: Final = 10.0
"""What clients have asked for before a load began may be answered in it."""
SETTLE_S: Final = 60.0
"""What a swarm may take beyond its plan and drain: to start, to connect, to ask after its last jobs."""

Disturb = Callable[[Deployment, HistoryWriter], Awaitable[None]]
Load = Callable[..., Awaitable[LoadResult]]
"""`run`, or what stands in for it."""


async def run(
    spec: LoadSpec,
    out: Path,
    *,
    protocol: Described | None = None,
    on_live: OnLive | None = None,
    disturb: Disturb | None = None,
    machine: MachineLog | None = None,
    warm: bool = False,
) -> LoadResult:
    """Run one load with everything it needs, and write `out/load.json`.

    Of the target at the spec's `url` no more is known than its `protocol`, where one is given.

    `disturb` runs beside the load, may do to the deployment what it likes, and notes it in the history. `machine` is
    what is known of the machine by a run that this load is a part of; `warm` is as for `Processes`. Raises CouldNotRun,
    and then nothing of it is left running.
    """
    await asyncio.to_thread(_clear, out)
    surroundings = Surroundings.now()
    with contextlib.nullcontext(machine) if machine else MachineWatch(out / MACHINE) as watched:
        async with (
            Processes(out / "logs", machine=watched, warm=warm) as processes,
            _deployed(spec, protocol, processes, out) as deployment,
        ):
            side = _spoken(spec, protocol, deployment, processes) if protocol else None
            result = await _Run(spec, out, deployment, processes, surroundings, side).carry_out(on_live, disturb)
    await asyncio.to_thread((out / "load.json").write_bytes, msgspec.json.format(msgspec.json.encode(result)))
    return result


def _clear(out: Path) -> None:
    """Make the folder, or take what an earlier load left in it: it must not be read as this one's."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / JOURNAL, ignore_errors=True)
    for old in (*out.glob("history-*.jsonl"), *(out / name for name in LEFT)):
        old.unlink(missing_ok=True)


@asynccontextmanager
async def _deployed(
    spec: LoadSpec, protocol: Described | None, processes: Processes, out: Path
) -> AsyncIterator[Deployment]:
    """The target, without workers; what is ours of it is stopped afterwards."""
    if not spec.url:
        redis = await asyncio.to_thread(open_redis, spec.redis, processes, appendonly=spec.durable)
        namespace = Namespace(redis.url, spec.prefix)
        deployment = await Deployment.astart(processes, _setup(spec, out), redis, namespace)
    else:
        deployment = await _given(spec, spec.url, protocol, processes, out)
    try:
        yield deployment
    finally:
        for worker in deployment.workers:
            worker.terminate()
        await asyncio.to_thread(deployment.stop)


async def _given(spec: LoadSpec, url: str, protocol: Described | None, processes: Processes, out: Path) -> Deployment:
    """Somebody else's target; a fleet of ours may still work for it."""
    host = urlsplit(url).hostname or ""
    if host not in LOOPBACK and host not in spec.allowed_hosts:
        raise CouldNotRun(f"{url} is not on this machine: loads go to the loopback only (--allow-load-on {host})")
    target: HubTarget | StackTarget
    if spec.side is Side.HUB:
        target = HubTarget.at(url, token=spec.token)
    else:
        if spec.fleet and not spec.redis and not protocol:
            why = "give its URL, or --fleet 0 where workers are there"
            raise CouldNotRun(f"a fleet of ours needs the stack's Redis: {why}")
        target = StackTarget.at(url, redis_url=spec.redis or "", prefix=spec.prefix, token=spec.token)
    if protocol:
        await require_answer(target.http_url, protocol.description.health)
    else:
        await recognise(target, workers=spec.fleet > 0)
    return Deployment(target, setup=_setup(spec, out), processes=processes)


def _spoken(spec: LoadSpec, protocol: Described, deployment: Deployment, processes: Processes) -> SpokenSide:
    side = SpokenSide(
        target=deployment.target,
        protocol=protocol,
        processes=processes,
        redis_url=spec.redis or "",
        prefix=spec.prefix,
    )
    side.require_ends()
    if spec.fleet:
        side.require_workers()
    return side


def _setup(spec: LoadSpec, out: Path) -> Setup:
    shortened = spec.population.settings if spec.population else {}
    told = {SETTING: str((out / FILE).resolve())} if spec.brown_outs else {}
    return Setup(
        side=spec.side,
        token=spec.token,
        port=spec.port,
        poll_ms=spec.poll_ms,
        workers_url=spec.workers_url,
        apart=spec.apart,
        overlay=Path(spec.overlay) if spec.overlay else None,
        environment=shortened | told | spec.server_environment,
    )


class _Run:
    """One load on a deployment that is up; `side` where no more is known of it than its protocol."""

    def __init__(
        self,
        spec: LoadSpec,
        out: Path,
        deployment: Deployment,
        processes: Processes,
        surroundings: Surroundings,
        side: SpokenSide | None,
    ) -> None:
        self._side = side
        self._notes: list[str] = []
        self._spec = spec
        self._out = out
        self._deployment = deployment
        self._processes = processes
        self._surroundings = surroundings
        self._fleet = Fleet(deployment, processes)

    async def carry_out(self, on_live: OnLive | None, disturb: Disturb | None) -> LoadResult:
        """Start the workers, load, settle, judge."""
        spec, target = self._spec, self._deployment.target
        if spec.fleet:
            environment, journal = spec.worker_environment, self._out / JOURNAL
            await self._fleet.start(await self._launches(journal), environment=environment, journal=journal)
        watch = asyncio.create_task(self._fleet.watch())
        account = recording(target, self._out) if spec.checked else contextlib.nullcontext(HistoryWriter())
        try:
            async with account as writer:
                observer = Observer(
                    self._deployment,
                    self._processes,
                    self._out / "live.jsonl",
                    on_live,
                    every_s=spec.sample_s,
                    depth=self._side is None,
                )
                swarm = await self._load(writer, observer, disturb)
                result = self._result(swarm, writer, observer)
                if not spec.checked:
                    return result
                await settle(target, writer, self._out, self._fleet.exits)
        finally:
            await called_off(watch)
        lost = self._processes.machine.time()
        checks = await asyncio.to_thread(check, self._out, spec.limits, lost, shared=not target.owned)
        result = msgspec.structs.replace(result, checks=checks)
        return msgspec.structs.replace(result, judgement=judge(result))

    async def _launches(self, journal: Path) -> list[Launch]:
        if self._side is None:
            return self._deployment.crew_launches(self._spec.crews, self._spec.fleet, journal)
        await self._side.check_worker()
        return [self._side.launch(self._spec.job.service) for _ in range(self._spec.fleet)]

    async def _load(self, writer: HistoryWriter, observer: Observer, disturb: Disturb | None) -> SwarmResult:
        """Run the swarm to its end, and beside it all that watches and disturbs."""
        spec = self._spec
        beside: list[Awaitable[None]] = [observer.watch()]
        beside += [kill_waves(spec, self._deployment, writer)] if spec.kills.waves else []
        if spec.brown_outs:
            beside += [brown_out(spec, self._out / FILE, self._deployment.target, writer)]
        beside += [disturb(self._deployment, writer)] if disturb else []
        tasks = [asyncio.ensure_future(one) for one in beside]
        try:
            return await (self._by_protocol(self._side, tasks) if self._side else self._by_locust(tasks))
        finally:
            await called_off(*tasks)

    async def _by_protocol(self, side: SpokenSide, beside: Sequence[asyncio.Future[None]]) -> SwarmResult:
        """Clients in this process."""
        swarm = SpokenSwarm(side, self._spec, self._out)
        load = asyncio.create_task(swarm.run())
        try:
            while not load.done():
                await asyncio.sleep(0.1)
                _raise_first(beside)
        finally:
            load.cancel()
            await asyncio.wait({load})
        self._notes += swarm.notes
        return load.result()

    async def _by_locust(self, beside: Sequence[asyncio.Future[None]]) -> SwarmResult:
        swarm = await self._start_swarm()
        try:
            await self._wait_for(swarm[0], beside)
        finally:
            await asyncio.gather(*(asyncio.to_thread(process.stop) for process in swarm))
        try:
            return msgspec.json.decode((self._out / "swarm.json").read_bytes(), type=SwarmResult)
        except (FileNotFoundError, msgspec.DecodeError):
            raise CouldNotRun(f"the generator left no result; its log says:\n{swarm[0].tail()}") from None

    async def _start_swarm(self) -> list[Process]:
        """One Locust, or a master and its workers; the first one writes the result."""
        arguments = swarm_arguments(
            self._spec, self._deployment.target.http_url, self._out, self._processes.machine.path
        )
        generators = self._spec.generators
        if generators == 1:
            return [await self._processes.astart(services.module_launch("locust", arguments, name="swarm"))]
        port = str(free_port())
        master = ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port]
        master += ["--expect-workers", str(generators)]
        worker = ["-f", str(LOCUSTFILE), "--worker", "--master-host", "127.0.0.1", "--master-port", port]
        launches = [services.module_launch("locust", [*arguments, *master], name="swarm")]
        names = [f"swarm-worker-{number}" for number in range(1, generators + 1)]
        launches += [services.module_launch("locust", worker, name=name) for name in names]
        return [await self._processes.astart(launch) for launch in launches]

    async def _wait_for(self, swarm: Process, beside: Sequence[asyncio.Future[None]]) -> None:
        """Until the load is over. An observer or a disturbance that breaks takes the run down with it."""
        limit = Deadline(self._spec.plan.duration_s + self._spec.drain_s + SETTLE_S, self._processes.machine)
        while swarm.alive:
            _raise_first(beside)
            if limit.is_over:
                raise CouldNotRun(f"the load did not end in time; the generator's log says:\n{swarm.tail()}")
            await asyncio.sleep(0.1)

    def _died(self) -> list[str]:
        """What of the target, workers aside, ended on its own, in a sentence each. The generator ends by itself."""
        apart = {worker.name for worker in self._deployment.workers}
        ended = [one for one in self._processes.died() if one.name not in apart and not one.name.startswith("swarm")]
        return [f"{str(one).partition(';')[0]}." for one in ended]

    def _result(self, swarm: SwarmResult, writer: HistoryWriter, observer: Observer) -> LoadResult:
        result = LoadResult(
            side=self._spec.side,
            spec=self._spec,
            owned=self._spec.url is None,
            swarm=swarm,
            fleet=self._fleet.result(writer.events) if self._deployment.workers else None,
            memory=observer.memory(swarm),
            depth=observer.depths(swarm),
            absences=absences_of(writer.events),
            history=sorted(path.name for path in self._out.glob("history-*.jsonl")),
            surroundings=self._surroundings,
            lost=self._processes.machine.time().within(swarm.started_at - EARLIER_S, time.time()).lost,
            died=self._died(),
            notes=self._notes,
        )
        return msgspec.structs.replace(result, judgement=judge(result))


def _raise_first(beside: Sequence[asyncio.Future[None]]) -> None:
    """What broke beside the load, where something did."""
    for other in beside:
        if other.done() and (error := other.exception()):
            raise error


def swarm_arguments(spec: LoadSpec, url: str, out: Path, machine: Path | None = None) -> list[str]:
    """Locust's command line for a load."""
    plan, mix = spec.plan, spec.mix.on(spec.side)
    options = {
        "--host": url,
        "--shape": plan.shape,
        "--rate": plan.rate,
        "--duration": plan.duration_s,
        "--arrivals": plan.arrivals,
        "--seed": plan.seed,
        "--legacy-share": plan.legacy_share,
        "--drain": spec.drain_s,
        "--job": msgspec.json.encode(spec.job).decode(),
        "--load-out": out.resolve(),
        "--legacy-users": mix.legacy,
        "--sse-users": mix.sse,
        "--hybrid-users": mix.hybrid,
        "--monitor-users": mix.monitors,
        "--sse-monitor-users": mix.sse_monitors,
        "--twin-users": mix.twins,
        "--rest-users": mix.rest,
        "--slow-users": mix.slow,
        **({"--machine-log": machine.resolve()} if machine else {}),
        **({"--token": spec.token} if spec.token else {}),
        **({"--population": msgspec.json.encode(spec.population).decode()} if spec.population else {}),
    }
    pairs = [part for option, value in options.items() for part in (option, str(value))]
    return ["-f", str(LOCUSTFILE), "--headless", "--only-summary", *pairs]


async def kill_waves(spec: LoadSpec, deployment: Deployment, writer: HistoryWriter) -> None:
    """A share of the fleet is killed, again and again, and started again at once."""
    kills, seed = spec.kills, spec.plan.seed
    async with Waves(
        deployment.workers, writer, seed=seed, share=kills.share, waves=kills.waves, every_s=kills.every_s, down_s=0.0
    ) as killing:
        await killing.done()
