"""The server as a process: how it starts, how it refuses to, how it stops."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from harness.processes import Process, Processes, services
from harness.testing.waiting import until
from new_stack.api.retirement.usage import FLUSH_SECONDS
from new_stack.api.settings import ApiSettings
from new_stack.queue import NewJob, Queue

from ..conftest import ValkeyProcess
from .conftest import parse


def run(*options: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "new_stack.api", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)


@pytest.mark.parametrize(
    ("options", "environment", "status", "words"),
    [
        (["--port", "70000"], {}, 2, "between 0 and 65535"),
        ([], {"API_PORT": "eighty"}, 2, "API_PORT must be a whole number"),
        ([], {"HUBGATE_BODY_LIMIT": "0"}, 2, "HUBGATE_BODY_LIMIT must be greater than 0"),
        ([], {"HUBGATE_OPEN_REST": "perhaps"}, 2, "HUBGATE_OPEN_REST must be true or false"),
        ([], {"HUBGATE_LEASE_MS": "x"}, 2, "HUBGATE_LEASE_MS must be a whole number"),
        (["--redis", "http://x"], {}, 2, "redis://"),
        (["--redis", "redis://127.0.0.1:1"], {}, 3, "cannot be reached"),
        (["--surprise"], {}, 2, "--surprise"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(
    options: list[str], environment: dict[str, str], status: int, words: str
) -> None:
    port = [] if "API_PORT" in environment or "--port" in options else ["--port", "0"]
    done = run(*port, *options, environment=environment)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_told(valkey: ValkeyProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("--port", str(taken.getsockname()[1]), "--redis", valkey.url)
    assert done.returncode == 3
    assert "Cannot listen on 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
async def process(valkey: ValkeyProcess, prefix: str, tmp_path: Path) -> AsyncIterator[Process]:
    async with Processes(tmp_path) as processes:
        yield await processes.astart(services.api(redis_url=valkey.url, prefix=prefix))


async def test_sigterm_ends_streams_with_a_word_and_the_process_with_0(process: Process, queue: Queue) -> None:
    job_id = (await queue.submit(NewJob(service_required="a"))).job_id
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{process.http_url}/api/jobs/{job_id}/progress") as response:
            events = parse(response)
            assert (await anext(events)).event == "submitted"
            client = await session.ws_connect(f"{process.http_url}/ws/client/a")
            await client.receive()
            waiting = asyncio.create_task(
                session.post(
                    f"{process.http_url}/api/jobs", json={"job_type": "a", "payload": {}, "wait": True, "timeout": 60}
                )
            )
            async with asyncio.timeout(5):
                while (await queue.counts()).pending < 2:
                    await asyncio.sleep(0.01)
            process.signal(signal.SIGTERM)
            last = await asyncio.wait_for(anext(events), 5)
            assert last.event == "disconnect"
            assert "reconnect" in last.data["reason"]
        assert (await client.receive(timeout=5)).data == 1001
        answered = await asyncio.wait_for(waiting, 5)
        assert "shutting down" in (await answered.json())["error"]
    await until(lambda: not (process.alive))
    assert process.returncode == 0
    lines = [json.loads(line) for line in process.log_text().splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines] == ["api_ready", "api_stopping", "api_stopped"]
    assert (await queue.usage.page()).clients.keys() == {"a", "http-client", "rest-api-client"}


async def test_a_killed_server_has_said_by_then_who_used_it(process: Process, queue: Queue) -> None:
    async def counted() -> int:
        known = (await queue.usage.page(client="old-1")).clients
        return known["old-1"].ways["websocket hub"].messages["connect"].count if known else 0

    async with aiohttp.ClientSession() as session:
        client = await session.ws_connect(f"{process.http_url}/ws/client/old-1")
        await client.receive()
        await until(counted, within=FLUSH_SECONDS / 3)
        process.signal(signal.SIGKILL)
        await until(lambda: not process.alive)
    assert await counted() == 1


async def test_an_idle_server_is_small(process: Process) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{process.http_url}/health/ready") as response:
        assert response.status == 200
    memory = process.memory()
    assert memory is not None
    assert memory.rss <= 54_000_000


async def test_bad_requests_are_one_line_each_in_the_log(process: Process) -> None:
    host, _, port = process.http_url.removeprefix("http://").partition(":")
    packed = b"POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde"
    for request in (
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        packed,
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    lines = [json.loads(line) for line in process.log_text().splitlines()]
    assert {line["event"] for line in lines} == {"api_ready", "request_refused"}
    assert all(line["level"] == "info" for line in lines)


async def test_a_body_that_cannot_be_read_ends_its_connection_and_says_so(process: Process) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(20):
            async with session.post(
                f"{process.http_url}/api/jobs", data=b"{}", headers={"Content-Encoding": "gzip"}
            ) as response:
                assert (response.status, response.headers.get("Connection")) == (400, "close")
            async with session.get(f"{process.http_url}/api/session") as response:
                assert response.status == 200


async def test_no_query_and_no_token_is_written_to_the_log(process: Process) -> None:
    host, _, port = process.http_url.removeprefix("http://").partition(":")
    for request in (
        b"GET /api/jobs?token=s3cret HTTP/9.9\r\n\r\n",
        b"GET /nowhere?token=s3cret HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET /ws/client/a?token=s3cret HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    assert "request_refused" in process.log_text()
    assert "s3cret" not in process.log_text()
    assert "--token" not in Path(f"/proc/{process.pid}/cmdline").read_text()


def test_the_token_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    settings = ApiSettings.from_environment({}, {"token_file": str(file)})
    assert settings.token == "s3cret"
    file.write_text("\n")
    for path, words in ((file, "is empty"), (tmp_path / "nowhere", "cannot be read")):
        done = run("--port", "0", "--token-file", str(path))
        assert done.returncode == 2
        assert words in done.stderr
