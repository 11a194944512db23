"""No API or worker process ends for Redis's sake: demoted, full of clients, gone; and service resumes within 5 s."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import aiohttp
import pytest
import redis

from harness.processes import free_port
from tests.new_stack.conftest import ValkeyProcess

RESUMES_S = 5.0


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def processes(own_valkey: ValkeyProcess, port: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """One API server and two workers."""
    environment = os.environ | {"REDIS_URL": own_valkey.url, "WORKER_POLL_INTERVAL_MS": "200"}
    commands = [["new_stack.api", "--port", str(port)]]
    commands += [["new_stack.worker", "--connector", "simulation", "--concurrency", "4"] for _ in range(2)]
    started = [
        subprocess.Popen([sys.executable, "-m", *command], env=environment, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    yield started
    for process in started:
        process.kill()
        process.wait()


async def completed(session: aiohttp.ClientSession, url: str, job_id: str) -> int:
    """Submit the job until it is taken, and wait for its end; its attempts."""
    body = {"service_required": "simulation", "id": job_id, "payload": {}}
    while True:
        try:
            async with session.post(f"{url}/api/jobs", json=body) as answer:
                if answer.status in {200, 201}:
                    job = await answer.json()
                    if job["status"] == "completed":
                        return int(job["attempt"])
        except aiohttp.ClientError:
            pass  # the API is not up yet
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("trouble", ["demoted", "full of clients", "gone"])
async def test_no_process_ends_and_service_resumes(
    own_valkey: ValkeyProcess, port: int, processes: list[subprocess.Popen[bytes]], trouble: str
) -> None:
    url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(30):
            await completed(session, url, "before")
        with redis.Redis(port=own_valkey.port) as admin:
            match trouble:
                case "demoted":
                    admin.replicaof("127.0.0.1", 1)
                case "full of clients":
                    admin.config_set("maxclients", 1)
                    admin.client_kill_filter(_type="normal", skipme=True)
                case "gone":
                    own_valkey.kill()
            async with session.post(f"{url}/api/jobs", json={"service_required": "simulation"}) as answer:
                assert answer.status == 503
            await asyncio.sleep(1.0)  # the trouble lasts: whoever takes it badly has ended by then
            match trouble:
                case "demoted":
                    admin.replicaof("NO", "ONE")
                case "full of clients":
                    admin.config_set("maxclients", 10_000)
                case "gone":
                    own_valkey.start()
        able_again = time.monotonic()
        async with asyncio.timeout(RESUMES_S * 3):
            assert await completed(session, url, "after") >= 1
        assert time.monotonic() - able_again < RESUMES_S
    assert [process.poll() for process in processes] == [None] * len(processes)
