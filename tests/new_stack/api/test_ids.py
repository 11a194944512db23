"""Every id that is accepted works on every route and in every dialect; what no URL can address is refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from .conftest import Api, Work

ODD = [
    "{job}", "a{b}c", "100%", "%7B", "a b", "a+b", "a?b#c", "a;b,c", "schlüssel", "日本", '"quoted"', "...", "x" * 256,
    "~._-", "&amp;", "@:$", "0", "null",
]  # fmt: skip
REFUSED = [".", "back\\slash", "..", "a/b", "/", "a\x00b", "tab\there", "line\nbreak", "x" * 257, "", " "]


def path(job_id: str, rest: str = "") -> str:
    return f"/api/jobs/{quote(job_id, safe='')}{rest}"


@pytest.mark.parametrize("job_id", ODD)
async def test_an_odd_id_works_everywhere(api: Api, work: Work, job_id: str) -> None:
    async def call(method: str, rest: str = "") -> Any:
        url = URL(api.base + path(job_id, rest), encoded=True)
        async with api.session.request(method, url) as response:
            assert response.status == 200, await response.text()
            return await response.json() if "json" in response.content_type else await response.text()

    async with api.session.post(f"{api.base}/api/jobs", json={"service_required": "a", "id": job_id}) as response:
        assert response.status == 201
        located = response.headers["Location"]
    assert located == path(job_id)
    assert (await call("GET"))["job_id"] == job_id
    assert (await call("POST", "/cancel"))["status"] == "cancelled"
    assert (await call("POST", "/retry"))["status"] == "pending"
    await work.whole_job(50)
    assert '"kind":"completed"' in await call("GET", "/progress")
    client = await api.client()
    await client.send(type="request_job_status", job_id=job_id)
    assert (await client.receive())["status"] == "completed"


@pytest.mark.parametrize("job_id", REFUSED)
async def test_an_id_that_no_url_can_address_is_refused_with_its_field(api: Api, job_id: str) -> None:
    problem = await api.post("/api/jobs", {"service_required": "a", "id": job_id}, 422)
    assert problem["errors"][0]["field"] == "id"
    [item] = await api.post("/api/jobs", [{"service_required": "a", "id": job_id}], 200)
    assert item["problem"]["errors"][0]["field"] == "id"
    if job_id:  # the hub takes an empty one for none
        await api.post("/api/jobs", {"job_type": "a", "payload": {}, "job_id": job_id}, 422)
        client = await api.client()
        await client.send(type="submit_job", job_type="a", message_id=job_id)
        assert "id" in (await client.receive())["error"]
    assert (await api.queue.counts()).pending == 0


async def test_a_clients_name_may_be_odd_too(api: Api) -> None:
    socket = await api.socket("/ws/client/" + quote("{me} ü", safe=""))
    assert "{me} ü" in (await socket.receive())["message"]


@pytest.mark.parametrize("path", ["/ws/client/", "/ws/monitor/"])
async def test_a_name_that_would_fill_every_statistics_frame_is_refused(api: Api, path: str) -> None:
    for name in ("x" * 257, "a%00b"):
        async with api.session.get(URL(api.base + path + name, encoded=True)) as response:
            assert response.status == 422
