"""`python -m loadtests.endurance`: a long run in which workers, APIs and Redis are killed again and again.

It counts what the stack owes: acknowledged jobs that are lost, ended twice, stuck, or held by two workers. Exit status:
0 when there is none, 1 when there is one, 3 when the run could not be made or says nothing.
"""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from harness.errors import CouldNotRun
from harness.faults import Failover, KillRedis, KillServers, Nemesis, Plan, Waves
from harness.history import HistoryWriter
from harness.history import Limits as CheckLimits
from harness.load.arrivals import Plan as LoadPlan
from harness.load.results import LoadResult
from harness.load.runner import run
from harness.load.spec import LoadSpec, Mix
from harness.processes import Processes, RedisGroup, Valkey, start_redis_group, start_valkey
from harness.protocols import EventKind, Submission
from harness.targets import LEASE_MS, Deployment

OWED: Final = ("lost", "ended_twice", "stuck", "double_claim")
COULD_NOT_RUN: Final = 3
JOB: Final = Submission(
    payload={"simulate": [step for at in (20, 40, 60, 80) for step in ({"progress": at}, {"sleep_ms": 100})]}
)


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much is done, and what is broken how often."""

    jobs: int = 20_000
    rate: float = 28.0
    workers: int = 24
    worker_kills: int = 1_000
    api_kills: int = 20
    redis_kills: int = 10
    acknowledgement: str = "disk"
    drain_s: float = 120.0
    """How long the last jobs may take once all are submitted."""
    failover_every_s: float = 0.0
    """Instead of kills of one Redis: how often the primary of a group is killed and its replica promoted."""

    @property
    def seconds(self) -> float:
        """Of the load."""
        return self.jobs / self.rate


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the jobs, and what was broken meanwhile."""

    acknowledged: int
    completed: int
    broken: dict[str, int]
    """What is owed and was not kept, by its name."""
    strikes: dict[str, int]
    sentences: list[str]

    @property
    def status(self) -> int:
        """The exit status."""
        return 1 if any(self.broken.values()) else 0


async def endure(size: Size, out: Path, *, seed: int = 1729) -> Outcome:
    """Carry it out. Raises CouldNotRun."""
    async with Processes(out / "redis") as processes:
        redis = await asyncio.to_thread(_start_redis, size, processes)

        async def disturb(deployment: Deployment, writer: HistoryWriter) -> None:
            await _all_done(_nemeses(size, deployment, redis, writer, seed))

        return _outcome(await run(_spec(size, redis.url, seed), out, disturb=disturb))


def _start_redis(size: Size, processes: Processes) -> Valkey | RedisGroup:
    """What is acknowledged once it is on disk needs a Redis that writes it there at once."""
    options = {"appendfsync": "always" if size.acknowledgement == "disk" else "everysec"}
    if size.failover_every_s:
        return start_redis_group(processes, options=options)
    return start_valkey(processes, appendonly=True, options=options)


def _spec(size: Size, redis_url: str, seed: int) -> LoadSpec:
    settings = {"HUBGATE_ACKNOWLEDGEMENT": size.acknowledgement}
    return LoadSpec(
        plan=LoadPlan(rate=size.rate, duration_s=size.seconds, seed=seed),
        mix=Mix.of(20),
        fleet=size.workers,
        job=JOB,
        redis=redis_url,
        drain_s=size.drain_s,
        worker_environment=settings,
        server_environment=settings,
        limits=CheckLimits(lease_ms=LEASE_MS),
    )


def _nemeses(
    size: Size, deployment: Deployment, redis: Valkey | RedisGroup, writer: HistoryWriter, seed: int
) -> list[Nemesis]:
    """What breaks things, each spread over nine tenths of the load."""
    seconds = 0.9 * size.seconds
    share = 1 / 2
    waves = math.ceil(size.worker_kills / max(1, round(size.workers * share)))
    found: list[Nemesis] = []
    if waves:
        every_s = max(0.1, seconds / waves - 1.0)
        found.append(
            Waves(deployment.workers, writer, seed=seed, share=share, waves=waves, every_s=every_s, down_s=0.1)
        )
    if size.api_kills:
        every_s = seconds / size.api_kills
        found.append(KillServers(deployment.servers, writer, seed=seed + 1, times=size.api_kills, every_s=every_s))
    if isinstance(redis, RedisGroup):
        times = max(1, int(seconds / size.failover_every_s))
        plan = Plan(times=times, every_s=size.failover_every_s, for_s=0.5)
        found.append(Failover(redis, writer, seed=seed + 2, plan=plan))
    elif size.redis_kills:
        every_s = seconds / size.redis_kills
        found.append(KillRedis(redis, writer, seed=seed + 2, times=size.redis_kills, every_s=every_s))
    return found


async def _all_done(nemeses: list[Nemesis]) -> None:
    async with AsyncExitStack() as opened:
        working: list[Awaitable[None]] = [(await opened.enter_async_context(one)).done() for one in nemeses]
        await asyncio.gather(*working)


def _outcome(result: LoadResult) -> Outcome:
    accounting, recovery = result.checks["accounting"].counts, result.checks["recovery"].counts
    checks = [result.checks[name] for name in OWED]
    doubts = [doubt for check in checks for doubt in check.doubts]
    if doubts or not accounting.get("acknowledged"):
        raise CouldNotRun(f"the history says nothing for sure: {next(iter(doubts), 'no job was acknowledged')}")
    return Outcome(
        acknowledged=accounting["acknowledged"],
        completed=accounting.get("completed", 0),
        broken={check.name: len(check.violations) for check in checks},
        strikes={kind: recovery.get(kind, 0) for kind in (EventKind.KILLED, EventKind.REDIS_DOWN)},
        sentences=[violation.sentence for check in checks for violation in check.violations[:3]],
    )


@click.command(context_settings={"show_default": True})
@click.option("--jobs", type=click.IntRange(10), default=20_000, help="Jobs to submit.")
@click.option("--rate", type=click.FloatRange(1, 1_000), default=28.0, help="Jobs a second.")
@click.option("--workers", type=click.IntRange(1, 200), default=24, help="Worker processes.")
@click.option("--worker-kills", type=click.IntRange(0), default=1_000, help="How many workers are killed.")
@click.option("--api-kills", type=click.IntRange(0), default=20, help="How often the API is killed.")
@click.option("--redis-kills", type=click.IntRange(0), default=10, help="How often Redis is killed.")
@click.option("--acknowledgement", default="disk", help="When a job is acknowledged: memory, disk or replicas=N.")
@click.option(
    "--failover-every-s",
    type=click.FloatRange(0),
    default=0.0,
    help="Instead of kills of one Redis: seconds between failovers of a primary and its replica.",
)
@click.option("--seed", type=int, default=1729, help="The seed of everything that is drawn by chance.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where logs and histories are kept.")
def main(*, seed: int, out: Path | None, **asked: Any) -> None:
    """Kill workers, APIs and Redis for as long as the jobs take, and count what was lost, doubled or stuck."""
    folder, began = out or Path(tempfile.mkdtemp(prefix="hubgate-endurance-")), time.monotonic()
    try:
        outcome = asyncio.run(endure(Size(**asked), folder, seed=seed))
    except CouldNotRun as error:
        click.echo(f"could not be run: {error}", err=True)
        sys.exit(COULD_NOT_RUN)
    click.echo(msgspec.json.format(msgspec.json.encode(outcome)))
    click.echo(f"{time.monotonic() - began:.0f} s; files: {folder}", err=True)
    sys.exit(outcome.status)


if __name__ == "__main__":
    main()
