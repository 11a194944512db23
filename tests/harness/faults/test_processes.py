"""Nemeses of processes, with real processes that do nothing but wait."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis

from harness.faults import KillRedis, KillServers, Nemesis, OnTrigger, Signal, Trigger, Waves
from harness.history import HistoryEvent, HistoryWriter, Source
from harness.processes import EnvironmentFailure, Launch, Process, Processes, log_says, start_valkey
from harness.protocols import EventKind
from harness.testing.waiting import until

READY = "print('ready', flush=True); import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}"


def launch(name: str, program: str = READY) -> Launch:
    return Launch(name=name, command=(sys.executable, "-I", "-S", "-c", program), probe=log_says("ready"))


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    async with Processes(tmp_path) as started:
        yield started


async def start(processes: Processes, count: int, program: str = READY) -> list[Process]:
    return await processes.astart_all([launch(f"worker-{n}", program) for n in range(count)])


def kinds(writer: HistoryWriter) -> Counter[EventKind]:
    return Counter(event.kind for event in writer.events)


@pytest.mark.parametrize(
    ("how", "broken"),
    [(Signal.KILL, EventKind.KILLED), (Signal.ABORT, EventKind.KILLED), (Signal.TERMINATE, EventKind.TERMINATED)],
)
async def test_waves_strike_a_third_and_bring_it_back(processes: Processes, how: Signal, broken: EventKind) -> None:
    workers = await start(processes, 6)
    before = {worker.name: worker.pid for worker in workers}
    writer = HistoryWriter()
    async with Waves(workers, writer, seed=3, how=how, waves=2, every_s=0.05, down_s=0.05) as waves:
        await waves.done()
    assert waves.strikes == 4
    assert kinds(writer) == {broken: 4, EventKind.UP: 4}
    struck = {event.worker_id for event in writer.events}
    assert {worker.name for worker in workers if worker.pid != before[worker.name]} == struck
    assert all(worker.alive for worker in workers)


async def test_the_same_seed_strikes_the_same_workers(processes: Processes) -> None:
    workers = await start(processes, 5)

    async def struck(seed: int) -> list[str | None]:
        writer = HistoryWriter()
        plan = {"how": Signal.STOP, "waves": 3, "every_s": 0.01, "down_s": 0.01}
        async with Waves(workers, writer, seed=seed, **plan) as waves:  # type: ignore[arg-type]
            await waves.done()
        return [event.worker_id for event in writer.events if event.kind is EventKind.STOPPED]

    assert await struck(11) == await struck(11)
    assert len({tuple(await struck(seed)) for seed in range(4)}) > 1


async def test_a_stopped_process_is_frozen_and_thawed_even_when_interrupted(processes: Processes) -> None:
    workers = await start(processes, 3)
    writer = HistoryWriter()
    async with Waves(workers, writer, seed=1, how=Signal.STOP, share=1.0, every_s=0.01, down_s=600):
        await until(lambda: kinds(writer)[EventKind.STOPPED] == 3)
        await until(lambda: all(psutil.Process(w.pid).status() == psutil.STATUS_STOPPED for w in workers))
    assert all(psutil.Process(worker.pid).status() != psutil.STATUS_STOPPED for worker in workers)
    assert kinds(writer) == {EventKind.STOPPED: 3, EventKind.CONTINUED: 3}


async def test_killed_processes_are_back_when_the_run_ends_in_an_error(processes: Processes) -> None:
    workers = await start(processes, 3)
    writer = HistoryWriter()

    async def run() -> None:
        async with Waves(workers, writer, seed=1, share=1.0, every_s=0.01, down_s=600):
            await until(lambda: kinds(writer)[EventKind.KILLED] == 3)
            raise RuntimeError("the run's own")

    with pytest.raises(RuntimeError, match="the run's own"):
        await run()
    assert all(worker.alive for worker in workers)
    assert kinds(writer)[EventKind.UP] == 3


async def test_who_does_not_go_on_sigterm_is_killed_and_that_is_told(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.faults.processes.EXIT_S", 0.2)
    workers = await start(processes, 1, STUBBORN)
    writer = HistoryWriter()
    async with Waves(workers, writer, seed=1, how=Signal.TERMINATE, waves=1, every_s=0.01, down_s=0.01) as waves:
        await waves.done()
    assert [event.kind for event in writer.events] == [EventKind.TERMINATED, EventKind.KILLED, EventKind.UP]
    workers[0].kill()


async def test_who_has_ended_by_itself_is_not_struck_and_stays_dead(processes: Processes) -> None:
    workers = await start(processes, 1)
    psutil.Process(workers[0].pid).kill()
    await until(lambda: not workers[0].alive)
    writer = HistoryWriter()
    async with Waves(workers, writer, seed=1, share=1.0, waves=1, every_s=0.01, down_s=0.01) as waves:
        await waves.done()
    assert (waves.strikes, writer.events, workers[0].alive) == (0, [], False)
    assert [error.returncode for error in processes.died()] == [-9]


async def test_servers_go_one_at_a_time_and_are_no_workers(processes: Processes) -> None:
    servers = await processes.astart_all([launch("api-1"), launch("api-2")])
    writer = HistoryWriter()
    async with KillServers(servers, writer, seed=1, times=2, every_s=0.02) as killing:
        await killing.done()
    assert [event.kind for event in writer.events] == [EventKind.KILLED, EventKind.UP] * 2
    assert {event.worker_id for event in writer.events} == {None}
    assert {event.target for event in writer.events} <= {"api-1", "api-2"}


@pytest.mark.parametrize(
    ("point", "met"),
    [(Trigger.AFTER_CLAIM, "claimed"), (Trigger.MID_PROGRESS, "middle"), (Trigger.BEFORE_COMPLETION, "last")],
)
async def test_a_worker_is_struck_at_the_named_point(processes: Processes, point: Trigger, met: str) -> None:
    """Three jobs, each shown at one point of its life: only the one at the named point loses its worker."""
    workers = await start(processes, 3)
    writer = HistoryWriter()

    def see(kind: EventKind, job_id: str, worker_id: str | None = None, **fields: object) -> None:
        source = Source.CLIENT if kind is EventKind.SUBMIT else Source.REDIS
        event = {"at_ms": writer.clock(), "source": source, "kind": kind, "job_id": job_id, "worker_id": worker_id}
        writer.add(HistoryEvent(**event, **fields))  # type: ignore[arg-type]

    async with OnTrigger(workers, writer, point, seed=1, most=1, down_s=0.05) as striking:
        await asyncio.sleep(0)
        for job_id in ("claimed", "middle", "last"):
            see(EventKind.SUBMIT, job_id, steps=(20.0, 80.0))
        see(EventKind.CLAIMED, "claimed", "worker-0")
        see(EventKind.PROGRESS, "middle", "worker-1", progress=20.0)
        see(EventKind.PROGRESS, "last", "worker-2", progress=80.0)
        await striking.done()
    assert striking.struck == [met]
    assert kinds(writer)[EventKind.KILLED] == kinds(writer)[EventKind.UP] == 1
    assert all(worker.alive for worker in workers)


async def test_redis_is_killed_and_comes_back_with_what_it_had(processes: Processes) -> None:
    valkey = start_valkey(processes, appendonly=True)
    client = await _redis(valkey.url)
    await client.set("job", "acknowledged")
    writer = HistoryWriter()
    async with KillRedis(valkey, writer, times=2, every_s=0.05, down_s=0.05) as killing:
        await killing.done()
    assert killing.strikes == 2
    assert [event.kind for event in writer.events] == [EventKind.REDIS_DOWN, EventKind.REDIS_UP] * 2
    assert await (await _redis(valkey.url)).get("job") == b"acknowledged"


async def test_a_paused_redis_keeps_what_it_had_without_a_file(processes: Processes) -> None:
    valkey = start_valkey(processes)
    await (await _redis(valkey.url)).set("job", "acknowledged")
    writer = HistoryWriter()
    async with KillRedis(valkey, writer, how=Signal.STOP, every_s=0.01, down_s=0.05) as pausing:
        await pausing.done()
    assert [event.kind for event in writer.events] == [EventKind.REDIS_DOWN, EventKind.REDIS_UP]
    assert await (await _redis(valkey.url)).get("job") == b"acknowledged"


async def test_a_restart_that_is_interrupted_is_gone_on_with(processes: Processes) -> None:
    slow = "import time; time.sleep(0.5); " + READY
    workers = await start(processes, 1, slow)
    writer = HistoryWriter()
    async with asyncio.timeout(20), Waves(workers, writer, seed=1, share=1.0, every_s=0.01, down_s=0.01):
        await until(lambda: kinds(writer)[EventKind.KILLED] == 1)
        await until(lambda: workers[0].alive)  # started again, and not ready yet
    assert [event.kind for event in writer.events] == [EventKind.KILLED, EventKind.UP]


async def test_redis_without_an_append_only_file_is_not_killed(processes: Processes) -> None:
    valkey = start_valkey(processes)
    with pytest.raises(EnvironmentFailure, match="no append-only file"):
        KillRedis(valkey, HistoryWriter())


async def _redis(url: str):  # type: ignore[no-untyped-def]
    return Redis.from_url(url)


async def test_a_nemesis_that_fails_says_so() -> None:
    tried = asyncio.Event()

    class Broken(Nemesis):
        async def inject(self) -> None:
            tried.set()
            raise LookupError("no process to strike")

        async def heal(self) -> None:
            self.healed = True

    broken = Broken(HistoryWriter(), seed=1)
    with pytest.raises(LookupError, match="no process"):
        async with broken:
            await tried.wait()
    assert broken.healed
