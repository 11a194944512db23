"""The new stack under faults, with real processes: its history is recorded and every checker is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.clients import ModernClient
from harness.clients.recorders import StackRecorder, WorkerWatch, recorded, survey
from harness.faults import Cuts, KillRedis, KillServers, OnTrigger, Partition, Plan, Proxy, Signal, Trigger, Waves
from harness.history import CheckResult, History, HistoryWriter, Limits, check_all, explain
from harness.processes import Processes, services, start_valkey
from harness.protocols import EventKind

LEASE_MS = 1_500
FAST = {
    "HUBGATE_LEASE_MS": str(LEASE_MS),
    "HUBGATE_HEARTBEAT_TTL_MS": "1500",
    "HUBGATE_RETRY_BACKOFF_MS": "200",
    "WORKER_HEARTBEAT_INTERVAL_MS": "400",
    "WORKER_POLL_INTERVAL_MS": "500",
    "WORKER_SHUTDOWN_GRACE_MS": "100",
    "LOG_LEVEL": "info",
}
LIMITS = Limits(lease_ms=LEASE_MS, recovery_slack_ms=2_000, retry_backoff_ms=190, stuck_after_ms=8_000)
SCRIPT = {"simulate": [{"progress": 25}, {"sleep_ms": 80}, {"progress": 75}, {"sleep_ms": 80}]}
ENDED = 90


@asynccontextmanager
async def stack(folder: Path, *, workers: int = 4, redis_url: str | None = None) -> AsyncIterator[Stack]:
    async with Processes(folder) as processes:
        valkey = start_valkey(processes, appendonly=True)
        url = redis_url or valkey.url
        api = await processes.astart(services.api(redis_url=url, environment=FAST))
        names = [f"worker-{number}" for number in range(workers)]
        launches = [services.worker(n, redis_url=url, poll_ms=250, environment=FAST) for n in names]
        yield Stack(valkey, api, await processes.astart_all(launches))


class Stack(msgspec.Struct):
    valkey: Any
    api: Any
    workers: Any


async def run(stack: Stack, writer: HistoryWriter, *faults: Any, jobs: int = 40) -> History:
    """Submit jobs one after the other while the faults are at work, follow them all, and ask at the end."""
    async with AsyncExitStack() as open_:
        await open_.enter_async_context(StackRecorder(stack.api.http_url, writer))
        await open_.enter_async_context(WorkerWatch(stack.api.http_url, writer, every_ms=200))
        client = await open_.enter_async_context(
            ModernClient(stack.api.http_url, "client", patience_s=60, **recorded(writer, "client"))
        )
        for fault in faults:
            await open_.enter_async_context(fault)
        followed = []
        for number in range(jobs):
            job_id = f"job-{number}"
            await client.submit(SCRIPT, job_id=job_id, priority=number % 3)
            followed.append(client.follow_in_background(job_id))
            await asyncio.sleep(0.02)
        for fault in faults:
            async with asyncio.timeout(60):
                await fault.done()
        await asyncio.wait(followed, timeout=30)
        await survey(stack.api.http_url, [f"job-{number}" for number in range(jobs)], writer)
        await asyncio.sleep(0.5)
    writer.note(EventKind.SETTLED)
    return History(writer.events)


def accusations(history: History, results: Sequence[CheckResult]) -> str:
    return "\n".join(line for result in results for line in explain(history, result, most=2))


def judged(history: History, *, jobs: int = 40) -> dict[str, CheckResult]:
    results = check_all(history, LIMITS)
    assert all(result.clean for result in results), accusations(history, results)
    by_name = {result.name: result for result in results}
    assert by_name["accounting"].counts["completed"] == jobs
    assert by_name["not_delivered"].counts["subscriptions"] == jobs
    return by_name


async def test_a_quiet_run_is_clean(tmp_path: Path) -> None:
    async with stack(tmp_path) as running:
        results = judged(await run(running, HistoryWriter(tmp_path / "history.jsonl")))
    assert results["out_of_order"].examined == 40
    assert results["steps"].examined == 40
    assert results["not_delivered"].counts["updates"] == 40 * 4
    assert History.load(tmp_path / "history.jsonl").acknowledged[0].id == "job-0"


@pytest.mark.parametrize("how", [Signal.KILL, Signal.TERMINATE, Signal.STOP])
async def test_jobs_survive_waves_against_their_workers(tmp_path: Path, how: Signal) -> None:
    async with stack(tmp_path) as running:
        writer = HistoryWriter()
        down_s = 2.5 if how is Signal.STOP else 0.1
        waves = Waves(running.workers, writer, seed=7, how=how, share=0.5, waves=2, every_s=0.4, down_s=down_s)
        results = judged(await run(running, writer, waves))
    assert waves.strikes == 4
    assert results["recovery"].examined >= 1 or how is Signal.TERMINATE


@pytest.mark.parametrize("point", list(Trigger))
async def test_jobs_survive_a_kill_at_each_named_point(tmp_path: Path, point: Trigger) -> None:
    async with stack(tmp_path) as running:
        writer = HistoryWriter()
        results = judged(await run(running, writer, OnTrigger(running.workers, writer, point, seed=1, most=3)))
    assert results["recovery"].examined >= 2


async def test_jobs_survive_kills_of_the_api(tmp_path: Path) -> None:
    async with stack(tmp_path) as running:
        writer = HistoryWriter()
        results = judged(await run(running, writer, KillServers([running.api], writer, seed=1, times=2, every_s=0.5)))
    assert len(results["recovery"].figures["api_up"]) == 2


async def test_jobs_survive_a_kill_of_redis(tmp_path: Path) -> None:
    async with stack(tmp_path) as running:
        writer = HistoryWriter()
        results = judged(await run(running, writer, KillRedis(running.valkey, writer, every_s=0.8, down_s=0.5)))
    assert len(results["recovery"].figures["redis_up"]) == 1


async def test_jobs_survive_a_redis_that_is_cut_off(tmp_path: Path) -> None:
    async with Processes(tmp_path / "redis") as processes:
        valkey = start_valkey(processes)
        async with Proxy("127.0.0.1", valkey.port, name="redis") as proxy:
            async with stack(tmp_path, redis_url=f"redis://127.0.0.1:{proxy.port}/0") as running:
                writer = HistoryWriter()
                cuts = Cuts(proxy, writer, seed=1, times=2, every_s=0.4)
                split = Partition(proxy, writer, seed=2, plan=Plan(times=1, every_s=1.5, for_s=1.0))
                judged(await run(running, writer, cuts, split))
            assert cuts.connections > 4
