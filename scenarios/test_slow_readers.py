"""Who is told more at once than is kept for one reader is cut off in so many words, and misses nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import aclosing, suppress
from typing import Final

import pytest

from harness.testing import fresh, until
from scenarios.stacks import OwnStack, ours, script

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast, pytest.mark.timeout(60)]

KEPT: Final = 20
AT_ONCE: Final = 60
SOON_S: Final = 30
SEND_MS: Final = 1_500
LARGE: Final = 1_000_000
"""More than waits on the way to a reader."""


@pytest.fixture
def terse(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """A stack that keeps few events for a reader that does not take them."""
    with ours(request, "a stack whose settings it can choose").stack(
        "terse", settings={"hubgate_subscriber_queue": KEPT, "hubgate_send_timeout_ms": SEND_MS}
    ) as own:
        yield own


async def test_who_is_told_too_much_at_once_goes_on_where_it_was_cut_off(terse: OwnStack) -> None:
    batch = [{"id": fresh("job"), "service_required": "simulation"} for _ in range(AT_ONCE)]
    heard: list[str] = []
    listening = asyncio.Event()

    async def listen() -> None:
        last = ""
        while batch[-1]["id"] not in heard:
            async with terse.modern() as client, aclosing(client.events("/api/events", last_event_id=last)) as events:
                async for event in events:
                    if event.kind == "submitted":
                        heard.append(str(event.data["job_id"]))
                        last = event.id
                        listening.set()
                    if batch[-1]["id"] in heard:
                        break

    async with terse.http() as http, asyncio.timeout(SOON_S), asyncio.TaskGroup() as group:
        group.create_task(listen())
        before: list[str] = []
        while not listening.is_set():
            before.append(fresh("before"))
            (await http.post("/api/jobs", json={"id": before[-1], "service_required": "simulation"})).raise_for_status()
            with suppress(TimeoutError):
                await asyncio.wait_for(listening.wait(), 0.3)
        (await http.post("/api/jobs", json=batch)).raise_for_status()
    assert heard == [*before[before.index(heard[0]) :], *(job["id"] for job in batch)]


def mute(stack: OwnStack, path: str, *more: str) -> socket.socket:
    """A connection that asks for something and reads nothing of it."""
    host, port = stack.http_url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    connection.connect((host, int(port)))
    head = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", *more, "", ""]
    connection.sendall("\r\n".join(head).encode())
    return connection


async def test_who_does_not_read_is_cut_off_in_the_time_that_is_set(terse: OwnStack) -> None:
    await terse.worker()
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: aGVsbG8sIGh1YmdhdGUhIQ=="
    async with terse.modern() as client:
        job_id = await client.submit(script(result="x" * LARGE))
        await client.follow_to_end(job_id)
        with mute(terse, f"/api/jobs/{job_id}/progress"), mute(terse, "/ws/monitor/mute", *upgrade, key):
            [server] = terse.deployment.servers
            await until(lambda: "stream_not_reading" in server.log_text(), SOON_S, "a stream that is cut off")
            for _ in range(2):
                await client.follow_to_end(await client.submit(script(result="y" * LARGE)))
            await until(lambda: "socket_not_reading" in server.log_text(), SOON_S, "a socket that is cut off")
