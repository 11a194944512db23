"""What a claim costs with several services, and with matching, beside the plain one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final

import msgspec

from loadtests.bench.measure import Trial
from new_stack.queue import Claimant, Completed, Lease, NewJob, Queue, QueueError, QueueSettings, WorkerReport

WAITING: Final = 10_000
SERVICES: Final = 4
SIGNATURES: Final = 50
WORKERS: Final = 48
TURNS, ROUNDS = 200, 15


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


async def measure(trial: Trial) -> Claims:
    """All cases side by side, in turns; the median of each."""
    trial.admin.flushdb()
    queues = [await _filled(trial, case) for case in CASES]
    costs: list[list[float]] = [[] for _ in CASES]
    for _ in range(ROUNDS):
        for case, queue, found in zip(CASES, queues, costs, strict=True):
            found.extend(await _turns(case, queue))
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


async def _turns(case: Case, queue: Queue) -> list[float]:
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
