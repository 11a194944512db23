"""Phase 3B: the hub's protocols are announced to go, refused for a while, switched off, and brought back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from harness.clients import LegacyClient, ModernClient
from harness.testing import fresh, until
from scenarios.received_facts import facts_by_events, facts_by_websocket, kinds, progress_of
from scenarios.stacks import OwnStack, Stacks, script, wait

pytestmark = [pytest.mark.criterion("retirement"), pytest.mark.timeout(90)]

NOTICE: Final = '[[notice]]\ndeprecated = 2026-11-01\nsunset = 2027-03-31\nlink = "https://example.org/moving"\n'
BROWN_OUT: Final = '[[brown_out]]\nschedule = "* * * * *"\nminutes = 2\n'
"""One follows the other without a pause: it is over when the file says so."""
SWITCHED_OFF: Final = "legacy = false\n"
GONE: Final = "4410"
STEPS: Final = tuple(range(10, 100, 10))
LONG: Final = script(*(part for step in STEPS for part in (step, wait(300))), result="whole")
WITHIN_S: Final = 20


class Retiring:
    """A stack with one worker, and the file that says what of it is deprecated."""

    def __init__(self, stack: OwnStack, path: Path) -> None:
        self.stack = stack
        self._path = path

    def say(self, text: str) -> None:
        """Change the file at once, as an operator does."""
        beside = self._path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self._path)

    async def usage(self, client: str) -> dict[str, Any]:
        """What the stack counted of a client."""
        async with self.stack.http() as http:
            answer = (await http.get("/api/usage", params={"client": client})).json()
        return next(iter(answer["clients"]), {"ways": [], "brown_outs": []})

    async def counted(self, client: str, protocol: str, message: str) -> int:
        """How often a client has used one message."""
        ways = [way for way in (await self.usage(client))["ways"] if way["protocol"] == protocol]
        return sum(way["messages"].get(message, {"count": 0})["count"] for way in ways)

    async def refuses(self, name: str) -> str:
        """Wait until a new connection under that name is refused; the sentence that it is told."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                client = self.stack.legacy(name)
                await client.open()
                first = await client.wait_for(lambda _: True, "a first word")
                if first["type"] == "error":
                    await closed(client)
                    return str(first["error"])
                await client.close()

    async def serves(self, name: str) -> LegacyClient:
        """Wait until a new connection is served."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                client = self.stack.legacy(name)
                await client.open()
                if (await client.wait_for(lambda _: True, "a first word"))["type"] == "connection_established":
                    return client
                await client.close()


async def closed(client: LegacyClient) -> None:
    """Wait for the close, with its code and a reason."""
    async with asyncio.timeout(WITHIN_S):
        while client.closed is None:  # noqa: ASYNC110 - the socket tells nobody else of its end
            await asyncio.sleep(0.02)
    assert client.closed.startswith(GONE), f"closed with {client.closed!r}"
    assert len(client.closed) > len(GONE) + 10, "closed without a sentence"


@pytest.fixture
def retiring(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Retiring]:
    if request.config.getoption("--candidate"):
        pytest.skip("needs a stack whose configuration it can change")
    stacks: Stacks = request.getfixturevalue("stacks")
    path = tmp_path / "deprecation.toml"
    path.write_text("")
    with stacks.stack("retiring", workers=1, settings={"hubgate_deprecation_file": path}) as own:
        yield Retiring(own, path)


async def submit_over_rest(http: httpx.AsyncClient) -> httpx.Response:
    return await http.post("/api/jobs", json={"job_type": "simulation", "payload": script(50)})


async def follow(client: ModernClient) -> list[float]:
    """A job of the modern side from beginning to end; its progress."""
    events = await client.follow_to_end(await client.submit(script(25, 75), job_id=fresh("modern")))
    assert kinds(events)[-1] == "completed"
    return progress_of(facts_by_events(events))


async def have_all_of_their_jobs(busy: LegacyClient, job_id: str, modern: ModernClient) -> None:
    """Nothing is lost of the modern side's, nor of what an old client waits for, which is sent away afterwards."""
    assert await follow(modern) == [25, 75]
    assert (await busy.ended(job_id))["result"] == "whole"
    assert progress_of(facts_by_websocket(busy.received, job_id)) == list(STEPS)
    await closed(busy)


async def test_a_notice_is_told_and_breaks_no_old_client(retiring: Retiring) -> None:
    name = fresh("old")
    async with retiring.stack.http() as http:
        assert "deprecation" not in (await submit_over_rest(http)).headers
        retiring.say(NOTICE)

        async def noticed() -> bool:
            return "deprecation" in (await submit_over_rest(http)).headers

        await until(noticed, WITHIN_S, "the header Deprecation")
        answer = await submit_over_rest(http)
        assert answer.json()["success"] is True
        assert answer.headers["Sunset"] == "Wed, 31 Mar 2027 00:00:00 GMT"
        assert "deprecation" not in (await http.get("/api/jobs")).headers
    async with retiring.stack.legacy(name) as client:
        greeting = await client.expect("connection_established")
        assert name in greeting["message"], f"the greeting says {greeting['message']!r}"
        assert greeting["deprecation"]["sunset"] == "2027-03-31"
        job_id = await client.submit(script(25, 75, result="as ever"))
        assert (await client.ended(job_id))["result"] == "as ever"
        assert progress_of(facts_by_websocket(client.received, job_id)) == [25, 75]


async def test_usage_names_each_client_with_what_it_used(retiring: Retiring) -> None:
    names = [fresh("team") for _ in range(3)]
    for number, name in enumerate(names, 1):
        async with retiring.stack.legacy(name) as client:
            for _ in range(number):
                await client.ended(await client.submit(script(50)))

    async def all_counted() -> bool:
        found = [await retiring.counted(name, "websocket", "submit_job") for name in names]
        assert max(found) <= len(names)
        return found == [1, 2, 3]

    await until(all_counted, WITHIN_S, "the count of each client's own submissions")


async def test_a_brown_out_spares_jobs_in_flight_and_loses_no_event(retiring: Retiring) -> None:
    busy, idle = retiring.stack.legacy(fresh("busy")), await retiring.serves(fresh("idle"))
    async with busy, retiring.stack.modern() as modern, retiring.stack.http() as http:
        job_id = await busy.submit(LONG)
        await busy.expect("update_job_progress", job_id=job_id)
        retiring.say(BROWN_OUT)
        await closed(idle)
        assert "Brown-out" in await retiring.refuses(fresh("late"))
        answer = await submit_over_rest(http)
        assert answer.status_code == httpx.codes.GONE
        assert "Brown-out" in answer.json()["detail"]
        await have_all_of_their_jobs(busy, job_id, modern)
        retiring.say("")
        await (await retiring.serves(idle.name)).close()

        async def came_back() -> bool:
            brown_outs = (await retiring.usage(idle.name))["brown_outs"]
            return bool(brown_outs) and brown_outs[0]["came_back"] == "websocket hub"

        await until(came_back, WITHIN_S, "how the idle client came back")


async def test_the_switch_drains_ends_in_words_and_goes_back(retiring: Retiring) -> None:
    busy, idle = retiring.stack.legacy(fresh("busy")), await retiring.serves(fresh("idle"))
    async with busy, retiring.stack.modern() as modern, retiring.stack.http() as http:
        job_id = await busy.submit(LONG)
        await busy.expect("update_job_progress", job_id=job_id)
        retiring.say(SWITCHED_OFF)
        await closed(idle)
        assert "switched off" in await retiring.refuses(busy.name)
        await busy.send({"type": "submit_job", "job_type": "simulation", "payload": {}})
        assert "switched off" in (await busy.expect("error"))["error"]
        assert (await submit_over_rest(http)).status_code == httpx.codes.GONE
        assert (await modern.job(job_id))["job_id"] == job_id
        await have_all_of_their_jobs(busy, job_id, modern)
        assert (await modern.job(job_id))["result"] == "whole"
        retiring.say("legacy = true\n")
        again = await retiring.serves(idle.name)
        assert (await again.ended(await again.submit(script(50, result="back"))))["result"] == "back"
        await again.close()
        assert (await submit_over_rest(http)).json()["success"] is True
