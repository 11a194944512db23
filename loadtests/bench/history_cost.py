"""What the history (docs/queue.md) costs: the same drained with it and without it, in turns."""

from __future__ import annotations

import time
from statistics import median
from typing import Any, Final

import msgspec
import redis

from loadtests.bench.measure import Measured, Trial
from new_stack.queue import Completed, NewJob, Queue, QueueSettings
from new_stack.queue.function_caller import source

DRAINED: Final = 2_000
TURNS: Final = 40
PLACES: Final = 10
FLEET_TURNS: Final = 10
COUNTS: Final = "function tally(q, service, what, ms)\n"
"""The function of the library that the history hangs on."""


class FleetCost(msgspec.Struct, kw_only=True):
    """Jobs begun per second by the workers that drain a queue in the table: the drain rate."""

    with_per_s: float
    without_per_s: float

    @property
    def of_the_rate(self) -> float:
        """The share of the drain rate that the history takes."""
        return 1 - self.with_per_s / self.without_per_s


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
    """Both in turns, each the first one as often as the other; the median turn of each.

    On one Redis: two of them differ by more than the history costs.
    """
    trial.admin.flushall()
    libraries = {"with:": source(), "without:": without_history()}
    queues = {
        prefix: await Queue.connect(QueueSettings(redis_url=trial.valkey.url, prefix=prefix)) for prefix in libraries
    }
    found: dict[str, list[tuple[float, float]]] = {prefix: [] for prefix in libraries}
    for turn in range(TURNS):
        for prefix in sorted(libraries, reverse=turn % 2 == 1):
            trial.admin.function_load(libraries[prefix], replace=True)
            found[prefix].append(await _drained(queues[prefix], trial.admin))
    for queue in queues.values():
        await queue.close()
    trial.admin.function_load(libraries["with:"], replace=True)
    if trial.admin.exists("without:tallies") or not trial.admin.exists("with:tallies"):
        raise RuntimeError("the history was not switched off for the one queue alone")
    (with_s, with_cpu), (without_s, without_cpu) = (
        (median(seconds for seconds, _ in turns), median(cpu for _, cpu in turns)) for turns in found.values()
    )
    return HistoryCost(
        with_per_s=DRAINED / with_s,
        without_per_s=DRAINED / without_s,
        with_cpu_ms=with_cpu * 1e6 / DRAINED,
        without_cpu_ms=without_cpu * 1e6 / DRAINED,
    )


def measure_fleet(trial: Trial, worker_count: int) -> FleetCost:
    """The drain rate of the table with the history and without it, in turns; the median turn of each."""
    libraries = (source(), without_history())
    rates: tuple[list[float], list[float]] = ([], [])
    for turn in range(FLEET_TURNS):
        for kind in (0, 1) if turn % 2 else (1, 0):
            trial.admin.function_load(libraries[kind], replace=True)
            rates[kind].append(trial.drain(Measured(name=trial.name), worker_count))
            folded = kind == 0 and trial.admin.keys("*slot:*")  # the backlog alone has slots, too
            if bool(trial.admin.keys("*tall*") or folded) != (kind == 0):
                raise RuntimeError("the history was not switched off for the one turn alone")
    trial.admin.function_load(source(), replace=True)
    return FleetCost(with_per_s=median(rates[0]), without_per_s=median(rates[1]))


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
