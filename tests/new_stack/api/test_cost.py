"""What one who follows a job costs the API process for as long as it follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.processes import Process, Processes, services
from new_stack.queue import NewJob, ProgressUpdate, Queue

from ..conftest import ValkeyProcess

FOLLOWERS = 300
EVENTS = 100
BYTES_A_FOLLOWER = 20_000


@pytest.fixture
async def process(valkey: ValkeyProcess, prefix: str, tmp_path: Path) -> AsyncIterator[Process]:
    async with Processes(tmp_path) as processes:
        yield await processes.astart(services.api(redis_url=valkey.url, prefix=prefix))


async def follow(port: int, job_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/jobs/{job_id}/progress HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"retry: 1000\n\n")
    return reader, writer


async def read_to(last: bytes, reader: asyncio.StreamReader) -> None:
    """Read up to the event that says this, and keep nothing."""
    end = b""
    while last not in end:
        chunk = await reader.read(65_536)
        assert chunk, "the stream has ended"
        end = end[-len(last) :] + chunk


async def test_a_late_follower_takes_at_most_20_kb(process: Process, queue: Queue) -> None:
    """Each is sent 100 KB of history first, of which a server could hold a part for as long as it follows."""
    job_id = (await queue.submit(NewJob(service_required="slow"))).job_id
    [lease] = await queue.claim("w")
    for step in range(EVENTS):
        await queue.progress(lease, ProgressUpdate(progress=step, message=f"step {step}." + "x" * 1_000))
    port = int(process.http_url.rpartition(":")[2])

    async def come(count: int) -> list[asyncio.StreamWriter]:
        followers = [await follow(port, job_id) for _ in range(count)]
        async with asyncio.timeout(50):
            await asyncio.gather(*(read_to(b"step %d." % (EVENTS - 1), reader) for reader, _ in followers))
        return [writer for _, writer in followers]

    writers = await come(FOLLOWERS // 2)  # what the process needs to serve many at once
    before = process.memory()
    writers += await come(FOLLOWERS)
    after = process.memory()
    assert before is not None
    assert after is not None
    assert (after.rss - before.rss) / FOLLOWERS <= BYTES_A_FOLLOWER
    for writer in writers:
        writer.close()
