"""What the connectors that speak HTTP share: ids and services in their URLs."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from aiohttp import web

from new_stack.worker import JobFailed
from new_stack.worker.connectors.http import fill
from tests.new_stack.worker.connectors.conftest import GivenJob, Open, Serve


@pytest.mark.parametrize(
    "job_id", ["a/b", "../run", "?x=1#y", "100%", "%2e%2e", "{service}", "{job_id}", "{", "ü ber", "a+b", "..."]
)
async def test_an_id_arrives_at_the_back_end_as_it_is(job_id: str, serve: Serve, connect: Open) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response([unquote(segment) for segment in request.raw_path.split("/")])

    app = web.Application()
    app.router.add_post("/{anything:.*}", answer)
    server = await serve(app)
    connector = await connect(f"rest-sync:url={server.make_url('/')}tenants/{{job_id}}/{{service}}/run")
    found = await connector.run(GivenJob({}, job_id=job_id, service="{job_id}"))
    assert found == ["", "tenants", job_id, "{job_id}", "run"]


@pytest.mark.parametrize("value", [".", ".."])
async def test_what_would_change_the_address_is_refused_and_not_sent(value: str, serve: Serve, connect: Open) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", answer)
    server = await serve(app)
    connector = await connect(f"rest-sync:url={server.make_url('/')}tenants/{{job_id}}/run")
    with pytest.raises(JobFailed, match="cannot be part of a URL") as caught:
        await connector.run(GivenJob({}, job_id=value))
    assert not caught.value.retryable
    assert asked == []


def test_other_braces_of_a_url_stay_as_they_are() -> None:
    assert fill("http://h/{other}/{id}?q={job_id}", GivenJob({}, job_id="1"), id="{job_id}") == (
        "http://h/{other}/%7Bjob_id%7D?q=1"
    )
