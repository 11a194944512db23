"""Instances side by side on one Redis: a reader may break off at any event and go on at any instance."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from new_stack.api.legacy.hub import event_frame
from new_stack.api.legacy.v2.monitor import event_message
from new_stack.queue import Failed, LeaseLost, Queue

from .conftest import Api, Socket, SseEvent, StartApi, Work
from .test_monitors import later, monitor


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
            with contextlib.suppress(LeaseLost):
                for percent in range(0, chance.randint(1, 60), 7):
                    await work.progress(lease, percent)
                    await asyncio.sleep(chance.random() / 200)
                if lease.attempt == 1 and chance.random() < 0.3:
                    await queue.end(Failed(lease=lease, error="broken"))
                else:
                    await work.complete(lease)
        counts = await queue.counts()
        if counts.completed + counts.failed + counts.cancelled == jobs:
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
    everything, _ = await queue.events("0", block_ms=0, count=10_000)
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


async def listen(client: Socket, ended: asyncio.Event) -> list[dict[str, Any]]:
    """All that a client is told, until everything has ended and nothing more comes."""
    told: list[dict[str, Any]] = []
    while True:
        try:
            told.append(await client.receive(0.5))
        except TimeoutError:
            if ended.is_set():
                return told


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_old_clients_are_told_exactly_what_the_streams_hold(start_api: StartApi, queue: Queue, seed: int) -> None:
    """Jobs come over WebSockets, some are cancelled over HTTP, attempts fail: each client hears of its own jobs, and
    monitors of both dialects of all of them, whichever client and server they came by: each event once and in order.
    """
    chance = random.Random(seed)
    instances = [await start_api(), await start_api()]
    clients = {name: await chance.choice(instances).client(name) for name in ("ann", "bob", "eve")}
    wall = await monitor(chance.choice(instances), "wall")
    page = await later(chance.choice(instances), "jobs")
    done = asyncio.Event()
    mine: dict[str, str] = {}
    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        heard = {name: group.create_task(listen(client, done)) for name, client in clients.items()}
        watched, shown = group.create_task(listen(wall, done)), group.create_task(listen(page, done))
        for name in ("a", "b"):
            group.create_task(toil(queue, name, chance, 24, done))
        for number in range(24):
            owner = chance.choice(list(clients))
            mine[f"job-{number}"] = owner
            await clients[owner].send(
                type="submit_job", job_type="simulation", payload={}, message_id=f"job-{number}", priority=number % 3
            )
            if chance.random() < 0.2:
                await asyncio.sleep(0.01)
                await chance.choice(instances).session.post(f"{instances[0].base}/api/jobs/job-{number}/cancel")
    for job_id, owner in mine.items():
        history = await queue.history(job_id)
        frames = [event_frame(event) for event in history]
        expected = [json.loads(msgspec.json.encode(frame)) for frame in frames if frame is not None]
        accepted, *told = [message for message in heard[owner].result() if message["job_id"] == job_id]
        assert accepted["type"] == "job_accepted"
        assert told == expected
        others = [name for name in clients if name != owner]
        assert not any(message["job_id"] == job_id for name in others for message in heard[name].result())
        seen = [message for message in watched.result() if message.get("job_id") == job_id]
        assert seen == [message | {"client_id": owner} for message in expected]
        known = [
            (message["type"], message["timestamp"]) for message in shown.result() if message.get("job_id") == job_id
        ]
        assert known == [(message["type"], message["timestamp"]) for message in map(event_message, history)]
