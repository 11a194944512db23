"""Brown-outs: whom they refuse, whom they spare, and that no job is lost."""

from __future__ import annotations

import asyncio

import pytest

from harness.testing.waiting import until
from new_stack.api.legacy.session import Connection
from new_stack.api.retirement import rules
from new_stack.api.retirement.callers import CLIENT_HEADER
from new_stack.api.retirement.deprecation import read_deprecation
from new_stack.api.retirement.retirement import LOOK_SECONDS
from new_stack.queue.jobs import NewJob, Submission

from .brown_out_clients import ALWAYS, OLD, refused, refuses, served, submitted
from .conftest import StartApi, Switchboard, Work


async def test_a_brown_out_ends_idle_connections_with_4410_and_answers_410(board: Switchboard) -> None:
    api = await board.api()
    idle, monitor = await api.client("idle"), await api.socket("/ws/monitor/m")
    board.write(ALWAYS)
    assert "Brown-out" in (await idle.until("error"))["error"]
    assert await idle.closed() == 4410
    assert await monitor.closed() == 4410
    assert "use HTTP and SSE" in await refused(api, "idle")
    problem = await api.post("/api/jobs", OLD, 410)
    assert "Brown-out" in problem["detail"]
    await api.post("/api/jobs", {"service_required": "a", "payload": {}})
    board.write("")
    await until(lambda: served(api, "idle"))
    assert (await api.post("/api/jobs", OLD, 200))["success"]
    usage = await api.get("/api/usage", params={"client": "idle"})
    [record] = usage["clients"][0]["brown_outs"]
    assert record["refused"] >= 2
    assert (record["jobs_in_flight"], record["came_back"]) == (0, "websocket hub")


async def test_who_had_said_nothing_before_it_was_refused_has_not_come_back(
    board: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await board.api()
    close = Connection.close

    async def close_slowly(connection: Connection, code: int = 1000, reason: str = "") -> None:
        await asyncio.sleep(0.05)
        await close(connection, code, reason)

    monkeypatch.setattr(Connection, "close", close_slowly)
    socket = await api.client("silent")
    board.write(ALWAYS)
    assert await socket.closed() == 4410
    await until(lambda: not api.services.retirement.sessions)
    [client] = (await api.get("/api/usage", params={"client": "silent"}))["clients"]
    assert client["ways"][0]["messages"]["connect"]["count"] == 1
    assert client["brown_outs"][0]["came_back"] is None


async def test_a_client_with_jobs_in_flight_is_spared_until_they_have_ended(board: Switchboard, work: Work) -> None:
    api = await board.api()
    socket = await api.client("busy")
    job_id = await submitted(socket)
    board.write(ALWAYS)
    await until(lambda: refuses(api, "someone-else"))
    assert await served(api, "busy")  # also on another connection
    await socket.send(type="stay_alive")
    await socket.until("response_job_status")
    await work.whole_job(50)
    assert (await socket.until("complete_job"))["job_id"] == job_id
    assert await socket.closed() == 4410


async def test_a_client_that_says_its_id_is_spared_under_the_name_in_its_path_as_well(board: Switchboard) -> None:
    api = await board.api()
    named = {CLIENT_HEADER: "app"}
    async with api.session.ws_connect(f"{api.base}/ws/client/tab-1", headers=named) as socket:
        await socket.receive_json()
        await socket.send_json({"type": "submit_job", "job_type": "simulation", "payload": {}})
        assert (await socket.receive_json())["type"] == "job_accepted"
    board.write(ALWAYS)
    await until(lambda: refuses(api, "someone-else"))
    for path, greeting in (("tab-1", "connection_established"), ("tab-2", "error")):
        async with api.session.ws_connect(f"{api.base}/ws/client/{path}", headers=named) as again:
            assert (await again.receive_json())["type"] == greeting


@pytest.mark.parametrize("path", ["/api/jobs", "/jobs"])
async def test_a_client_of_the_legacy_rest_is_spared_under_its_own_name(
    board: Switchboard, work: Work, path: str
) -> None:
    api = await board.api(later_rest=True)

    async def post(name: str) -> int:
        async with api.session.post(api.base + path, json=OLD, headers={CLIENT_HEADER: name}) as response:
            return response.status

    assert await post("busy") < 400
    board.write(ALWAYS)
    await until(lambda: refuses(api, "someone-else"))
    assert await post("someone-else") == 410
    assert await post("busy") < 400
    assert await served(api, "busy")
    for _ in range(2):
        await work.whole_job(50)
    await until(lambda: refuses(api, "busy"))
    assert await post("busy") == 410


async def test_a_brown_out_may_interrupt(board: Switchboard) -> None:
    api = await board.api()
    socket = await api.client("busy")
    job_id = await submitted(socket)
    board.write(ALWAYS + "interrupt = true\n")
    assert await socket.closed() == 4410
    await api.get("/api/jobs", headers={CLIENT_HEADER: "busy"})
    [client] = (await api.get("/api/usage", params={"client": "busy"}))["clients"]
    [record] = client["brown_outs"]
    assert (record["came_back"], record["refused"], record["jobs_in_flight"]) == ("http modern", 1, 1)
    assert (await api.get(f"/api/jobs/{job_id}"))["status"] == "pending"


async def test_a_brown_out_that_interrupts_answers_a_submission_that_it_has_taken(
    board: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await board.api()
    socket = await api.client("busy")
    taken, go_on = asyncio.Event(), asyncio.Event()
    submit = api.services.queue.submit

    async def submit_slowly(job: NewJob) -> Submission:
        found = await submit(job)
        taken.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(api.services.queue, "submit", submit_slowly)
    await socket.send(type="submit_job", job_type="simulation", payload={}, message_id="taken")
    await asyncio.wait_for(taken.wait(), 10)
    board.write(ALWAYS + "interrupt = true\n")
    await until(lambda: refuses(api, "someone-else"))
    await asyncio.sleep(LOOK_SECONDS)
    go_on.set()
    assert (await socket.receive())["type"] == "job_accepted"
    assert (await socket.receive())["code"] == 4410
    assert await socket.closed() == 4410


async def test_a_brown_out_waits_for_the_answer_to_a_request_that_was_begun(
    board: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await board.api()
    socket = await api.client("busy")
    job_id = await submitted(socket)
    begun, go_on = asyncio.Event(), asyncio.Event()
    last_event_id = api.services.queue.last_event_id

    async def told_slowly() -> str:
        begun.set()
        await go_on.wait()
        return await last_event_id()

    monkeypatch.setattr(api.services.queue, "last_event_id", told_slowly)
    await socket.send(type="cancel_job", job_id=job_id)
    await asyncio.wait_for(begun.wait(), 10)
    assert (await socket.receive())["status"] == "cancelled"
    board.write(ALWAYS)
    await until(lambda: refuses(api, "someone-else"))
    await asyncio.sleep(LOOK_SECONDS)
    go_on.set()
    assert (await socket.receive())["status"] == "cancelled", "the answer, behind the notice"
    assert (await socket.receive())["code"] == 4410


async def test_jobs_of_before_the_brown_out_was_known_count_as_in_flight(
    board: Switchboard, start_api: StartApi
) -> None:
    other = await start_api()
    socket = await other.client("early")
    await submitted(socket)
    api = await board.api(ALWAYS)
    await until(lambda: api.services.retirement._in_flight._known)
    assert await served(api, "early")
    await refused(api, "late")


async def test_a_share_of_the_clients_is_drawn_and_a_larger_one_holds_it(board: Switchboard) -> None:
    api = await board.api(ALWAYS + "share = 0.3\nseed = 7\n")
    names = [f"c{number}" for number in range(40)]
    await until(lambda: api.services.retirement._in_flight._known)
    few = {name for name in names if not await served(api, name)}
    board.write(ALWAYS + "share = 0.6\nseed = 7\n")
    await until(lambda: api.services.retirement._running[0].rule.share == 0.6)
    more = {name for name in names if not await served(api, name)}
    assert 4 <= len(few) <= 20
    assert few < more


async def test_a_brown_out_of_the_later_dialect_meets_a_client_once_it_speaks_it(board: Switchboard) -> None:
    api = await board.api(ALWAYS + 'dialects = ["later"]\n')
    await until(lambda: api.services.retirement._in_flight._known)
    assert await served(api, "hub-client")
    socket = await api.socket("/?id=later-client")
    await socket.receive()
    await socket.send(type="get_job_status", job_id="none", id=1)
    assert "Brown-out" in (await socket.until("error"))["error"]
    assert await socket.closed() == 4410


def test_brown_outs_that_follow_one_another_at_once_are_one() -> None:
    config = read_deprecation(ALWAYS, "here")
    [first] = rules.running(config, 6_000.0)
    [later] = rules.running(config, 6_070.0, [first])
    assert (later.began_at, later.ends_at) == (first.began_at, first.ends_at + 60)
