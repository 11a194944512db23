"""The client sees the notice, moves to HTTP and server-sent events, and passes a brown-out without losing an event."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.testing.waiting import until
from new_stack import __version__
from new_stack.client import Deprecation, EventKind, Gap, HybridClient, JobEvent, ServerUnavailable, Timeouts
from new_stack.queue import Queue
from tests.new_stack.api.conftest import Work

from .conftest import Api, StartApi, StartProxy

NOTICE = '[[notice]]\ndeprecated = 2026-11-01\nsunset = 2027-03-31\nlink = "https://example.org/moving"\n'
BROWN_OUT = '[[brown_out]]\nschedule = "* * * * *"\nminutes = 2\ninterrupt = true\n'


@pytest.fixture
async def api(tmp_path: Path, start_api: StartApi) -> Api:
    return await start_api(deprecation_file=str(tmp_path / "deprecation.toml"))


def say(path: Path, text: str) -> None:
    (path / "new").write_text(text)
    (path / "new").replace(path / "deprecation.toml")


async def over_a_websocket(client: HybridClient) -> HybridClient:
    """As a client of mode auto is where HTTP did not get through when it asked."""
    client._chosen = client._socket
    return client


async def used(api: Api, client_id: str) -> set[str]:
    found = (await api.get("/api/usage", params={"client": client_id}))["clients"]
    return {way["protocol"] for one in found for way in one["ways"]}


async def test_it_says_who_it_is_and_which_version(api: Api) -> None:
    async with HybridClient(api.base, client_id="app-1") as client:
        await client.submit("simulation", {})
    async with HybridClient(api.base, client_id="app-1", mode="websocket") as client:
        await client.status((await client.submit("simulation", {})).job_id)
    [found] = (await api.get("/api/usage"))["clients"]
    assert found["client"] == "app-1"
    assert {agent for way in found["ways"] for agent in way["agents"]} == {f"hubgate-client/{__version__}"}
    assert {way["protocol"] for way in found["ways"]} == {"http", "websocket"}


async def test_after_a_notice_it_prefers_http(api: Api, tmp_path: Path) -> None:
    say(tmp_path, NOTICE)
    await until(lambda: api.services.retirement._config.notice)
    async with HybridClient(api.base, client_id="app-1") as client:
        await over_a_websocket(client)
        await client.submit("simulation", {})
        assert (client.transport, client.deprecation) == (
            "websocket",
            Deprecation(
                deprecated="2026-11-01",
                sunset="2027-03-31",
                link="https://example.org/moving",
                message="The hub's protocols are deprecated: use HTTP and server-sent events.",
            ),
        )
        await client.submit("simulation", {})
        assert client.transport == "http"
    assert await used(api, "app-1") == {"websocket", "http"}


async def test_after_a_notice_it_stays_where_http_does_not_get_through(
    api: Api, tmp_path: Path, start_proxy: StartProxy
) -> None:
    say(tmp_path, NOTICE)
    await until(lambda: api.services.retirement._config.notice)
    async with HybridClient(api.base) as client:
        await over_a_websocket(client)
        client._http._url += "/nowhere"  # type: ignore[union-attr]
        for _ in range(2):
            await client.submit("simulation", {})
        assert client.transport == "websocket"


async def test_it_passes_a_brown_out_without_losing_an_event(api: Api, tmp_path: Path, queue: Queue) -> None:
    seen: list[JobEvent | Gap] = []
    work = Work(queue)
    async with HybridClient(api.base, client_id="app-1") as client:
        await over_a_websocket(client)
        job = await client.submit("simulation", {})

        async def follow() -> None:
            async for event in client.follow(job.job_id):
                seen.append(event)  # noqa: PERF401 - looked at while it grows

        following = asyncio.create_task(follow())
        lease = await work.claim()
        for percent in range(10, 50, 10):
            await work.progress(lease, percent)
        await until(lambda: len(seen) >= 6)
        say(tmp_path, BROWN_OUT)
        await until(lambda: not api.services.retirement.sessions)
        for percent in range(50, 100, 10):
            await work.progress(lease, percent)
        await work.complete(lease)
        await asyncio.wait_for(following, 20)
        assert client.transport == "http"
        await client.submit("simulation", {})
    assert not any(isinstance(event, Gap) for event in seen)
    assert [event.progress for event in seen if event.kind is EventKind.PROGRESS] == list(range(10, 100, 10))
    assert len({event.id for event in seen}) == len(seen)
    [found] = (await api.get("/api/usage", params={"client": "app-1"}))["clients"]
    assert found["brown_outs"][0]["came_back"] in {"http modern", "sse modern"}


async def test_a_request_meets_a_brown_out_and_is_made_once_over_http(api: Api, tmp_path: Path, queue: Queue) -> None:
    async with HybridClient(api.base) as client:
        await over_a_websocket(client)
        await client.submit("simulation", {}, job_id="before")
        say(tmp_path, BROWN_OUT)
        await until(lambda: not api.services.retirement.sessions)
        accepted = await client.submit("simulation", {}, job_id="after")
        assert (accepted.job_id, client.transport) == ("after", "http")
        assert (await client.status("before")).job_id == "before"
    assert (await queue.counts()).pending == 2


async def test_where_only_a_websocket_is_allowed_it_waits_for_the_end_of_the_brown_out(
    api: Api, tmp_path: Path
) -> None:
    async with HybridClient(api.base, mode="websocket") as client:
        say(tmp_path, "legacy = false")
        await until(lambda: not api.services.retirement._config.legacy)
        submitting = asyncio.create_task(client.submit("simulation", {}))
        await until(lambda: used(api, client.client_id))
        say(tmp_path, "")
        assert (await asyncio.wait_for(submitting, 30)).job_id
    say(tmp_path, "legacy = false")
    await until(lambda: not api.services.retirement._config.legacy)
    impatient: Any = Timeouts(retry_budget_s=0.5)
    async with HybridClient(api.base, mode="websocket", timeouts=impatient) as client:
        with pytest.raises(ServerUnavailable, match="switched off"):
            await client.submit("simulation", {})
