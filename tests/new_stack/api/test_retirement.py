"""Notices, brown-outs and the final switch: off by default, brought to everybody at run time, and no job is lost."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.gate.retirement import MODERN
from harness.results import About, Criterion, Machine, Parts, Run, Verdict, conclude, save
from harness.testing.waiting import until
from hubgate.cli import cli
from new_stack.api.retirement.callers import Caller
from new_stack.api.retirement.usage import UsageCounter
from new_stack.queue.usage import ClientCount, Counted, Refused
from new_stack.settings import SettingsError

from .brown_out_clients import ALWAYS, OLD, greeted, refused, served, submitted
from .conftest import Api, StartApi, Switchboard, Work

NOTICE = """
[[notice]]
deprecated = 2026-11-01
sunset = 2027-03-31
link = "https://example.org/moving"
message = "We move to HTTP."
"""
FIELD = {
    "deprecated": "2026-11-01",
    "sunset": "2027-03-31",
    "link": "https://example.org/moving",
    "message": "We move to HTTP.",
}


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
