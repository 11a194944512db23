"""Instances side by side on one Redis: a reader may break off at any event and go on at any instance."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest

from new_stack.queue import Failed, Queue

from .conftest import Api, SseEvent, StartApi, Work


async def follow(instances: list[Api], path: str, chance: random.Random, until: int) -> list[str]:
    """Read the stream in pieces of random length, each at a random instance; the ids in the order they came."""
    seen: list[SseEvent] = []
    while len(seen) < until:
        wanted = chance.randint(1, 7)
        instance = chance.choice(instances)
        last = seen[-1].id if seen else "0"
        async with aclosing(instance.sse(path, last)) as events:
            async for event in events:
                assert event.event not in {"gap", "disconnect"}, event
                seen.append(event)
                wanted -= 1
                if wanted == 0 or len(seen) == until:
                    break
    return [event.id for event in seen]


async def toil(queue: Queue, name: str, chance: random.Random, jobs: int, done: asyncio.Event) -> None:
    """A worker that now and then fails an attempt, and goes on until all jobs have ended."""
    work = Work(queue, name)
    while not done.is_set():
        for lease in await queue.claim(name, 2):
            for percent in range(0, chance.randint(1, 60), 7):
                await work.progress(lease, percent)
                await asyncio.sleep(chance.random() / 200)
            if lease.attempt == 1 and chance.random() < 0.3:
                await queue.end(Failed(lease=lease, error="broken"))
            else:
                await work.complete(lease)
        counts = await queue.counts()
        if counts.completed + counts.failed == jobs:
            done.set()
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_readers_that_wander_between_instances_miss_nothing_and_hear_nothing_twice(
    start_api: StartApi, queue: Queue, seed: int
) -> None:
    chance = random.Random(seed)
    instances = [await start_api(), await start_api()]
    jobs = [await chance.choice(instances).submit(id=f"job-{number}") for number in range(8)]
    done = asyncio.Event()
    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        for name in ("a", "b", "c"):
            group.create_task(toil(queue, name, chance, len(jobs), done))
        wandering = {
            job_id: group.create_task(wander(instances, job_id, random.Random(f"{seed}{job_id}"))) for job_id in jobs
        }
    for job_id, task in wandering.items():
        assert task.result() == [event.id for event in await queue.history(job_id)]
    everything = await queue.events("0", block_ms=0, count=10_000)
    ids = await follow(instances, "/api/events", chance, len(everything))
    assert ids == [event.id for event in everything]


async def wander(instances: list[Api], job_id: str, chance: random.Random) -> list[str]:
    """Follow one job to its end, in pieces, at random instances."""
    seen: list[SseEvent] = []
    while not seen or seen[-1].event != "completed":
        wanted = chance.randint(1, 5)
        last = seen[-1].id if seen else None
        async with aclosing(chance.choice(instances).sse(f"/api/jobs/{job_id}/progress", last)) as events:
            async for event in events:
                assert event.event not in {"gap", "disconnect"}, event
                seen.append(event)
                wanted -= 1
                if wanted == 0:
                    break
    return [event.id for event in seen]
