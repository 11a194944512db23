"""No API or worker process ends for Redis's sake, service resumes within 5 s, and what ran goes on to its end.

Each trouble lasts longer than a lease.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
import redis

from harness.processes import free_port
from tests.new_stack.conftest import ValkeyProcess

RESUMES_S = 5.0
LEASE_MS = 4_000
LASTS_S = 5.0
RUNS_MS = 8_000
ALONE: dict[str, Any] = {"service_required": "simulation"}


def set_to(name: str, value: int) -> Callable[[ValkeyProcess, redis.Redis], object]:
    return lambda _, admin: admin.config_set(name, value)


def no_more_clients(_server: ValkeyProcess, admin: redis.Redis) -> None:
    admin.config_set("maxclients", 1)
    admin.client_kill_filter(_type="normal", skipme=True)


TROUBLES: dict[str, tuple[Callable[[ValkeyProcess, redis.Redis], object], ...]] = {
    "demoted": (lambda _, admin: admin.replicaof("127.0.0.1", 1), lambda _, admin: admin.replicaof("NO", "ONE")),
    "full of clients": (no_more_clients, set_to("maxclients", 10_000)),
    "full": (set_to("maxmemory", 1), set_to("maxmemory", 0)),
    "standing still": (lambda server, _: server.pause(), lambda server, _: server.resume()),
    "killed": (lambda server, _: server.kill(), lambda server, _: server.start()),
    "without its functions": (lambda _, admin: admin.function_flush(), lambda *_: None),
}
"""How each begins and ends."""


@pytest.fixture
def server() -> Iterator[ValkeyProcess]:
    """It keeps what it has acknowledged."""
    process = ValkeyProcess("--appendonly", "yes", "--appendfsync", "always")
    process.start()
    yield process
    process.remove()


class Stack:
    """One API server and two workers on a Redis."""

    def __init__(self, redis_url: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = os.environ | {
            "REDIS_URL": redis_url,
            "HUBGATE_LEASE_MS": str(LEASE_MS),
            "HUBGATE_HEARTBEAT_TTL_MS": str(LEASE_MS),
            "WORKER_HEARTBEAT_INTERVAL_MS": "1000",
            "WORKER_POLL_INTERVAL_MS": "200",
        }
        commands = [["new_stack.api", "--port", str(port)]]
        commands += [["new_stack.worker", "--connector", "simulation", "--concurrency", "4"] for _ in range(2)]
        self.processes = [
            subprocess.Popen([sys.executable, "-m", *command], env=environment, stderr=subprocess.DEVNULL)
            for command in commands
        ]

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def start() -> Iterator[Callable[[str], Stack]]:
    stacks: list[Stack] = []

    def build(redis_url: str) -> Stack:
        stacks.append(Stack(redis_url))
        return stacks[-1]

    yield build
    for stack in stacks:
        stack.close()


async def completed(session: aiohttp.ClientSession, url: str, job_id: str) -> None:
    """Submit the job until it is taken, and wait for its end."""
    while True:
        try:
            async with session.post(f"{url}/api/jobs", json=ALONE | {"id": job_id}) as answer:
                if answer.status in {200, 201} and (await answer.json())["status"] == "completed":
                    return
        except aiohttp.ClientError:
            pass  # the API is not up yet
        await asyncio.sleep(0.05)


async def followed(session: aiohttp.ClientSession, url: str, job_id: str, seen: list[str]) -> None:
    """Note the job's events, up to its end, by one stream that is not opened again."""
    async with session.get(f"{url}/api/jobs/{job_id}/progress") as stream:
        async for line in stream.content:
            text = line.decode()
            if text.startswith("data: "):
                seen.append(text)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_no_process_ends_and_what_ran_ends_once(
    server: ValkeyProcess, start: Callable[[str], Stack], trouble: str
) -> None:
    stack, seen = start(server.url), list[str]()
    begins, ends = TROUBLES[trouble]
    async with aiohttp.ClientSession() as session, asyncio.timeout(55):
        await completed(session, stack.url, "before")
        script = {"simulate": [{"progress": 1}, {"sleep_ms": RUNS_MS}, {"result": "kept"}]}
        async with session.post(f"{stack.url}/api/jobs", json=ALONE | {"id": "running", "payload": script}) as answer:
            assert answer.status == 201
        following = asyncio.create_task(followed(session, stack.url, "running", seen))
        while not any('"progress":1' in event for event in seen):
            await asyncio.sleep(0.01)
        with redis.Redis(port=server.port) as admin:
            begins(server, admin)
            async with session.post(f"{stack.url}/api/jobs", json=ALONE) as answer:
                assert answer.status == (201 if trouble == "without its functions" else 503)
            await asyncio.sleep(LASTS_S)
            ends(server, admin)
        able_again = time.monotonic()
        await completed(session, stack.url, "after")
        assert time.monotonic() - able_again < RESUMES_S
        await following
        async with session.get(f"{stack.url}/api/jobs/running") as answer:
            job = await answer.json()
    assert (job["status"], job["attempt"], job["result"]) == ("completed", 1, "kept")
    assert '"kind":"completed"' in seen[-1]
    assert [process.poll() for process in stack.processes] == [None] * len(stack.processes)


async def test_no_process_ends_where_redis_comes_back_with_nothing(
    own_valkey: ValkeyProcess, start: Callable[[str], Stack]
) -> None:
    stack = start(own_valkey.url)
    async with aiohttp.ClientSession() as session, asyncio.timeout(55):
        await completed(session, stack.url, "before")
        own_valkey.kill()
        async with session.post(f"{stack.url}/api/jobs", json=ALONE) as answer:
            assert answer.status == 503
        own_valkey.start()
        able_again = time.monotonic()
        await completed(session, stack.url, "after")
        assert time.monotonic() - able_again < RESUMES_S
    assert [process.poll() for process in stack.processes] == [None] * len(stack.processes)
