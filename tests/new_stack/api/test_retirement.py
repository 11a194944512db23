"""Notices, brown-outs and the final switch: off by default, brought to everybody at run time, and no job is lost."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from harness.gate.retirement import MODERN
from harness.results import About, Criterion, Machine, Parts, Run, Verdict, conclude, save
from harness.testing.waiting import until
from hubgate.cli import cli
from new_stack.api.legacy.session import Connection
from new_stack.api.retirement import rules
from new_stack.api.retirement.callers import CLIENT_HEADER, Caller
from new_stack.api.retirement.deprecation import read_deprecation
from new_stack.api.retirement.retirement import LOOK_SECONDS
from new_stack.api.retirement.usage import UsageCounter
from new_stack.queue.jobs import NewJob, Submission
from new_stack.queue.usage import ClientCount, Counted, Refused
from new_stack.settings import SettingsError

from .conftest import Api, Socket, StartApi, Work

NOTICE = """
[[notice]]
deprecated = 2026-11-01
sunset = 2027-03-31
link = "https://example.org/moving"
message = "We move to HTTP."
"""
ALWAYS = '[[brown_out]]\nschedule = "* * * * *"\nminutes = 2\n'
"""Brown-outs that follow one another without a pause."""
FIELD = {
    "deprecated": "2026-11-01",
    "sunset": "2027-03-31",
    "link": "https://example.org/moving",
    "message": "We move to HTTP.",
}
OLD = {"job_type": "simulation", "payload": {}}


class Switchboard:
    """A deprecation.toml that is changed as an operator would: written beside it, then moved there."""

    def __init__(self, path: Path, start: StartApi) -> None:
        self.path = path
        self._start = start

    def write(self, text: str) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.path)

    async def api(self, text: str = "", **settings: Any) -> Api:
        self.write(text)
        return await self._start(deprecation_file=str(self.path), **settings)


@pytest.fixture
def board(tmp_path: Path, start_api: StartApi) -> Switchboard:
    return Switchboard(tmp_path / "deprecation.toml", start_api)


async def greeted(api: Api, path: str) -> tuple[aiohttp.ClientWebSocketResponse, dict[str, Any]]:
    socket = await api.socket(path)
    return socket.raw, await socket.receive()


async def refused(api: Api, name: str) -> str:
    """The sentence with which a new connection is refused."""
    socket = await api.socket(f"/ws/client/{name}")
    message = await socket.receive()
    assert message["type"] == "error", message
    assert await socket.closed() == 4410
    return str(message["error"])


async def served(api: Api, name: str) -> bool:
    """Whether a new connection is greeted."""
    socket = await api.socket(f"/ws/client/{name}")
    kind = (await socket.receive())["type"]
    await socket.raw.close()
    return bool(kind == "connection_established")


async def refuses(api: Api, name: str) -> bool:
    return not await served(api, name)


async def submitted(socket: Socket) -> str:
    await socket.send(type="submit_job", job_type="simulation", payload={})
    return str((await socket.until("job_accepted"))["job_id"])


@pytest.mark.parametrize("text", [None, "", "legacy = true", NOTICE + 'clients = ["others-*"]\n'])
async def test_without_a_configuration_that_means_a_client_nothing_changes_for_it(
    board: Switchboard, start_api: StartApi, text: str | None
) -> None:
    api = await start_api() if text is None else await board.api(text)
    socket, greeting = await greeted(api, "/ws/client/a")
    assert set(greeting) == {"type", "timestamp", "message"}
    assert not {"Deprecation", "Sunset", "Link"} & set(socket._response.headers)
    async with api.session.post(f"{api.base}/api/jobs", json=OLD) as response:
        assert response.status == 200
        assert not {"Deprecation", "Sunset", "Link"} & set(response.headers)


async def test_a_notice_is_in_headers_and_greetings_of_the_legacy_side_alone(board: Switchboard) -> None:
    api = await board.api(NOTICE, later_rest=True)
    wanted = {
        "Deprecation": "@1793491200",
        "Sunset": "Wed, 31 Mar 2027 00:00:00 GMT",
        "Link": '<https://example.org/moving>; rel="deprecation"; type="text/html", '
        '<https://example.org/moving>; rel="sunset"; type="text/html"',
    }
    socket, greeting = await greeted(api, "/ws/client/a")
    assert {name: socket._response.headers[name] for name in wanted} == wanted
    assert greeting["deprecation"] == FIELD
    for path, body in (("/api/jobs", OLD), ("/jobs", OLD)):
        async with api.session.post(api.base + path, json=body) as response:
            assert {name: response.headers.get(name) for name in wanted} == wanted
    async with api.session.post(f"{api.base}/api/jobs", json={"service_required": "a", "payload": {}}) as response:
        assert not set(wanted) & set(response.headers)
    async with api.session.get(f"{api.base}/api/jobs") as response:
        assert not set(wanted) & set(response.headers)


async def test_a_notice_can_mean_some_clients_and_one_dialect(board: Switchboard) -> None:
    api = await board.api(NOTICE + 'clients = ["team-a-*"]\ndialects = ["later"]\n')
    assert "deprecation" not in (await greeted(api, "/ws/client/team-a-1"))[1]
    for name, told in (("team-a-1", True), ("team-b-1", False)):
        socket = await api.socket(f"/?id={name}")
        await socket.receive()
        await socket.send(type="get_job_status", job_id="none", id=1)
        assert ("deprecation" in await socket.until("connected")) is told
    monitor = await api.socket("/ws/monitor/team-a-2")
    await monitor.send(type="monitor_connect", monitor_id="m", timestamp=1)
    assert (await monitor.until("system_status"))["deprecation"] == FIELD


async def test_monitors_are_warned_and_can_turn_it_off(board: Switchboard) -> None:
    api = await board.api()
    monitor, deaf = await api.socket("/ws/monitor/m"), await api.socket("/ws/monitor/d")
    await deaf.send(type="subscribe", channels=["stats_broadcast"])
    await deaf.until("subscription_confirmed")
    await monitor.until("stats_broadcast")
    board.write(NOTICE)
    warning = await monitor.until("deprecation_warning")
    assert (warning["what"], warning["message"]) == ("notice", "We move to HTTP.")
    await api.client("old-1")
    warning = await monitor.until("deprecation_warning")
    assert (warning["what"], warning["client_id"], warning["dialect"]) == ("client", "old-1", "hub")
    board.write("legacy = true")
    assert (await monitor.until("deprecation_warning"))["what"] == "over"
    await deaf.send(type="stay_alive")
    while (message := await deaf.receive())["type"] != "stay_alive_response":
        assert message["type"] != "deprecation_warning"


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


async def test_the_final_switch_drains_loses_nothing_and_goes_back(board: Switchboard, work: Work) -> None:
    api = await board.api()
    busy, idle = await api.client("busy"), await api.client("idle")
    job_id = await submitted(busy)
    board.write("legacy = false")
    assert await idle.closed() == 4410
    await until(lambda: all(session._draining for session in api.services.retirement.sessions))
    await busy.send(type="submit_job", job_type="simulation", payload={})
    assert "switched off" in (await busy.until("error"))["error"]
    assert "switched off" in await refused(api, "busy")
    assert "switched off" in (await api.post("/api/jobs", OLD, 410))["detail"]
    await work.whole_job(50)
    assert (await busy.until("complete_job"))["job_id"] == job_id
    assert await busy.closed() == 4410
    assert (await api.get(f"/api/jobs/{job_id}"))["status"] == "completed"
    board.write("legacy = true")
    await until(lambda: served(api, "idle"))
    await submitted(await api.client("busy"))


async def test_a_file_that_is_wrong_changes_nothing_until_it_is_right(board: Switchboard) -> None:
    api = await board.api(NOTICE)
    board.write("legacy = maybe")
    read = api.services.retirement._stamp
    await until(lambda: api.services.retirement._stamp != read)
    assert "deprecation" in (await greeted(api, "/ws/client/a"))[1]
    board.path.unlink()
    await until(lambda: _without_notice(api))


async def _without_notice(api: Api) -> bool:
    return "deprecation" not in (await greeted(api, "/ws/client/a"))[1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("legacy = 3", "legacy"),
        ("[[notice]]\nsunset = 2027-01-01", "deprecated"),
        ('[[notice]]\ndeprecated = 2027-01-01\nlink = "x y"', "link"),
        ('[[brown_out]]\nschedule = "* * * *"\nminutes = 5', "five"),
        ('[[brown_out]]\nschedule = "61 * * * *"\nminutes = 5', "minute"),
        ('[[brown_out]]\nschedule = "* * * * *"\nminutes = 0', "minutes"),
        ('[[brown_out]]\nschedule = "* * * * *"\nminutes = 5\nshare = 2', "share"),
        ("[[brownout]]", "brownout"),
        ("[[", "HUBGATE_DEPRECATION"),
    ],
)
async def test_what_is_wrong_is_told_at_the_start(start_api: StartApi, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        await start_api(deprecation=text)


async def test_usage_says_what_is_set(start_api: StartApi) -> None:
    api = await start_api(deprecation=NOTICE + ALWAYS)
    state = (await api.get("/api/usage"))["state"]
    assert state["legacy"] is True
    assert state["notices"] == [FIELD | {"clients": ["*"], "dialects": ["hub", "later"]}]
    assert state["brown_out"]["share"] == 1.0
    assert state["next_brown_out_at"] > state["brown_out"]["began_at"]


def test_brown_outs_that_follow_one_another_at_once_are_one() -> None:
    config = read_deprecation(ALWAYS, "here")
    [first] = rules.running(config, 6_000.0)
    [later] = rules.running(config, 6_070.0, [first])
    assert (later.began_at, later.ends_at) == (first.began_at, first.ends_at + 60)


async def test_what_was_used_first_after_a_refusal_is_how_a_client_came_back(api: Api) -> None:
    now = 1_000_000.0
    counter = UsageCounter(api.queue.usage, lambda: now)
    old, new = Caller("a", "", "websocket", "hub"), Caller("a", "", "http", "modern")
    counter.count(old, "connect")
    for caller in (None, new, old):
        now += 1
        counter.count(caller, "submit") if caller else counter.refuse(old, now, 0)
    [count] = counter._take()
    assert [use.way for use in count.uses] == ["websocket hub", "websocket hub", "http modern", "websocket hub"]


@pytest.mark.parametrize(("days_ago", "last_run", "status"), [(0, True, 1), (20, True, 0), (20, False, 3)])
async def test_the_command_answers_by_its_exit_status(
    api: Api, tmp_path: Path, days_ago: int, last_run: bool, status: int
) -> None:
    now = int(time.time() * 1000)
    uses = [Counted("websocket hub", "app/1", "submit_job", now - days * 86_400_000, 1) for days in (30, days_ago)]
    refused = Refused(uses[0].at, uses[0].at, 0)
    await api.queue.usage.add([ClientCount("old-1", sorted(uses, key=lambda use: use.at), [refused])])
    await api.queue.usage.add([ClientCount("old-1", [Counted("http modern", "app/2", "submit", now, 1)], [])])
    if last_run:
        save(gate_run(datetime.now(UTC)), tmp_path)
    command = ["retire", "--target", api.base, "--run", str(tmp_path / "run.json"), "--json"]
    done = await asyncio.to_thread(CliRunner().invoke, cli, command)
    assert done.exit_code == status, done.output
    answer = json.loads(done.output)
    assert answer["verdict"] == {0: "pass", 1: "fail", 3: "inconclusive"}[status]
    assert [check["names"] for check in answer["checks"] if check["what"] == "nobody uses them"] == [
        [] if days_ago else ["old-1: last today by websocket (hub): submit_job; app/1; also by the modern side"]
    ]


def gate_run(at: datetime) -> Run:
    """A run of the gate in which the modern side was as good."""
    about = About(
        id="r",
        started_at=at,
        seconds=1,
        profile="quick",
        command=("hubgate", "gate"),
        machine=Machine(system="Linux", cores=2),
    )
    texts = {"title": "t", "sentence": "s", "source": "p", "measured": "m", "explanation": "e"}
    return conclude(about, Parts(criteria=tuple(Criterion(id=name, verdict=Verdict.PASS, **texts) for name in MODERN)))
