"""Readiness is a write: it says why a job could not be submitted now, and that the process is about to stop."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from harness.processes import Process, Processes, services
from harness.testing.waiting import until
from new_stack.queue import QueueSettings

from ..conftest import ValkeyProcess
from .conftest import Api, StartApi


@pytest.fixture
async def api(start_api: StartApi, own_valkey: ValkeyProcess, settings: QueueSettings) -> Api:
    return await start_api(msgspec.structs.replace(settings, redis_url=own_valkey.url))


@pytest.mark.parametrize(
    ("break_it", "mend_it", "why"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "Redis is read-only"),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "Redis is full"),
        (
            ("CONFIG", "SET", "min-replicas-to-write", "1"),
            ("CONFIG", "SET", "min-replicas-to-write", "0"),
            "too few replicas",
        ),
    ],
)
async def test_it_says_why_not(
    api: Api, own_valkey: ValkeyProcess, break_it: tuple[str, ...], mend_it: tuple[str, ...], why: str
) -> None:
    assert (await api.get("/health/ready"))["status"] == "ready"
    redis = Redis.from_url(own_valkey.url)
    await redis.execute_command(*break_it)
    problem = await api.get("/health/ready", 503)
    assert why in problem["detail"]
    await api.get("/health/live")
    await redis.execute_command(*mend_it)
    await redis.aclose()
    async with asyncio.timeout(5):
        while (await api.session.get(f"{api.base}/health/ready")).status != 200:
            await asyncio.sleep(0.05)


async def test_lost_functions_are_loaded_again(api: Api) -> None:
    await api.queue._caller.connection.call("FUNCTION", "FLUSH")
    assert (await api.get("/health/ready"))["status"] == "ready"


async def test_a_redis_that_says_nothing_is_answered_for_within_5_s(api: Api, own_valkey: ValkeyProcess) -> None:
    own_valkey.pause()
    try:
        async with asyncio.timeout(5):
            problems = await asyncio.gather(*(api.get("/health/ready", 503) for _ in range(30)))
    finally:
        own_valkey.resume()
    assert "has not answered" in problems[0]["detail"]
    async with asyncio.timeout(10):
        while (await api.session.get(f"{api.base}/health/ready")).status != 200:
            await asyncio.sleep(0.05)


@pytest.fixture
async def process(valkey: ValkeyProcess, prefix: str, tmp_path: Path) -> AsyncIterator[Process]:
    environment = {"HUBGATE_SHUTDOWN_NOTICE_MS": "1500", "HUBGATE_HEADER_TIMEOUT_MS": "3000"}
    async with Processes(tmp_path) as processes:
        launch = services.api(redis_url=valkey.url, prefix=prefix, environment=environment)
        yield await processes.astart(launch)


async def test_a_server_that_goes_says_so_first_and_serves_meanwhile(process: Process) -> None:
    async with aiohttp.ClientSession() as session:
        process.signal(signal.SIGTERM)
        async with asyncio.timeout(1):
            while (await session.get(f"{process.http_url}/health/ready")).status == 200:
                await asyncio.sleep(0.01)
        async with session.get(f"{process.http_url}/health/ready") as response:
            assert response.status == 503
            assert "shutting down" in (await response.json())["detail"]
        async with session.post(f"{process.http_url}/api/jobs", json={"service_required": "a"}) as response:
            assert response.status == 201
    await until(lambda: not (process.alive))
    assert process.returncode == 0


async def test_descriptors_that_are_nearly_used_up_are_told(process: Process) -> None:
    """The limit of the running process is lowered, to where a few connections come near it."""
    used = sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir())
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 60, used + 60))
    port = int(process.http_url.rpartition(":")[2])
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(55)]
    await until(lambda: "descriptors_nearly_used_up" in process.log_text(), within=20)
    for writer in writers:
        writer.close()
    await until(lambda: "descriptors_free_again" in process.log_text(), within=20)


async def test_connections_that_send_no_headers_keep_nobody_out(process: Process) -> None:
    """More of them than the 1,024 descriptors that a process begins with."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 3_000, "this machine allows too few descriptors"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        port = int(process.http_url.rpartition(":")[2])
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1_100)]
        for _, writer in silent:
            writer.write(b"GET /health/live HTTP/1.1\r\nX-Slow: ")
        ready = f"{process.http_url}/health/ready"
        async with asyncio.timeout(5), aiohttp.ClientSession() as session, session.get(ready) as response:
            assert response.status == 200
        assert sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir()) > 1_024
        async with asyncio.timeout(15):
            await asyncio.gather(*(reader.read() for reader, _ in silent))  # each is closed by the server
        for _, writer in silent:
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
