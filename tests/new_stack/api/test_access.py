"""Tokens, origins and limits."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from .conftest import Api, SseEvent, StartApi, Work

REFUSED = {"type": "error", "error": "Authentication failed: Invalid token"}


@pytest.mark.parametrize("path", ["/ws/client/a", "/ws/monitor/a", "/ws/worker/a", "/"])
@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong"])
async def test_a_socket_without_the_token_is_refused_as_the_hub_refuses(
    start_api: StartApi, path: str, query: str
) -> None:
    api = await start_api(token="s3cret")
    socket = await api.socket(path + query)
    assert await socket.receive() == REFUSED
    assert await socket.closed() == 1000


async def test_a_socket_with_the_token_is_served(start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    by_query = await api.socket("/ws/client/a?token=s3cret")
    by_header = await api.socket("/ws/monitor/a", headers={"Authorization": "Bearer s3cret"})
    for socket in (by_query, by_header):
        assert (await socket.receive())["type"] == "connection_established"


async def test_http_needs_the_token_but_health_and_documents_do_not(start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    for path in ("/api/jobs", "/api/stats", "/api/events", "/metrics", "/api/jobs/x/progress"):
        problem = await api.get(path, 401)
        assert "token" in problem["hint"]
        await api.get(path, 401, headers={"Authorization": "Bearer wrong"})
    await api.post("/api/jobs", {"job_type": "a", "payload": {}}, 401)
    assert (await api.queue.counts()).pending == 0
    for path in ("/", "/health/live", "/health/ready", "/openapi.json"):
        await api.get(path)
    await api.get("/api/stats", headers={"Authorization": "bearer s3cret"})
    await api.get("/api/stats?token=s3cret")


async def test_legacy_rest_may_be_left_open_as_the_hub_leaves_it(start_api: StartApi) -> None:
    api = await start_api(token="s3cret", open_rest=True)
    await api.post("/api/jobs", {"job_type": "a", "payload": {}}, 200)
    socket = await api.socket("/ws/client/a")
    assert await socket.receive() == REFUSED


async def test_allowed_origins_are_told_and_others_are_not(start_api: StartApi) -> None:
    api = await start_api(cors_origins=("https://good.example",))
    for origin, allowed in (("https://good.example", "https://good.example"), ("https://evil.example", None)):
        async with api.session.get(f"{api.base}/health/live", headers={"Origin": origin}) as response:
            assert response.headers.get("Access-Control-Allow-Origin") == allowed
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        async with api.session.options(f"{api.base}/api/jobs", headers=asked) as response:
            assert response.status == 204
            assert response.headers.get("Access-Control-Allow-Origin") == allowed
            assert ("POST" in response.headers.get("Access-Control-Allow-Methods", "")) == (allowed is not None)


async def test_errors_carry_cors_headers_too(start_api: StartApi) -> None:
    api = await start_api(cors_origins=("*",))
    async with api.session.get(f"{api.base}/nowhere", headers={"Origin": "http://x"}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_foreign_pages_can_be_shut_out(start_api: StartApi) -> None:
    api = await start_api(cors_origins=())
    async with api.session.get(f"{api.base}/api/stats", headers={"Origin": "http://x"}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_one_address_has_only_so_many_connections(start_api: StartApi) -> None:
    api = await start_api(connections_per_address=2)
    first = await api.client("a")
    job_id = await api.submit()
    async with api.session.get(f"{api.base}/api/jobs/{job_id}/progress") as stream:
        assert stream.status == 200
        problem = await api.get(f"/api/jobs/{job_id}/progress", 429)
        assert "2 open connections" in problem["detail"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await api.client("b")
        assert refused.value.status == 429
    await first.raw.close()
    async with asyncio.timeout(5):
        while (await api.get("/api/stats"))["connections"] != {"sse": 0, "client": 0, "monitor": 0}:
            await asyncio.sleep(0.02)
    await api.client("c")


async def test_workers_are_told_where_to_go(api: Api) -> None:
    socket = await api.socket("/ws/worker/worker-a")
    error = await socket.receive()
    assert error["type"] == "error"
    assert "REDIS_URL" in error["error"]
    assert await socket.closed() == 1008


async def test_a_reader_that_leaves_is_forgotten(api: Api, work: Work) -> None:
    job_id = await api.submit()
    seen: list[SseEvent] = []
    async with api.session.get(f"{api.base}/api/jobs/{job_id}/progress") as response:
        await response.content.readuntil(b"\n\n")
        assert api.services.fanout.figures()["subscribers"] == 1
        response.close()
    client = await api.client()
    await client.send(type="subscribe_job", job_id=job_id)
    await client.receive()
    await client.raw.close()
    async with asyncio.timeout(5):
        while api.services.fanout.figures()["subscribers"] or api.services.fanout._followers:
            await asyncio.sleep(0.02)
    assert not seen


@pytest.mark.parametrize("odd", [b"\xff\xfe", "schlüssel".encode(), "schlüssel".encode("latin-1"), b"%ff", b"a b"])
async def test_odd_bytes_for_a_token_are_only_a_wrong_token(start_api: StartApi, odd: bytes) -> None:
    api = await start_api(token="s3cret")
    host, _, port = api.base.removeprefix("http://").partition(":")
    for head in (
        b"GET /api/stats HTTP/1.1\r\nAuthorization: Bearer " + odd,
        b"GET /api/stats?token=" + odd + b" HTTP/1.1",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        status = (await asyncio.wait_for(reader.read(), 5)).split(b" ", 2)[1]
        assert status in {b"401", b"400"}
        writer.close()
