"""What is measured of our queue alone: the cost of a job with many waiting, of a claim with several services and with
matching, and a worker process that is killed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from loadtests.bench.history_cost import FleetCost, HistoryCost, measure_fleet, measure_history
from loadtests.bench.measure import Trial
from new_stack.queue import Claimant, Completed, Lease, NewJob, Queue, QueueError, QueueSettings, WorkerReport

FEW, MANY = 1_000, 100_000
TURNS, ROUNDS = 200, 15
HELD = 20
RECOVERY_LIMIT_SECONDS = 40.0


class Own(msgspec.Struct, kw_only=True):
    """Our own figures."""

    few_us: float
    """Time of one claim and its end with `FEW` jobs waiting, in µs."""
    many_us: float
    ended_us: float
    """The same with `FEW` waiting and `MANY` ended ones not forgotten yet."""
    claims: Claims
    """The same by routing and by matching."""
    history: HistoryCost
    """What the history costs one client."""
    fleet: FleetCost
    """What it costs a fleet that drains."""
    recovered: int
    recovery_s: float
    """From SIGKILL of a process that held `HELD` jobs to the last one's new start, at default settings."""


def measure(trial: Trial, worker_count: int) -> Own:
    """All of them."""
    few, many, ended = asyncio.run(_depth(trial))
    routing = asyncio.run(measure_claims(trial))
    history = asyncio.run(measure_history(trial))
    fleet = measure_fleet(trial, worker_count)
    recovered, took = asyncio.run(_recovery(trial))
    return Own(
        few_us=few,
        many_us=many,
        ended_us=ended,
        claims=routing,
        history=history,
        fleet=fleet,
        recovered=recovered,
        recovery_s=took,
    )


async def _depth(trial: Trial) -> tuple[float, float, float]:
    """Few waiting, many waiting, many ended: three queues side by side, measured in turns, the median of each."""
    trial.admin.flushdb()
    sizes = {"few:": (FEW, 0), "many:": (MANY, 0), "ended:": (FEW, MANY)}
    queues = [await Queue.connect(QueueSettings(redis_url=trial.valkey.url, prefix=prefix)) for prefix in sizes]
    for queue, (waiting, ended) in zip(queues, sizes.values(), strict=True):
        await _submit(queue, ended)
        await _end_all(queue)
        await _submit(queue, waiting)
    costs: list[list[float]] = [[] for _ in queues]
    for _ in range(ROUNDS):
        for queue, found in zip(queues, costs, strict=True):
            found.extend(await _turns(queue))
    for queue in queues:
        await queue.close()
    few, many, ended_many = (median(found) * 1e6 for found in costs)
    return few, many, ended_many


async def _submit(queue: Queue, count: int) -> None:
    for _ in range(count // 1000):
        await queue.submit_many([NewJob(service_required="bench")] * 1000)


async def _end_all(queue: Queue) -> None:
    while leases := await queue.claim("bench", 200):
        await queue.end_and_claim("bench", [Completed(lease=lease) for lease in leases], 0)


async def _turns(queue: Queue) -> list[float]:
    """Seconds of each turn: end one job and claim the next; another is submitted, so that as many wait as before."""
    [lease] = await queue.claim("bench")
    took = []
    for _ in range(TURNS):
        await queue.submit(NewJob(service_required="bench"))
        began = time.perf_counter()
        _, [lease] = await queue.end_and_claim("bench", [Completed(lease=lease)], 1)
        took.append(time.perf_counter() - began)
    await queue.end(Completed(lease=lease))
    return took


async def _recovery(trial: Trial) -> tuple[int, float]:
    """Kill two worker processes that hold all jobs; two others run them all again."""
    trial.admin.flushdb()
    queue = await Queue.connect(QueueSettings(redis_url=trial.valkey.url))
    jobs = [NewJob(service_required="bench", payload=msgspec.Raw(b'{"hold_s": 60}')) for _ in range(HELD)]
    ids = {said.job_id for said in await queue.submit_many(jobs) if not isinstance(said, Exception)}
    with trial.workers(HELD // 10) as first:
        (first / "go").touch()
        await _until_begun(trial, first, ids)
        with trial.workers(2) as second:
            (second / "go").touch()
            await asyncio.sleep(1.0)
            trial.kill_workers(first)
            killed = time.monotonic()
            again = await _until_begun(trial, second, ids)
    await queue.close()
    return len(again), max(again.values(), default=killed) - killed


async def _until_begun(trial: Trial, folder: Path, ids: set[str]) -> dict[str, float]:
    """When each of the jobs began in these workers, once all have, or what there is after a while."""
    limit = time.monotonic() + RECOVERY_LIMIT_SECONDS
    while True:
        begun = {job: at for job, at in trial.starts(folder) if job in ids}
        if len(begun) == len(ids) or time.monotonic() > limit:
            return begun
        await asyncio.sleep(0.05)


WAITING: Final = 10_000
SERVICES: Final = 4
SIGNATURES: Final = 50
WORKERS: Final = 48


class Claims(msgspec.Struct, kw_only=True):
    """Time of one claim with `WAITING` jobs waiting, in µs."""

    plain_us: float
    """One service, one kind of worker."""
    routed_us: float
    """`SERVICES` services in the line, all of which each worker serves."""
    matched_us: float
    """`SIGNATURES` signatures of requirements, `WORKERS` unlike workers."""


class Case(msgspec.Struct, frozen=True):
    """One queue to be measured: its job number `n`, and what each of its workers serves and has."""

    prefix: str
    job: Callable[[int], NewJob]
    workers: Sequence[WorkerReport]
    matching: bool = False


def _plain(_number: int) -> NewJob:
    return NewJob(service_required="bench-0")


def _routed(number: int) -> NewJob:
    return NewJob(service_required=f"bench-{number % SERVICES}")


def _matched(number: int) -> NewJob:
    asks: dict[str, Any] = {"requirements": {"models": [f"model-{number % SIGNATURES}"]}}
    return NewJob(service_required="bench-0", extra=msgspec.Raw(msgspec.json.encode(asks)))


def _crew(services: Sequence[str], *, unlike: bool = False) -> list[WorkerReport]:
    return [
        WorkerReport(
            worker_id=f"w{number}",
            services=tuple(services),
            capabilities={"models": [f"model-{number}", f"model-{(number + 7) % SIGNATURES}"]} if unlike else {},
        )
        for number in range(WORKERS)
    ]


CASES: Final = (
    Case("plain:", _plain, _crew(["bench-0"])),
    Case("routed:", _routed, _crew([f"bench-{number}" for number in range(SERVICES)])),
    Case("matched:", _matched, _crew(["bench-0"], unlike=True), matching=True),
)


async def measure_claims(trial: Trial) -> Claims:
    """All cases side by side, in turns; the median of each."""
    trial.admin.flushdb()
    queues = [await _filled(trial, case) for case in CASES]
    costs: list[list[float]] = [[] for _ in CASES]
    for _ in range(ROUNDS):
        for case, queue, found in zip(CASES, queues, costs, strict=True):
            found.extend(await _claim_turns(case, queue))
    for queue in queues:
        await queue.close()
    plain, routed, matched = (median(found) * 1e6 for found in costs)
    return Claims(plain_us=plain, routed_us=routed, matched_us=matched)


async def _filled(trial: Trial, case: Case) -> Queue:
    settings = QueueSettings(redis_url=trial.valkey.url, prefix=case.prefix, matching=case.matching)
    queue = await Queue.connect(msgspec.structs.replace(settings, heartbeat_ttl_ms=600_000))
    for report in case.workers:
        await queue.heartbeat(report)
    for first in range(0, WAITING, 1_000):
        answers = await queue.submit_many([case.job(number) for number in range(first, first + 1_000)])
        for answer in answers:
            if isinstance(answer, QueueError):
                raise answer
    return queue


async def _claim_turns(case: Case, queue: Queue) -> list[float]:
    """Seconds of each claim, by one worker after the other; what it takes is ended, and the same submitted again."""
    took = []
    claimants: list[Claimant] = [queue.claimant_of(report) for report in case.workers]
    for turn in range(TURNS):
        began = time.perf_counter()
        [lease] = await queue.claim(claimants[turn % WORKERS])
        took.append(time.perf_counter() - began)
        await queue.end(Completed(lease=lease))
        await queue.submit(_again(lease))
    return took


def _again(lease: Lease) -> NewJob:
    return NewJob(service_required=lease.service_required, extra=lease.extra)
