"""What a browser sends on behalf of a page that is not the server's own is refused; everybody else is served."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from .conftest import Api, StartApi

JOB = {"service_required": "simulation"}
SOCKETS = ("/", "/ws/client/a", "/ws/monitor/a", "/ws/worker/a")


async def post(api: Api, path: str, headers: dict[str, str], body: Any = JOB) -> int:
    async with api.session.post(api.base + path, data=json.dumps(body), headers=headers) as response:
        return response.status


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"])
async def test_a_foreign_page_can_neither_write_nor_open_a_socket(api: Api, origin: str) -> None:
    job_id = await api.submit()
    for path in ("/api/jobs", f"/api/jobs/{job_id}/cancel", f"/api/jobs/{job_id}/retry"):
        assert await post(api, path, {"Origin": origin, "Content-Type": "application/json"}) == 403
    for path in SOCKETS:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await api.socket(path, headers={"Origin": origin})
        assert refused.value.status == 403
    assert (await api.queue.counts()).pending == 1


async def test_a_form_of_a_foreign_page_is_refused_though_its_origin_is_hidden(api: Api) -> None:
    assert await post(api, "/api/jobs", {"Sec-Fetch-Site": "cross-site", "Content-Type": "application/json"}) == 403
    assert await post(api, "/api/jobs", {"Content-Type": "text/plain"}) == 415
    assert await post(api, "/api/jobs", {"Content-Type": "application/x-www-form-urlencoded"}) == 415
    assert (await api.queue.counts()).pending == 0


async def test_the_servers_own_page_and_listed_origins_are_served(start_api: StartApi) -> None:
    api = await start_api(cors_origins=("https://good.example",))
    for origin in (api.base, "https://good.example"):
        headers = {"Origin": origin, "Content-Type": "application/json; charset=utf-8"}
        assert await post(api, "/api/jobs", headers) == 201
        socket = await api.socket("/ws/client/a", headers={"Origin": origin})
        assert (await socket.receive())["type"] == "connection_established"


async def test_programs_that_name_no_origin_are_served(api: Api) -> None:
    assert await post(api, "/api/jobs", {"Content-Type": "application/json"}) == 201
    async with api.session.post(f"{api.base}/api/jobs", data=b"{}", skip_auto_headers=["Content-Type"]) as response:
        assert response.status == 422  # it was read


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[", "a.b@c.d"])
async def test_a_name_that_was_made_to_point_here_is_not_answered(api: Api, host: str) -> None:
    origin = f"http://{host}"
    assert (await api.get("/api/jobs", 421, headers={"Host": host}))["status"] == 421
    assert await post(api, "/api/jobs", {"Host": host, "Origin": origin, "Content-Type": "application/json"}) == 421
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await api.socket("/ws/monitor/a", headers={"Host": host, "Origin": origin})


async def test_names_that_are_local_or_listed_are_answered(start_api: StartApi) -> None:
    api = await start_api(allowed_hosts=("hub.example",))
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "hub.example", "hub.example:80", "api", "a.localhost"):
        await api.get("/api/jobs", headers={"Host": host})


async def test_with_a_token_the_name_does_not_matter(start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    await api.get("/api/jobs", headers={"Host": "hub.example", "Authorization": "Bearer s3cret"})
    await api.get("/api/jobs", 401, headers={"Host": "hub.example"})
