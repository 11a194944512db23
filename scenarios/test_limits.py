"""What one caller may take of a server: exactly so much, and no more; and what it held is given back."""

from __future__ import annotations

import asyncio
import hmac
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import httpx
import pytest
import websockets

from harness.clients.transport import open_websocket
from harness.testing import until
from scenarios.stacks import OwnStack, ours

pytestmark = [pytest.mark.criterion("security"), pytest.mark.fast, pytest.mark.timeout(60)]

BODY: Final = 3_000
BODIES: Final = 20_000
RATE: Final = 4
SUBSCRIPTIONS: Final = 3
TOKEN: Final = "open-sesame"  # noqa: S105 - of a stack that lives for one run
READ_TOKEN: Final = "open-window"  # noqa: S105 - the same
ANSWER_S: Final = 10.0
HEADERS_MS: Final = 1_500


@pytest.fixture(scope="module")
def narrow(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """A stack with narrow limits."""
    settings = {
        "hubgate_body_limit": BODY,
        "hubgate_bodies_limit": BODIES,
        "hubgate_messages_per_second": RATE,
        "hubgate_header_timeout_ms": HEADERS_MS,
        "hubgate_subscriptions_per_connection": SUBSCRIPTIONS,
        "hubgate_subscriber_queue": 40,
        "hubgate_send_timeout_ms": 2_000,
        "hubgate_stats_changed_ms": 300,
        "hubgate_stats_idle_ms": 1_500,
    }
    with ours(request, "a stack whose limits it can choose").stack("narrow", settings=settings) as own:
        yield own


@pytest.fixture(scope="module")
def tokens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStack]:
    """A stack whose tokens stand in files."""
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "token").write_text(f" {TOKEN}\n")
    (folder / "read").write_text(f"{READ_TOKEN}\n")
    settings = {"hubgate_token_file": folder / "token", "hubgate_read_token_file": folder / "read"}
    with ours(request, "a stack with tokens").stack("tokens", token="overruled", settings=settings) as own:  # noqa: S106
        yield own


def body_of(size: int) -> bytes:
    """A job of exactly so many bytes."""
    job = b'{"service_required": "nobody"}'
    return job + b" " * (size - len(job))


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body whose length nobody says beforehand."""
    yield body[:10]
    yield body[10:]


async def test_a_body_may_be_as_large_as_the_limit_and_no_larger(narrow: OwnStack) -> None:
    json_body = {"Content-Type": "application/json"}
    async with narrow.http() as http:
        for size, status in ((BODY, 201), (BODY + 1, 413), (BODY, 201)):
            for content in (body_of(size), in_pieces(body_of(size))):
                answer = await http.post("/api/jobs", content=content, headers=json_body)
                assert answer.status_code == status, f"a body of {size} bytes"
        for broken in (
            b'{"service_required": "\xff"}',
            b"[" * 2_900,
            b'{"service_required": "a", "payload": ' + b"[" * 2_900,
        ):
            answer = await http.post("/api/jobs", content=broken, headers=json_body)
            assert (answer.status_code, answer.json()["detail"][:20]) == (400, "The body is not JSON"), answer.text


async def takes(stack: OwnStack, size: int) -> bool:
    """Whether there is room for a body of that size beside all others; it is left unfinished."""
    host, port = stack.http_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = ["POST /api/jobs HTTP/1.1", f"Host: {host}:{port}", "Content-Type: application/json"]
    writer.write("\r\n".join([*head, f"Content-Length: {BODY}", "", ""]).encode() + body_of(size))
    try:
        async with asyncio.timeout(0.4):
            return (await reader.readline()).split()[1] != b"503"
    except TimeoutError:
        return True
    finally:
        writer.close()


async def unfinished(stack: OwnStack, name: str, size: int) -> websockets.ClientConnection:
    """A connection that has begun a message of that size."""
    connection = await open_websocket(f"{stack.ws_url}/ws/client/{name}")
    await connection.recv()

    async def parts() -> AsyncIterator[str]:
        yield '{"type": "stay_alive", "more": "' + "x" * size
        await asyncio.Event().wait()

    sending = asyncio.create_task(connection.send(parts()))
    connection.sending = sending  # type: ignore[attr-defined]  # kept alive as long as the connection
    return connection


async def test_what_unfinished_messages_hold_counts_and_is_given_back(narrow: OwnStack) -> None:
    async with await open_websocket(f"{narrow.ws_url}/ws/client/many") as many:
        await many.recv()
        for _ in range(7):  # together more than there is room for
            await many.send('{"type": "stay_alive", "more": "' + "x" * 4_000 + '"}')
            await many.recv()
        holding = await unfinished(narrow, "holding", BODIES - 1_000)
        await until(lambda: _no_room(narrow), 10, "no room beside an unfinished message")
        holding.sending.cancel()  # type: ignore[attr-defined]
        holding.transport.abort()
        await until(lambda: takes(narrow, BODY - 1), 10, "room again, once its connection is gone")
        beyond = await unfinished(narrow, "beyond", BODIES + 1_000)
        async with asyncio.timeout(ANSWER_S):
            await beyond.wait_closed()
        assert beyond.close_code == 1013
        beyond.sending.cancel()  # type: ignore[attr-defined]
        await until(lambda: takes(narrow, BODY - 1), 10, "room again, once it was refused")
        await many.send('{"type": "stay_alive"}')
        await many.recv()


async def _no_room(stack: OwnStack) -> bool:
    return not await takes(stack, BODY - 1)


async def test_one_socket_may_send_a_burst_and_then_so_many_messages_a_second(narrow: OwnStack) -> None:
    """Twice the rate at once, then one after the other; what was not used for a while may be used later."""

    async def took(connection: websockets.ClientConnection, count: int) -> float:
        began = time.monotonic()
        for _ in range(count):
            await connection.send('{"type": "stay_alive"}')
        for _ in range(count):
            await connection.recv()
        return time.monotonic() - began

    tried: list[tuple[float, float]] = []
    for number in range(3):  # a busy machine is slow; a limit that is wrong is wrong each time
        async with await open_websocket(f"{narrow.ws_url}/ws/client/fast-{number}") as connection:
            await connection.recv()
            first = await took(connection, 2 * RATE + 6)
            await asyncio.sleep(1.25)
            tried.append((first, await took(connection, 4)))
        assert tried[-1][0] > 6 / RATE - 0.3, f"it was faster than it may be: {tried}"
        if tried[-1][0] < 6 / RATE + 0.6 and tried[-1][1] < 0.6:
            return
    raise AssertionError(f"it was slower than it may be: {tried}")


async def test_who_sends_no_request_is_not_waited_for_and_who_has_sent_one_is(narrow: OwnStack) -> None:
    host, port = narrow.http_url.removeprefix("http://").split(":")
    began = time.monotonic()
    silent, writing = await asyncio.open_connection(host, int(port))
    spoken, asking = await asyncio.open_connection(host, int(port))
    request = f"GET /health/live HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    asking.write(request)
    await spoken.readuntil(b"}")
    async with asyncio.timeout(ANSWER_S):
        assert await silent.read() == b""
    assert time.monotonic() - began > 0.8 * HEADERS_MS / 1000
    await asyncio.sleep(0.3)  # the one that asked is silent for as long now
    asking.write(request)
    async with asyncio.timeout(ANSWER_S):
        assert (await spoken.readuntil(b"}")).startswith(b"HTTP/1.1 200")
    asking.close()
    writing.close()


async def test_monitors_are_told_of_changes_and_of_nothing_at_the_paces_that_are_set(narrow: OwnStack) -> None:
    async with narrow.http() as http, narrow.monitor() as monitor:

        def broadcasts() -> int:
            return sum(one.message["type"] == "stats_broadcast" for one in monitor.received)

        await until(broadcasts, 10, "figures")
        await asyncio.sleep(0.7)
        before, began = broadcasts(), time.monotonic()
        await until(lambda: broadcasts() >= before + 3, 15, "figures though nothing changed")
        assert 2 * 1.2 < time.monotonic() - began < 8, "s for three of them"
        before, began = broadcasts(), time.monotonic()
        for number in range(12):
            await http.post("/api/jobs", json={"service_required": "nobody", "id": f"told-{number}"})
            await asyncio.sleep(0.1)
        took = time.monotonic() - began
        await until(lambda: broadcasts() > before, 1.4, "figures because something changed")
        assert broadcasts() - before <= took / 0.3 + 2, "no more often than set"


async def test_one_connection_follows_no_more_jobs_than_it_may(narrow: OwnStack) -> None:
    async with narrow.http() as http, narrow.legacy() as old:
        jobs = [f"followed-{number}" for number in range(SUBSCRIPTIONS + 1)]
        for job_id in jobs:
            await http.post("/api/jobs", json={"service_required": "nobody", "id": job_id})
        for job_id in jobs:
            await old.subscribe(job_id)
        for job_id in reversed(jobs):
            await http.post(f"/api/jobs/{job_id}/cancel")

        def told() -> set[str | None]:
            return {one.message.get("job_id") for one in old.received if one.message.get("status") == "cancelled"}

        await until(lambda: len(told()) >= SUBSCRIPTIONS, ANSWER_S, "the ends of jobs that are followed")
        assert told() == set(jobs[1:]), "the one that was followed first makes room"


async def test_a_reader_that_does_not_read_is_cut_off_and_counted(narrow: OwnStack) -> None:
    host, port = narrow.http_url.removeprefix("http://").split(":")
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        lazy.connect((host, int(port)))
        lazy.sendall(f"GET /api/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        async with narrow.http() as http:

            async def slow_readers() -> bool:
                jobs = [{"service_required": "nobody", "client_id": "c" * 200}] * 40
                await http.post("/api/jobs", json=jobs[:10])
                return "hubgate_slow_readers_total 1.0" in (await http.get("/metrics")).text

            async with narrow.http() as other, other.stream("GET", "/api/events") as reading:
                assert reading.status_code == httpx.codes.OK

                async def read() -> None:
                    async for _ in reading.aiter_raw():
                        pass

                reader = asyncio.create_task(read())
                await until(slow_readers, 30, "a slow reader that is counted")
                assert not reader.done(), "who reads is not cut off"
                reader.cancel()


def cookie(until_s: int, token: str = TOKEN) -> dict[str, str]:
    """A cookie as any server with that token signs it."""
    signed = hmac.digest(token.encode(), f"hubgate_session.{until_s}".encode(), "sha256").hex()
    return {"Cookie": f"hubgate_session={until_s}.{signed}"}


async def test_tokens_stand_in_files_and_cookies_hold_for_their_time(tokens: OwnStack) -> None:
    now = int(time.time())
    async with httpx.AsyncClient(base_url=tokens.http_url) as http:

        async def status(method: str, headers: dict[str, str]) -> int:
            body = {"service_required": "nobody"} if method == "POST" else None
            return (await http.request(method, "/api/jobs", headers=headers, json=body)).status_code

        for headers, read, write in (
            ({"Authorization": f"Bearer {TOKEN}"}, 200, 201),
            ({"Authorization": f"Bearer {READ_TOKEN}"}, 200, 403),
            ({"Authorization": "Bearer overruled"}, 401, 401),
            (cookie(now + 60), 200, 201),
            (cookie(now + 60, READ_TOKEN), 200, 403),
            (cookie(now - 5), 401, 401),
            (cookie(now + 60, ""), 401, 401),
            (cookie(now + 60, "other"), 401, 401),
        ):
            found = await status("GET", headers), await status("POST", headers)
            assert found == (read, write), str(headers)[:60]
