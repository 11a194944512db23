"""Who uses what is counted by client, program, protocol, dialect, message and day, and told by GET /api/usage."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from click.testing import CliRunner

from harness.testing.waiting import until
from hubgate.cli import cli
from new_stack.api.legacy.client_session import ACTIONS
from new_stack.api.legacy.hub import HUB
from new_stack.api.legacy.v2 import monitor as v2_monitor
from new_stack.api.legacy.v2 import rest as later_rest
from new_stack.api.legacy.v2.client import V2
from new_stack.api.legacy.v2.client_session import ACTIONS as LATER_ACTIONS
from new_stack.api.retirement import usage
from new_stack.api.retirement.callers import CLIENT_HEADER, Caller
from new_stack.api.retirement.features import INSTEAD
from new_stack.api.retirement.usage import UsageCounter, silence_for
from new_stack.queue import QueueSettings

from .conftest import Api, StartApi


def today() -> str:
    return datetime.now(UTC).date().isoformat()


async def used(api: Api, client: str) -> dict[tuple[str, str], dict[str, int]]:
    """By protocol and dialect: how often the client has used each message."""
    found = (await api.get("/api/usage", params={"client": client}))["clients"]
    return {
        (way["protocol"], way["dialect"]): {name: use["count"] for name, use in way["messages"].items()}
        for one in found
        for way in one["ways"]
    }


async def way(api: Api, client: str) -> dict[str, Any]:
    [one] = (await api.get("/api/usage", params={"client": client}))["clients"]
    [only] = one["ways"]
    return dict(only)


async def test_a_hub_client_is_counted_by_what_it_sends(api: Api) -> None:
    socket = await api.socket("/ws/client/old-1", headers={"User-Agent": "websockets/12"})
    await socket.send(type="stay_alive")
    await socket.send(type="stay_alive")
    await socket.send(type="made_up_word")
    await socket.until("error")
    counted = await until(lambda: used(api, "old-1"))
    assert counted == {("websocket", "hub"): {"connect": 1, "stay_alive": 2, "other": 1}}
    found = await way(api, "old-1")
    assert found["days"] == {today(): 4}
    assert found["agents"]["websockets/12"]["count"] == 4
    assert found["messages"]["stay_alive"]["instead"] == INSTEAD["stay_alive"]


async def test_a_client_of_the_later_dialect_is_counted_as_one_from_its_first_message(api: Api) -> None:
    socket = await api.socket("/?id=later-1")
    await socket.send(type="get_job_status", job_id="none", id=1)
    await socket.until("error")
    assert await until(lambda: used(api, "later-1")) == {("websocket", "later"): {"connect": 1, "get_job_status": 1}}


async def test_a_monitor_that_says_nothing_is_counted_when_it_goes(api: Api) -> None:
    socket = await api.socket("/ws/monitor/page")
    await socket.raw.close()
    assert await until(lambda: used(api, "page")) == {("websocket", "hub"): {"connect": 1}}


async def test_legacy_rest_is_counted_apart_from_the_modern_routes(start_api: StartApi) -> None:
    api = await start_api(later_rest=True)
    await api.post("/api/jobs", {"job_type": "a", "payload": {}}, 200)
    await api.post("/api/jobs", {"job_type": "a", "payload": {}, "wait": True, "timeout": 0}, 200)
    job = await api.post("/jobs", {"job_type": "a", "payload": {}})
    await api.get(f"/jobs/{job['id']}")
    named = {"headers": {CLIENT_HEADER: "app-7", "User-Agent": "hubgate/1"}}
    job_id = (await api.post("/api/jobs", {"service_required": "a", "payload": {}}, **named))["job_id"]
    await api.post(f"/api/jobs/{job_id}/cancel", {}, 200, **named)
    async with api.session.get(f"{api.base}/api/jobs/{job_id}/progress", **named) as stream:
        await stream.read()
    await api.get("/api/jobs/none", 404, **named)
    assert await used(api, "rest-api-client") == {
        ("rest", "hub"): {"POST /api/jobs": 1, "POST /api/jobs with wait": 1},
        ("rest", "later"): {"POST /jobs": 1, "GET /jobs/{job_id}": 1},
    }
    assert await used(api, "app-7") == {
        ("http", "modern"): {"submit": 1, "cancel": 1},
        ("sse", "modern"): {"follow": 1},
    }


async def test_the_days_together_and_the_pages_add_up(api: Api) -> None:
    for number in range(30):
        await api.get("/api/jobs", headers={CLIENT_HEADER: f"c-{number}"})
    seen: dict[str, int] = {}
    cursor: str | None = "0"
    while cursor is not None:
        page = await api.get("/api/usage", params={"limit": 5, "cursor": cursor})
        seen |= {one["client"]: one["ways"][0]["days"][today()] for one in page["clients"]}
        cursor = page["cursor"]
    assert seen == {f"c-{number}": 1 for number in range(30)}
    first = await api.get("/api/usage")
    submissions = {"legacy": 0, "modern": 0}
    assert first["days"] == [{"day": today(), "submissions": submissions, "used": {"http modern list": 30}}]
    assert (first["counted_since"], first["forgotten"], first["days_kept"]) == (today(), 0, 90)
    for wrong in ("x", "-1", "9" * 30):
        await api.get("/api/usage", 422, params={"cursor": wrong})


async def test_hostile_names_and_agents_do_no_harm(api: Api) -> None:
    headers = {CLIENT_HEADER: "x" * 5_000, "User-Agent": "\xff\u2028" + "y" * 5_000}
    await api.get("/api/jobs", headers=headers)
    [one] = (await api.get("/api/usage"))["clients"]
    assert len(one["client"]) == 256
    [agent] = one["ways"][0]["agents"]
    assert 0 < len(agent) <= 100


async def test_counts_outlive_an_absence_of_redis_and_the_server(start_api: StartApi, own_valkey: Any) -> None:
    api = await start_api(QueueSettings(redis_url=own_valkey.url, call_timeout_ms=300))
    counter = api.services.usage
    counter.count(Caller("a", "agent", "websocket", "hub"), "connect")
    own_valkey.kill()
    await api.get("/api/usage", 503)
    counter.count(Caller("a", "agent", "websocket", "hub"), "connect")
    own_valkey.start()
    assert await until(lambda: _found(api)) == {("websocket", "hub"): {"connect": 2}}


async def _found(api: Api) -> Any:
    async with api.session.get(f"{api.base}/api/usage") as response:
        if response.status != 200:
            return None
    return await used(api, "a")


async def test_what_waits_for_redis_is_bounded(api: Api) -> None:
    counter = UsageCounter(api.queue.usage, time.time)
    for number in range(30_000):
        counter.count(Caller(f"c{number}", "", "http", "modern"), "list")
    assert counter.uncounted == 10_000


def test_what_few_use_waits_a_second_and_what_many_use_half_a_minute() -> None:
    assert [silence_for(uses) for uses in (1, 50, 500, 1_500, 9_999, 10_000)] == [0.02, 1.0, 10.0, 30.0, 30.0, 1.0]


async def test_what_is_much_does_not_wait(api: Api) -> None:
    counter = api.services.usage
    for number in range(12_000):
        counter.count(Caller(f"c{number}", "", "http", "modern"), "list")
    await until(lambda: not counter._uses, within=usage.FLUSH_SECONDS / 2)
    assert not counter.uncounted


async def test_the_command_names_clients_with_what_they_use(api: Api) -> None:
    socket = await api.socket("/ws/client/old-1", headers={"User-Agent": "websockets/12"})
    await socket.send(type="request_stats")
    await socket.until("error")
    await until(lambda: used(api, "old-1"))
    await api.get("/api/jobs", headers={CLIENT_HEADER: "new-1"})

    async def run(*options: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, cli, ["usage", "--target", api.base, *options])
        assert done.exit_code == 0, done.output
        return done.output

    text = await run()
    assert "2 clients since" in text
    assert text.index("old-1") < text.index("new-1")
    assert f"websocket (hub), last {today()}, on 1 day: connect 1 and request_stats 1; by websockets/12" in text
    assert "new-1" not in await run("--legacy-only")
    assert [one["client"] for one in json.loads(await run("--json", "--client", "new-1"))["clients"]] == ["new-1"]


def test_every_word_of_every_dialect_says_what_there_is_instead() -> None:
    words = ACTIONS.keys() | HUB.answers.keys() | LATER_ACTIONS.keys() | V2.answers.keys() | v2_monitor.V2_ONLY
    routes = {f"{method} {path.replace(':[^/]+', '')}" for method, path, _ in later_rest.ROUTES}
    assert words | routes <= INSTEAD.keys()


async def test_counting_costs_at_most_one_percent_of_a_message(api: Api) -> None:
    """Each by the processor time of this process: the quickest of several runs."""
    socket = await api.client("busy")
    counter = UsageCounter(api.queue.usage, time.time)
    caller = msgspec.structs.replace(Caller("busy", "agent", "websocket", "hub"))

    async def messages(number: int) -> float:
        began = time.process_time()
        for _ in range(number):
            await socket.send(type="stay_alive")
            await socket.receive()
        return (time.process_time() - began) / number

    def counts(number: int) -> float:
        began = time.process_time()
        for _ in range(number):
            counter.count(caller, "stay_alive")
        return (time.process_time() - began) / number

    message = min([await messages(200) for _ in range(5)])
    count = min(counts(20_000) for _ in range(5))
    assert count <= message / 100, f"{count * 1e6:.2f} µs of {message * 1e6:.0f} µs"
