"""What the history (docs/queue.md) costs: the same drained with it and without it, in turns, on a Redis each."""

from __future__ import annotations

import time
from statistics import median
from typing import Any, Final

import msgspec
import redis

from harness.processes import start_valkey
from loadtests.bench.measure import Trial
from new_stack.queue import Completed, NewJob, Queue, QueueSettings
from new_stack.queue.function_caller import source

DRAINED: Final = 2_000
TURNS: Final = 20
PLACES: Final = 10
COUNTS: Final = "local function tally(q, service, what, ms)\n"
"""The function of the library that the history hangs on."""


class HistoryCost(msgspec.Struct, kw_only=True):
    """Jobs ended per second by one client, and Redis's processor time for 1,000 of them, in ms; and their ratios."""

    with_per_s: float
    without_per_s: float
    with_cpu_ms: float
    without_cpu_ms: float

    @property
    def of_the_rate(self) -> float:
        """The share of the drain rate that the history takes."""
        return 1 - self.with_per_s / self.without_per_s

    @property
    def of_redis(self) -> float:
        """By how much Redis works more."""
        return self.with_cpu_ms / self.without_cpu_ms - 1


async def measure_history(trial: Trial) -> HistoryCost:
    """Both in turns, each the first one as often as the other; the median turn of each."""
    other = start_valkey(trial.processes, name="valkey-without-history")
    urls = (trial.valkey.url, other.url)
    admins = [redis.Redis.from_url(url) for url in urls]
    for admin in admins:
        admin.flushall()
    admins[1].function_load(without_history(), replace=True)
    queues = [await Queue.connect(QueueSettings(redis_url=url, prefix="history:")) for url in urls]
    found: list[list[tuple[float, float]]] = [[], []]
    for turn in range(TURNS):
        for which in (0, 1) if turn % 2 else (1, 0):
            found[which].append(await _drained(queues[which], admins[which]))
    for queue in queues:
        await queue.close()
    if admins[1].exists("history:tallies") or not admins[0].exists("history:tallies"):
        raise RuntimeError("the history was not switched off on the one Redis alone")
    (with_s, with_cpu), (without_s, without_cpu) = (
        (median(seconds for seconds, _ in turns), median(cpu for _, cpu in turns)) for turns in found
    )
    return HistoryCost(
        with_per_s=DRAINED / with_s,
        without_per_s=DRAINED / without_s,
        with_cpu_ms=with_cpu * 1e6 / DRAINED,
        without_cpu_ms=without_cpu * 1e6 / DRAINED,
    )


def without_history() -> str:
    """The library, but nothing is counted."""
    whole = source()
    if COUNTS not in whole:
        raise RuntimeError("the library counts no history by that function any more")
    return whole.replace(COUNTS, f"{COUNTS}  if true then return end\n")


async def _drained(queue: Queue, admin: redis.Redis) -> tuple[float, float]:
    """Submit, then end jobs and claim the next until none is left: the seconds of that, and Redis's own for both."""
    before = _cpu_s(admin)
    for _ in range(DRAINED // 1_000):
        await queue.submit_many([NewJob(service_required="bench")] * 1_000)
    began = time.perf_counter()
    leases = await queue.claim("bench", PLACES)
    while leases:
        _, leases = await queue.end_and_claim("bench", [Completed(lease=lease) for lease in leases], PLACES)
    return time.perf_counter() - began, _cpu_s(admin) - before


def _cpu_s(admin: redis.Redis) -> float:
    cpu: Any = admin.info("cpu")
    return float(cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"])
