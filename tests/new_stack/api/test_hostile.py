"""Peers that mean harm, or do harm: they are bounded, and everybody else is served."""

from __future__ import annotations

import asyncio
import json
import os
import random

import aiohttp
import pytest

from harness.testing.waiting import until

from .conftest import Api, StartApi


async def handshake(base: str, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket by hand, for what no library would do."""
    host, _, port = base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def frame(payload: bytes, *, opcode: int = 1, length: int | None = None) -> bytes:
    """A client's frame with an all-zero mask; `length` lies about its size."""
    size = len(payload) if length is None else length
    head = bytes([0x80 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


async def test_a_message_beyond_the_limit_closes_the_connection_before_it_is_read(start_api: StartApi) -> None:
    api = await start_api(message_limit=100_000)
    reader, writer = await handshake(api.base, "/ws/client/a")
    writer.write(frame(b"x", length=10**12))
    rest = await asyncio.wait_for(reader.read(), 5)
    assert (1009).to_bytes(2, "big") in rest
    writer.close()
    await api.submit()


async def test_a_flood_is_slowed_down_and_others_are_served(start_api: StartApi) -> None:
    api = await start_api(messages_per_second=100)
    flooder = await api.client("flooder")
    began = asyncio.get_running_loop().time()
    for _ in range(1_000):
        await flooder.send(type="stay_alive")
    await until(lambda: api.services.metrics.frames["client", "in"] >= 200)  # the burst
    honest = await api.client("honest")
    await honest.send(type="stay_alive")
    assert (await honest.receive())["job_id"] == "keep-alive"
    passed = asyncio.get_running_loop().time() - began
    read = api.services.metrics.frames["client", "in"]
    assert read <= 200 + 100 * passed + 10


async def keep_sending(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


@pytest.mark.parametrize("role", ["client", "monitor"])
async def test_one_that_never_reads_is_cut_off(start_api: StartApi, role: str) -> None:
    api = await start_api(send_timeout_ms=300, messages_per_second=100_000)
    _, writer = await handshake(api.base, f"/ws/{role}/a")
    writer.transport.set_write_buffer_limits(high=0)
    nonsense = frame(json.dumps({"type": "x" * 60_000}).encode())
    flood = asyncio.create_task(keep_sending(writer, nonsense))
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(flood, 20)
    await until(lambda: not (api.services.connections.counts()[role]), within=5)
    assert api.services.fanout.figures()["subscribers"] == 0


async def test_a_body_that_never_ends_is_not_waited_for(start_api: StartApi) -> None:
    api = await start_api(body_timeout_ms=200)
    host, _, port = api.base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)).startswith(b"HTTP/1.1 408")
    writer.close()


@pytest.mark.parametrize(
    "junk",
    [
        os.urandom(2_000),
        frame(b"\xff\xfe"),
        frame(b"", opcode=11),
        frame(b"x" * 200, opcode=9),
        b"\x00" * 500,
    ],
)
async def test_broken_frames_end_only_their_own_connection(api: Api, junk: bytes) -> None:
    reader, writer = await handshake(api.base, "/ws/client/a")
    writer.write(junk)
    writer.write_eof()
    await asyncio.wait_for(reader.read(), 5)
    writer.close()
    client = await api.client()
    await client.send(type="stay_alive")
    assert (await client.receive())["job_id"] == "keep-alive"


async def test_deeply_nested_messages_are_answered_with_an_error(api: Api) -> None:
    client = await api.client()
    await client.raw.send_str('{"type": "submit_job", "payload": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}")
    assert (await client.receive())["type"] == "error"
    await client.raw.send_str("[" * 100_000)
    assert (await client.receive())["type"] == "error"
    assert (await api.queue.counts()).pending == 0


WORDS = (
    None,
    5,
    2.5,
    True,
    "",
    "j",
    "x" * 300,
    "\x00",
    [],
    [1],
    {},
    {"a": 1},
    ["jobs"],
    ["workers", 7],
    {"priority_range": [1]},
)
KINDS = [
    "submit_job", "request_job_status", "subscribe_job", "cancel_job", "force_retry_job", "subscribe_stats",
    "request_stats", "stay_alive", "follow_job", "subscribe_progress", "unsubscribe_progress", "get_job_status",
    "subscribe", "get_system_status", "monitor_connect", "heartbeat", "resync_request", "cancel", "retry_job",
    "ping",
]  # fmt: skip
FIELDS = [
    "job_id", "job_type", "service_required", "priority", "payload", "message_id", "reason", "data", "id", "after",
    "channels", "topics", "filters", "monitor_id", "request_full_state", "since_timestamp", "max_events",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("path", ["/ws/client/a", "/ws/monitor/a", "/"])
async def test_whatever_is_said_the_connection_goes_on(start_api: StartApi, path: str, seed: int) -> None:
    api = await start_api(messages_per_second=100_000)
    chance = random.Random(seed)
    socket = await api.socket(path)
    heard: list[str] = []

    async def hear() -> None:
        while (message := await socket.raw.receive()).type is aiohttp.WSMsgType.TEXT:
            heard.append(json.loads(message.data)["type"])

    hearing = asyncio.create_task(hear())
    for _ in range(400):
        fields = {name: chance.choice(WORDS) for name in FIELDS if chance.random() < 0.3}
        await socket.send(type=chance.choice([*KINDS, *WORDS]), **fields)
    await socket.send(type="stay_alive")
    await until(lambda: hearing.done() or "error" in heard, within=20)
    assert not hearing.done()
    await api.get("/health/ready")
    hearing.cancel()
