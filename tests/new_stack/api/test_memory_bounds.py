"""Clients that do not read, or never finish: what they cost the server's memory is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import psutil
import pytest

from harness.processes import Process, Processes, services
from new_stack.queue import Completed, NewJob, ProgressUpdate, Queue, QueueSettings

from ..conftest import ValkeyProcess

pytestmark = pytest.mark.timeout(300)
"""Hundreds of megabytes go to a server and back, however little of the machine is there for it."""


@pytest.fixture
async def process(valkey: ValkeyProcess, prefix: str, tmp_path: Path) -> AsyncIterator[Process]:
    async with Processes(tmp_path) as processes:
        yield await processes.astart(services.api(redis_url=valkey.url, prefix=prefix))


async def test_a_thousand_readers_that_do_not_read_cost_bounded_memory(
    process: Process, queue: Queue, settings: QueueSettings
) -> None:
    """Each is owed 8 MB of events; a server that kept them would grow by gigabytes."""
    port = int(process.http_url.rpartition(":")[2])
    job_id = (await queue.submit(NewJob(service_required="slow"))).job_id
    readers = []
    for _ in range(1_000):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(b"GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n")
        readers.append(writer)
    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(20):
            while True:
                async with session.get(f"{process.http_url}/api/stats") as response:
                    if (await response.json())["connections"]["sse"] == 1_000:
                        break
                await asyncio.sleep(0.1)
        lease = (await queue.claim("w"))[0]
        before = process.memory()
        for step in range(2_000):
            await queue.progress(lease, ProgressUpdate(progress=step % 100, message="x" * 4_000))
        async with session.get(f"{process.http_url}/api/jobs/{job_id}") as response:
            assert response.status == 200
    after = process.memory()
    assert before is not None
    assert after is not None
    assert after.rss - before.rss < 200_000_000
    for writer in readers:
        writer.close()


async def test_a_body_that_unpacks_without_end_is_refused_in_bounded_memory(process: Process) -> None:
    bomb = zlib.compressobj(wbits=31)
    packed = b"".join(bomb.compress(b"0" * 1_000_000) for _ in range(500)) + bomb.flush()
    before = process.memory()
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{process.http_url}/api/jobs", data=packed, headers={"Content-Encoding": "gzip"}) as response,
    ):
        assert response.status in {400, 413}
    after = process.memory()
    assert before is not None
    assert after is not None
    assert after.rss - before.rss < 100_000_000


def peak_of(process: Process) -> int:
    """The most memory that the process has had, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def test_a_body_of_many_tiny_values_neither_fills_nor_stops_the_server(process: Process, queue: Queue) -> None:
    """9.9 MB of `{}`: as objects they would take 250 MB and a second in which nobody is served."""
    many = b"[" + b"{}," * 3_300_000 + b"{}]"
    bodies = {
        b'{"service_required": "a", "payload": {"a": %b}}' % many: 201,
        b'{"job_type": "a", "payload": {"a": %b}}' % many: 200,
        b'{"payload": {"a": %b}}' % many: 422,
        b"{%b}" % b",".join(b'"%d":0' % n for n in range(700_000)): 422,
        many: 422,
        b'[{"service_required": "a", "payload": {"a": %b}}]' % many: 200,
    }
    before = process.memory()
    most_s = 0.0
    done = asyncio.Event()
    server = psutil.Process(process.pid)

    def spent() -> float:
        return sum(server.cpu_times()[:2])

    async def ask() -> None:
        nonlocal most_s
        async with aiohttp.ClientSession() as session:
            while not done.is_set():
                began = spent()
                async with session.get(f"{process.http_url}/health/live"):
                    most_s = max(most_s, spent() - began)

    asking = asyncio.create_task(ask())
    async with aiohttp.ClientSession() as session:
        for body, status in bodies.items():
            async with session.post(f"{process.http_url}/api/jobs", data=body) as response:
                assert response.status == status, (await response.text())[:300]
                await response.read()
    done.set()
    await asking
    assert before is not None
    assert peak_of(process) - before.rss < 120_000_000
    assert most_s < 0.5, "so much else was done before the server answered"


async def test_bodies_that_are_not_finished_are_bounded_together(process: Process) -> None:
    port = int(process.http_url.rpartition(":")[2])
    head = b"POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12000000\r\n\r\n"
    before = process.memory()

    async def begin() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"x" * 1_000_000)
        return reader, writer

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """All but the last byte; what the server says, b"" where it hangs up, None where it takes everything."""
        answered = asyncio.create_task(reader.read(20))
        try:
            for _ in range(10):
                writer.write(b"x" * 1_000_000)
                drained = asyncio.create_task(writer.drain())
                await asyncio.wait({drained, answered}, return_when=asyncio.FIRST_COMPLETED)
                if answered.done():
                    drained.cancel()
                    return answered.result()
                await drained
        except ConnectionError:
            return b""
        answered.cancel()
        return None

    callers = [await begin() for _ in range(150)]
    answers = await asyncio.gather(*(send(*caller) for caller in callers))
    after = process.memory()
    assert before is not None
    assert after is not None
    assert after.rss - before.rss < 150_000_000
    refused = [answer for answer in answers if answer is not None]
    assert len(refused) > 100
    assert any(b"503" in answer for answer in refused)
    for _, writer in callers:
        writer.close()
    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(10):
            while True:  # until the server has noticed that the callers have gone
                async with session.post(f"{process.http_url}/api/jobs", json={"service_required": "a"}) as response:
                    if response.status == 201:
                        break


HANDSHAKE = (
    b"GET /ws/client/slow-%d HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_socket_messages_that_are_not_finished_are_bounded_together(process: Process) -> None:
    port = int(process.http_url.rpartition(":")[2])
    head = b"\x81\xff" + (11_000_000).to_bytes(8, "big") + b"\0\0\0\0"
    before = process.memory()

    async def begin(number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE % number)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        return reader, writer

    async def send(writer: asyncio.StreamWriter) -> None:
        """All but the last bytes, or as much as the server takes."""
        with contextlib.suppress(ConnectionError):
            for _ in range(10):
                writer.write(b"x" * 1_000_000)
                await writer.drain()

    callers = [await begin(number) for number in range(60)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(send(writer) for _, writer in callers))
    after = process.memory()
    assert before is not None
    assert after is not None
    assert after.rss - before.rss < 150_000_000
    for _, writer in callers:
        writer.close()
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{process.ws_url}/ws/client/fine") as socket:
        for number in range(20):  # what is handled is given back: together these are more than the bound
            payload = {"text": "x" * 5_000_000}
            await socket.send_json({"type": "submit_job", "message_id": f"large-{number}", "payload": payload})
            async with asyncio.timeout(20):
                while (await socket.receive_json())["type"] != "job_accepted":
                    pass


@pytest.mark.parametrize("path", ["/api/events?since=1", "/api/jobs/{job_id}/progress"])
async def test_histories_that_are_not_read_cost_pages_not_histories(process: Process, queue: Queue, path: str) -> None:
    """A hundred readers stop right after the headers, before 20 MB of history each."""
    job_id = (await queue.submit(NewJob(service_required="slow"))).job_id
    lease = (await queue.claim("w"))[0]
    for step in range(900):
        await queue.progress(lease, ProgressUpdate(progress=step / 10, message="x" * 20_000))
    port = int(process.http_url.rpartition(":")[2])
    before = process.memory()
    readers = []
    for _ in range(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(f"GET {path.format(job_id=job_id)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        readers.append((reader, writer))
    for reader, _ in readers:
        await asyncio.wait_for(reader.readuntil(b"retry: 1000\n\n"), 20)
    async with aiohttp.ClientSession() as session:
        for _ in range(10):  # it is at work on them while it answers these
            async with session.get(f"{process.http_url}/api/stats") as response:
                assert (await response.json())["connections"]["sse"] == 100
    assert before is not None
    assert peak_of(process) - before.rss < 150_000_000
    for _, writer in readers:
        writer.close()


async def test_large_results_on_their_way_to_many_are_few_at_once(process: Process, queue: Queue) -> None:
    """Fifty readers that do not read, each of a job of its own with a result of 5 MB."""
    result = msgspec.Raw(b'{"image": "' + b"x" * 5_000_000 + b'"}')
    port = int(process.http_url.rpartition(":")[2])
    ids = []
    for _ in range(50):
        ids.append((await queue.submit(NewJob(service_required="slow"))).job_id)
        await queue.end(Completed(lease=(await queue.claim("w"))[0], result=result))
    before = process.memory()
    readers = []
    for job_id in ids:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(f"GET /api/jobs/{job_id}/progress HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        readers.append((reader, writer))
    for reader, _ in readers:
        await asyncio.wait_for(reader.readuntil(b"retry: 1000\n\n"), 20)
    async with aiohttp.ClientSession() as session:
        for _ in range(10):
            async with session.get(f"{process.http_url}/api/stats") as response:
                assert (await response.json())["connections"]["sse"] == 50
    assert before is not None
    assert peak_of(process) - before.rss < 250_000_000
    received = await asyncio.gather(*(read_whole(reader) for reader, _ in readers))  # and each gets its own
    assert all(size > 5_000_000 for size in received)
    for _, writer in readers:
        writer.close()


async def read_whole(reader: asyncio.StreamReader) -> int:
    """How many bytes come until the other side is done."""
    size = 0
    while chunk := await reader.read(1_000_000):
        size += len(chunk)
        if b"\r\n0\r\n\r\n" in chunk[-16:]:
            break
    return size
