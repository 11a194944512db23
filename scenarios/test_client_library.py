"""Programs that use the stack's own client notice no break, no outage and no lost answer, on the stack and on a hub."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

import pytest
import pytest_asyncio

from harness.clients import HubWorker, LegacyClient
from harness.faults import Direction, Proxy
from harness.processes.services import python_path
from harness.targets import HubTarget
from harness.testing import fresh, until
from scenarios.library import Library, library, told
from scenarios.received_facts import reached
from scenarios.stacks import OwnStack, fail, ours, script, wait

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.timeout(120)]

STEPS: Final = tuple(range(10, 100, 10))
TIMEOUTS: Final = {"request_s": 10, "connect_s": 5, "idle_timeout_s": 1.2, "retry_budget_s": 40}
TOKEN: Final = "open-sesame"  # noqa: S105 - of a server that lives for one test
WITHIN_S: Final = 20


@pytest_asyncio.fixture
async def programs(request: pytest.FixtureRequest) -> AsyncIterator[Library]:
    stacks = ours(request, "the code of the stack's client")
    async with library(python_path(stacks.overlay)) as found:
        yield found


async def open_both(programs: Library, url: str, **options: Any) -> None:
    """A client of each protocol."""
    for mode in ("http", "websocket"):
        await programs.open(mode, url, mode=mode, timeouts=TIMEOUTS, **options)


def line_to(stack: OwnStack) -> Proxy:
    """A line to the API that can be broken."""
    host, port = stack.http_url.removeprefix("http://").split(":")
    return Proxy(host, int(port), name="api")


async def test_a_stream_that_breaks_or_falls_silent_goes_on_with_no_gap_and_no_double(
    isolated_stack: OwnStack, programs: Library
) -> None:
    async with line_to(isolated_stack) as line, isolated_stack.modern() as client:
        await open_both(programs, f"http://127.0.0.1:{line.port}")
        job_id = await client.submit(script(*(part for step in STEPS for part in (step, wait(100))), {"hang": True}))
        calls = [(mode, "follow", [job_id]) for mode in ("http", "websocket")]
        following = asyncio.create_task(programs.at_once(*calls))
        for broken in (line.cut, line.strand):
            await until(lambda: line.open_connections >= 2, WITHIN_S, "both streams")
            if broken == line.cut:
                await isolated_stack.worker()
            await reached(client, job_id)
            count = line.accepted + 1
            broken()
            await until(partial(_more_than, line, count), WITHIN_S, "both streams again")
        async for event in client.follow(job_id):
            if event.data.get("progress") == STEPS[-1]:
                await client.cancel(job_id, "enough")
        for found in map(told, await following):
            assert [event["progress"] for event in found if event.get("kind") == "progress"] == list(STEPS)
            assert [event["kind"] for event in found if "kind" in event][-1] == "cancelled"
            assert [event for event in found if "kind" not in event] == [], "there was no gap"
            assert len({event["id"] for event in found}) == len(found)


def _more_than(line: Proxy, count: int) -> bool:
    return line.accepted > count


async def test_a_server_that_is_away_for_a_while_is_waited_for(isolated_stack: OwnStack, programs: Library) -> None:
    async with line_to(isolated_stack) as line, isolated_stack.http() as http:
        await open_both(programs, f"http://127.0.0.1:{line.port}", client_id="patient")
        line.refuse()
        jobs = {mode: fresh(mode) for mode in ("http", "websocket")}
        calls = [(mode, "submit", ["nobody"], {"job_id": job_id}) for mode, job_id in jobs.items()]
        submitting = asyncio.create_task(programs.at_once(*calls))
        await until(lambda: line.accepted >= 4, WITHIN_S, "a second try of each")
        assert not submitting.done()
        line.heal()
        assert [answer["job_id"] for answer in await submitting] == list(jobs.values())
        stored = (await http.get("/api/jobs")).json()["jobs"]
        assert sorted(job["job_id"] for job in stored) == sorted(jobs.values())
        assert {job["client_id"] for job in stored} == {"patient"}


async def test_what_is_asked_again_since_its_answer_was_lost_is_done_once(
    isolated_stack: OwnStack, programs: Library
) -> None:
    async with line_to(isolated_stack) as line, isolated_stack.modern() as client, isolated_stack.http() as http:
        await open_both(programs, f"http://127.0.0.1:{line.port}")
        called_off = await client.submit({}, service="nobody")
        await client.cancel(called_off)
        for mode in ("http", "websocket"):
            await programs.at_once((mode, "submit", ["nobody"]))
        line.partition(Direction.DOWN)
        jobs = {mode: fresh(mode) for mode in ("http", "websocket")}
        calls: list[tuple[Any, ...]] = [
            (mode, "submit", ["nobody"], {"job_id": job_id}) for mode, job_id in jobs.items()
        ]
        asking = asyncio.create_task(programs.at_once(*calls, ("http", "retry", [called_off])))

        async def all_done() -> bool:
            return len((await http.get("/api/jobs?state=pending")).json()["jobs"]) == 5

        await until(all_done, WITHIN_S, "what was asked")
        assert not asking.done()
        line.cut()
        line.heal()
        answers = await asking
        assert [answer["job_id"] for answer in answers] == [*jobs.values(), called_off]
        assert {answer["status"] for answer in answers} == {"pending"}
        assert await all_done()


class Curt:
    """A server that does not answer its first request, has no time for the second, and takes the third."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, dict[str, str], Any]] = []
        self._gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.asked.append((time.monotonic(), headers, body))
        if len(self.asked) == 1:
            await self._gone.wait()
        late = len(self.asked) == 2
        said = b"{}" if late else json.dumps({"job_id": body["id"], "status": "pending"}).encode()
        status = "503 Service Unavailable\r\nRetry-After: 1" if late else "201 Created"
        more = f"Content-Type: application/json\r\nContent-Length: {len(said)}\r\nConnection: close"
        writer.write(f"HTTP/1.1 {status}\r\n{more}\r\n\r\n".encode() + said)
        await writer.drain()
        writer.close()

    def leave(self) -> None:
        """Let the first request go."""
        self._gone.set()


async def test_who_is_asked_to_come_later_does_and_says_each_time_who_it_is(programs: Library) -> None:
    curt = Curt()
    server = await asyncio.start_server(curt.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hasty = TIMEOUTS | {"request_s": 0.4}
    await programs.open("kim", f"http://127.0.0.1:{port}", mode="http", token=TOKEN, client_id="kim", timeouts=hasty)
    [accepted] = await programs.at_once(("kim", "submit", ["draw", {"a": 1}], {"priority": 2}))
    curt.leave()
    server.close()
    (_, _, body), (second_at, _, _), (third_at, _, _) = curt.asked
    assert accepted["job_id"] == body["id"]
    assert third_at - second_at >= 1, "it came before it was asked to"
    for _, headers, again in curt.asked:
        assert (
            again
            == body
            == {
                "id": body["id"],
                "service_required": "draw",
                "payload": {"a": 1},
                "priority": 2,
                "client_id": "kim",
            }
        )
        assert headers["authorization"] == f"Bearer {TOKEN}"
        assert headers["hubgate-client"] == "kim"
        assert headers["user-agent"].startswith("hubgate-client/")


async def test_on_a_hub_the_same_program_speaks_the_hubs_words(hub: HubTarget, programs: Library) -> None:
    service = fresh("library")
    await programs.open("auto", hub.http_url, client_id=fresh("program"), timeouts=TIMEOUTS)
    [done] = await programs.at_once(("auto", "submit", [service, script(50, result={"n": 1})]))
    [gone] = await programs.at_once(("auto", "submit", [fresh("nobody")]))
    [transport] = [(await programs.call("auto", "transport"))["answer"]]
    assert transport == "websocket"
    async with HubWorker(hub.ws_url, fresh("hub-worker"), services=(service,)):
        [events] = await programs.at_once(("auto", "follow", [done["job_id"]]))
        found = [event for event in told(events) if "kind" in event]
        assert [event["kind"] for event in found] == ["submitted", "claimed", "progress", "completed"]
        assert (found[2]["progress"], found[3]["result"]) == (50, {"n": 1})
        [status, result] = await programs.at_once(
            ("auto", "wait", [done["job_id"]]), ("auto", "result", [done["job_id"]])
        )
        assert (status["status"], result) == ("completed", {"n": 1})
        [broken] = await programs.at_once(("auto", "submit", [service, script(fail("no ink", attempts=1), result=2)]))
        [events] = await programs.at_once(("auto", "follow", [broken["job_id"]], {"most": 3}))
        assert [event["kind"] for event in told(events)] == ["submitted", "claimed", "attempt_failed"]
    [cancelled] = await programs.at_once(("auto", "cancel", [gone["job_id"], "no more"]))
    assert (cancelled["status"], cancelled["cancel_reason"]) == ("cancelled", "no more")
    [end] = await programs.at_once(("auto", "wait", [gone["job_id"]]))
    assert end["status"] == "cancelled"


async def test_on_a_hub_a_submission_whose_answer_was_lost_is_not_made_twice(hub: HubTarget, programs: Library) -> None:
    service, job_id, runs = fresh("library"), fresh("job"), Counter[str]()
    host, port = hub.http_url.removeprefix("http://").split(":")
    async with Proxy(host, int(port), name="hub") as line, LegacyClient(hub.ws_url, fresh("observer")) as observer:
        await programs.open("auto", f"http://127.0.0.1:{line.port}", timeouts=TIMEOUTS)
        await programs.at_once(("auto", "submit", [fresh("nobody")]))
        line.partition(Direction.DOWN)
        asking = asyncio.create_task(programs.at_once(("auto", "submit", [service, script(50)], {"job_id": job_id})))
        await until(lambda: _is_known(observer, job_id), WITHIN_S, "the submission")
        line.cut()
        line.heal()
        [accepted] = await asking
        assert accepted["job_id"] == job_id
        async with HubWorker(hub.ws_url, fresh("hub-worker"), services=(service,), attempts=runs):
            await programs.at_once(("auto", "wait", [job_id]))
            last = await observer.submit(script(50), service=service)
            await observer.expect("complete_job", job_id=last)
        assert runs == {job_id: 1, last: 1}


async def _is_known(observer: LegacyClient, job_id: str) -> bool:
    place = len(observer.received)
    await observer.send({"type": "request_job_status", "job_id": job_id})
    answer = await observer.wait_for(lambda _: True, "an answer", after=place)
    return bool(answer["type"] != "error")


async def test_a_server_that_stays_away_is_given_up_and_a_token_is_shown_by_each_protocol(
    guarded: OwnStack, programs: Library
) -> None:
    for mode in ("http", "websocket", "auto"):
        shown: dict[str, Any] = {"mode": mode, "timeouts": TIMEOUTS}
        await programs.open(mode, guarded.http_url, token=guarded.target.token, **shown)
        [accepted] = await programs.at_once((mode, "submit", ["nobody"]))
        assert accepted["status"] == "pending"
        await programs.open("stranger", guarded.http_url, token="wrong", **shown)  # noqa: S106 - it is none
        refused = (await programs.call("stranger", "submit", "nobody"))["error"]
        assert refused["status"] == 401
        assert "token" in refused["RequestRefused"], refused
        impatient = TIMEOUTS | {"connect_s": 0.5, "retry_budget_s": 0.5}
        await programs.open("lost", "http://127.0.0.1:9", mode=mode, timeouts=impatient)
        assert "ServerUnavailable" in (await programs.call("lost", "submit", "nobody"))["error"]
