"""Who may do what: the token on every route and socket, pages of other origins, host names, and the size of bodies."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from harness.clients import Unreachable
from harness.clients.transport import HandshakeRefused, open_websocket, plain_http
from harness.protocols.hub import websocket_url
from harness.testing import Server, fresh, until
from scenarios.stacks import OwnStack, ours, script

pytestmark = [pytest.mark.criterion("security"), pytest.mark.fast]

WRONG: Final = "open-barley"
SESSION: Final = "/api/session"
OPEN: Final = frozenset({"/health", "/health/live", "/health/ready", SESSION})
"""Routes of the API's description that a load balancer asks without a token, and where a browser signs in."""
SOCKETS: Final = ("/", "/ws/client/stranger", "/ws/monitor/stranger", "/ws/worker/stranger")
REFUSED: Final = "Authentication failed: Invalid token"
FOREIGN: Final = "http://evil.example"
LIMIT: Final = 20_000
CONNECTIONS: Final = 20
"""How many connections one address may hold."""
PLACES: Final = 3
BODY_MS: Final = 4_000
"""How long a body may take to arrive."""
UPGRADE: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "aGVsbG8sIGh1YmdhdGUhIQ==",
}


async def routes(stack: Server) -> list[tuple[str, str]]:
    """Every route that the API says it has, as (method, path)."""
    async with stack.http() as http:
        paths: dict[str, Any] = (await http.get("/openapi.json")).json()["paths"]
    found = [
        (method.upper(), re.sub(r"{\w+}", "nobodys", path))
        for path, methods in paths.items()
        for method in methods
        if method in {"get", "post", "put", "delete", "patch"}
    ]
    assert len(found) >= 12, "the description has lost its routes"
    return found


async def writes(stack: Server) -> list[str]:
    """The paths that change something."""
    return [path for method, path in await routes(stack) if method != "GET"]


async def stored(stack: Server) -> int:
    """How many jobs there are."""
    async with stack.http() as http:
        counts: dict[str, Any] = (await http.get("/api/stats")).json()["queue"]
    return sum(number for name, number in counts.items() if name in {"pending", "claimed", "completed", "failed"})


@pytest.mark.parametrize("token", [None, WRONG])
async def test_no_route_answers_without_the_token_and_with_it_each_does(guarded: OwnStack, token: str | None) -> None:
    async with plain_http(guarded.http_url, token, 5) as stranger:
        for method, path in await routes(guarded):
            query = {} if token is None else {"token": token}
            statuses = [
                (await stranger.request(method, path, json={}, params=params)).status_code for params in (None, query)
            ]
            assert {status == 401 for status in statuses} == {path not in OPEN}, (method, path, statuses)
    async with guarded.http() as friend:
        for method, path in await routes(guarded):
            if path not in {"/api/events", *OPEN}:
                assert (await friend.request(method, path, json={})).status_code in {200, 404, 422}, path


async def test_nobody_signs_in_without_the_token(guarded: OwnStack) -> None:
    async with plain_http(guarded.http_url, None, 5) as stranger:
        for body in ({}, {"token": None}, {"token": ""}, {"token": WRONG}):
            answer = await stranger.post(SESSION, json=body)
            assert answer.status_code in {401, 422}, (body, answer.text)
            assert "Set-Cookie" not in answer.headers
        assert (await stranger.get("/api/jobs")).status_code == 401


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("token", [None, WRONG])
async def test_no_socket_says_anything_but_that_the_token_is_wrong(
    guarded: OwnStack, path: str, token: str | None
) -> None:
    socket = await open_websocket(websocket_url(guarded.http_url, path, token))
    async with asyncio.timeout(5):
        said = [str(frame) async for frame in socket]
    assert len(said) == 1
    assert REFUSED in said[0]


async def test_no_page_of_another_origin_can_write(isolated_stack: OwnStack) -> None:
    body = {"job_type": "simulation", "payload": {}}
    async with isolated_stack.http() as http:
        for origin in (FOREIGN, "null", "http://127.0.0.1:1"):
            for path in await writes(isolated_stack):
                answer = await http.post(path, json=body, headers={"Origin": origin})
                assert answer.status_code == 403, (origin, path)
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            hidden = await http.post("/api/jobs", content=b'{"job_type": "x"}', headers={"Content-Type": kind})
            assert hidden.status_code == 415, kind
    assert await stored(isolated_stack) == 0


@pytest.mark.parametrize("path", SOCKETS)
async def test_no_page_of_another_origin_can_open_a_socket(isolated_stack: OwnStack, path: str) -> None:
    for origin in (FOREIGN, "null"):
        with pytest.raises(HandshakeRefused) as refused:
            await open_websocket(websocket_url(isolated_stack.http_url, path), headers={"Origin": origin})
        assert refused.value.status == 403


async def test_a_page_that_the_server_serves_itself_may_do_both(isolated_stack: OwnStack) -> None:
    own = {"Origin": isolated_stack.http_url}
    async with isolated_stack.http() as http:
        answer = await http.post("/api/jobs", json={"job_type": "simulation", "payload": {}}, headers=own)
        assert answer.status_code in {200, 201, 202}
    socket = await open_websocket(websocket_url(isolated_stack.http_url, "/ws/client/own"), headers=own)
    assert "connection_established" in str(await asyncio.wait_for(socket.recv(), 5))
    await socket.close()
    assert await stored(isolated_stack) == 1


async def test_a_name_that_was_made_to_point_here_reads_and_writes_nothing(isolated_stack: OwnStack) -> None:
    headers = {"Host": "evil.example", "Origin": FOREIGN}
    async with isolated_stack.http() as http:
        assert (await http.get("/api/jobs", headers={"Host": "evil.example"})).status_code == 421
        for path in await writes(isolated_stack):
            assert (await http.post(path, json={}, headers=headers)).status_code == 421, path
        for path in SOCKETS[1:]:
            assert (await http.get(path, headers={**UPGRADE, **headers})).status_code == 421, path
    assert await stored(isolated_stack) == 0


@pytest.fixture
def narrow(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """A stack that takes little at once."""
    limits = {
        "hubgate_body_limit": LIMIT,
        "hubgate_bodies_limit": 3 * LIMIT,
        "hubgate_message_limit": LIMIT,
        "hubgate_body_timeout_ms": BODY_MS,
        "hubgate_connections_per_address": CONNECTIONS,
    }
    with ours(request, "a stack whose limits it can set").stack("narrow", settings=limits) as own:
        yield own


async def test_what_is_too_large_is_refused_by_both_ways_and_the_server_goes_on(narrow: OwnStack) -> None:
    large = script(result="x" * 2 * LIMIT)

    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b" " * (LIMIT // 4)

    async with narrow.http() as http:
        assert (await http.post("/api/jobs", json={"job_type": "simulation", "payload": large})).status_code == 413
        headers = {"Content-Type": "application/json"}
        assert (await http.post("/api/jobs", content=in_pieces(), headers=headers)).status_code == 413
    async with narrow.legacy() as client:
        with pytest.raises(AssertionError, match=r"connection closed: 1009"):
            await client.submit(large)
    async with narrow.legacy() as client:
        await client.submit({}, job_id=fresh("job"))
    assert await stored(narrow) == 1


async def test_all_bodies_together_are_bounded(narrow: OwnStack) -> None:
    """Each is within the limit; they are held unfinished, all at once."""
    begun = [await begin_body(narrow) for _ in range(6)]
    tasks = [asyncio.create_task(reader.readline()) for reader, _ in begun]
    answered, waiting = await asyncio.wait(tasks, timeout=3, return_when=asyncio.FIRST_COMPLETED)
    assert answered, "six bodies of two thirds of the limit of all are held together"
    assert all(b" 503 " in task.result() for task in answered)
    for _, writer in begun:
        writer.close()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with narrow.modern() as client:
        assert await client.submit({})


async def test_who_does_not_send_its_body_is_told_so_and_to_close(narrow: OwnStack) -> None:
    reader, writer = await begin_body(narrow)
    answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 3 * BODY_MS / 1000)
    writer.close()
    assert answered.startswith(b"HTTP/1.1 408 "), answered
    assert b"connection: close" in answered.lower()


async def test_nobody_gets_more_connections_by_saying_that_he_is_forwarded(narrow: OwnStack) -> None:
    opened = []

    async def open_one(number: int) -> None:
        url = websocket_url(narrow.http_url, f"/ws/monitor/{number}")
        opened.append(await open_websocket(url, headers={"X-Forwarded-For": f"192.0.2.{number}"}))

    for number in range(CONNECTIONS // 2):
        await open_one(number)
    with pytest.raises(HandshakeRefused):
        await asyncio.gather(*(open_one(number) for number in range(CONNECTIONS // 2, CONNECTIONS + 1)))
    for socket in opened:
        await socket.close()


async def begin_body(stack: OwnStack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A submission of the largest size that is allowed, whose last byte does not come."""
    host, port = stack.http_url.removeprefix("http://").split(":")
    head = f"POST /api/jobs HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{head}Content-Length: {LIMIT}\r\n\r\n".encode() + b" " * (LIMIT - 1))
    return reader, writer


async def test_nobody_is_reached_where_nobody_listens() -> None:
    """The other tests would pass against a server that is away: their refusals have to be told from this."""
    with pytest.raises(Unreachable) as away:
        await open_websocket("ws://127.0.0.1:9/ws/client/a")
    assert not isinstance(away.value, HandshakeRefused)


async def test_no_log_says_a_token(guarded: OwnStack) -> None:
    """Sockets have it in their URLs, and what is wrong with a request is logged with that."""
    host, port = guarded.http_url.removeprefix("http://").split(":")
    token = guarded.target.token
    for request in (f"GET /api/jobs?token={token} HTTP/x", f"GET /api/jobs?token={token}\x00 HTTP/1.1\r\nHost: a:b:c"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{request}\r\n\r\n".encode())
        await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    async with guarded.legacy() as client:
        await client.submit({})
    [server] = guarded.deployment.servers
    await until(lambda: "request_refused" in server.log_text(), 5, "a request that is logged")
    assert str(token) not in server.log_text()


async def test_behind_a_proxy_that_is_trusted_the_address_is_the_one_that_it_has_seen(
    request: pytest.FixtureRequest,
) -> None:
    """What the caller says of itself stands before it, and gives nobody more connections."""
    settings = {"hubgate_trust_forwarded": "true", "hubgate_connections_per_address": PLACES}
    with ours(request, "a stack whose limits it can set").stack("forwarded", settings=settings) as behind:
        url = websocket_url(behind.http_url, "/ws/monitor/forwarded")

        async def open_from(*addresses: str) -> Any:
            return await open_websocket(url, headers={"X-Forwarded-For": ", ".join(addresses)})

        opened = [await open_from(f"192.0.2.{number}", "198.51.100.1") for number in range(PLACES)]
        with pytest.raises(HandshakeRefused) as refused:
            await open_from("192.0.2.99", "198.51.100.1")
        assert refused.value.status == 429
        opened.append(await open_from("192.0.2.0", "198.51.100.2"))
        for socket in opened:
            await socket.close()
