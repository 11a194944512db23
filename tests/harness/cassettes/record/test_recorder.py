"""What the project's own clients do through the recorder replays as the same."""

import asyncio
import datetime as dt
import socket
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from harness.cassettes import Cassette, Drop, Open, Receive, Role, Send, load
from harness.cassettes.record import Per, Recorder, Redaction, Sessions
from harness.cassettes.replay.files import Against, run_files
from harness.clients import HubWorker, LegacyClient, ModernClient, Monitor
from harness.errors import CouldNotRun
from harness.processes import Processes, Valkey, free_port, services
from harness.results import CellVerdict
from harness.targets import HubPool, Setup, Side
from harness.testing.waiting import until

TODAY = dt.date(2026, 11, 24)
SCRIPT = {"simulate": [{"progress": 30}, {"progress": 60, "message": "more"}, {"result": {"ok": True}}]}


async def ends_on_its_own(sessions: Sessions) -> None:
    await until(lambda: not (sessions.is_open), within=5)


async def a_morning_at_the_hub(recorder: Recorder, *, token: str | None = None) -> None:
    """A worker, two clients, a monitor and a program that uses HTTP."""
    async with (
        HubWorker(recorder.ws_url, "worker-a", token=token),
        Monitor(recorder.ws_url, "monitor-a", token=token) as monitor,
        LegacyClient(recorder.ws_url, "client-a", token=token) as client,
        httpx.AsyncClient(base_url=recorder.url, trust_env=False) as http,
    ):
        await monitor.expect("stats_broadcast")
        first = await client.submit(SCRIPT)
        await client.ended(first)
        await monitor.expect("complete_job", job_id=first)
        second = await client.submit({"simulate": [{"fail": "no memory"}]}, priority=3)
        await client.expect("fail_job", job_id=second)
        await client.send("{not json")
        await client.expect("error")
        await client.send(b"\x00\x01")
        await http.get("/")


async def test_a_recording_of_our_own_clients_is_the_same_when_replayed_on_the_simulator(
    processes: Processes, tmp_path: Path
) -> None:
    hub = await processes.astart(services.hub(name="recorded-hub"))
    sessions = Sessions(tmp_path / "morning.jsonl", about="A morning.", today="2026-11-24")
    async with Recorder(hub.http_url, sessions) as recorder:
        await a_morning_at_the_hub(recorder)
        await ends_on_its_own(sessions)
    assert [path.name for path in sessions.written] == ["morning.jsonl"]
    cassette = load(tmp_path / "morning.jsonl")
    assert cassette.roles == {
        "worker-a": "worker",
        "monitor-a": "monitor",
        "client-a": "client",
        "http": "http",
    }
    assert any(isinstance(event, Send) and event.text == repr(b"\x00\x01") for event in cassette.events)
    results = await run_files(
        sessions.written, HubPool(processes, Setup(side=Side.HUB, name="replaying-hub")), Against(today=TODAY)
    )
    assert results[0].verdict is CellVerdict.SAME, [finding.sentence for finding in results[0].findings]


async def test_a_token_never_reaches_the_cassette_and_the_replay_does_without(
    processes: Processes, tmp_path: Path
) -> None:
    hub = await processes.astart(services.hub(name="guarded-hub", token="hush-hush"))
    sessions = Sessions(tmp_path / "guarded.jsonl")
    async with Recorder(hub.http_url, sessions) as recorder:
        await a_morning_at_the_hub(recorder, token="hush-hush")
        await ends_on_its_own(sessions)
    assert "hush" not in (tmp_path / "guarded.jsonl").read_text()
    results = await run_files(
        sessions.written, HubPool(processes, Setup(side=Side.HUB, name="guarded-again")), Against(today=TODAY)
    )
    assert results[0].verdict is CellVerdict.SAME, [finding.sentence for finding in results[0].findings]


async def test_one_cassette_for_each_job(processes: Processes, tmp_path: Path) -> None:
    hub = await processes.astart(services.hub(name="split-hub"))
    sessions = Sessions(tmp_path / "day.jsonl", per=Per.JOB)
    async with Recorder(hub.http_url, sessions) as recorder:
        await a_morning_at_the_hub(recorder)
        await ends_on_its_own(sessions)
    assert [path.name for path in sessions.written] == ["day.jsonl", "day-job-1.jsonl", "day-job-2.jsonl"]
    one: Cassette = load(tmp_path / "day-job-1.jsonl")
    ids = {
        event.content["job_id"]
        for event in one.events
        if isinstance(event, Receive) and isinstance(event.content, dict) and event.content.get("job_id")
    }
    assert len(ids) == 1
    assert set(one.roles) == {"worker-a", "monitor-a", "client-a"}
    results = await run_files(
        sessions.written[1:2], HubPool(processes, Setup(side=Side.HUB, name="one-job-hub")), Against(today=TODAY)
    )
    assert results[0].verdict is not CellVerdict.INCONCLUSIVE


async def test_server_sent_events_are_recorded_and_played_again(
    processes: Processes, valkey: Valkey, tmp_path: Path
) -> None:
    api = await processes.astart(services.api(redis_url=valkey.url_of(1), name="recorded-api"))
    sessions = Sessions(tmp_path / "events.jsonl", target="stack")
    async with Recorder(api.http_url, sessions) as recorder, ModernClient(recorder.url) as client:
        job_id = await client.submit(SCRIPT)
        told = []
        async with asyncio.timeout(10), aclosing(client.follow(job_id)) as stream:
            async for event in stream:
                told.append(event.kind)
                if event.kind == "submitted":
                    await client.cancel(job_id, "enough")
        assert told == ["submitted", "cancelled"]
        await ends_on_its_own(sessions)
    assert sessions.written
    events = [event for path in sessions.written for event in load(path).events]
    assert [event.role for event in events if isinstance(event, Open)] == [Role.SSE]
    kinds = [event.content["data"]["kind"] for event in events if isinstance(event, Receive)]
    assert kinds == ["submitted", "cancelled"]


async def test_a_client_that_is_cut_off_is_recorded_as_cut_off(processes: Processes, tmp_path: Path) -> None:
    hub = await processes.astart(services.hub(name="cut-hub"))
    sessions = Sessions(tmp_path / "cut.jsonl")
    async with Recorder(hub.http_url, sessions) as recorder:
        client = LegacyClient(recorder.ws_url, "client-a")
        await client.open()
        await client.expect("connection_established")
        await client.drop()
        await ends_on_its_own(sessions)
    assert any(isinstance(event, Drop) for event in load(tmp_path / "cut.jsonl").events)


async def test_stopping_the_recorder_ends_every_cassette_complete(processes: Processes, tmp_path: Path) -> None:
    hub = await processes.astart(services.hub(name="stopped-hub"))
    sessions = Sessions(tmp_path / "stopped.jsonl")
    client = LegacyClient("ws://unused", "client-a")
    async with Recorder(hub.http_url, sessions) as recorder:
        client = LegacyClient(recorder.ws_url, "client-a")
        await client.open()
        await client.submit()
    assert load(tmp_path / "stopped.jsonl").roles == {"client-a": "client"}
    await client.close()


async def test_a_session_begins_when_somebody_comes_after_all_had_left(processes: Processes, tmp_path: Path) -> None:
    hub = await processes.astart(services.hub(name="two-sessions-hub"))
    sessions = Sessions(tmp_path / "s.jsonl")
    async with Recorder(hub.http_url, sessions, redaction=Redaction()) as recorder:
        for _ in range(2):
            async with LegacyClient(recorder.ws_url, "client-a") as client:
                await client.expect("connection_established")
            await ends_on_its_own(sessions)
    assert [path.name for path in sessions.written] == ["s.jsonl", "s-2.jsonl"]
    assert load(tmp_path / "s-2.jsonl").events[0].at < 1000


async def test_a_hub_that_is_away_and_a_port_that_is_taken_are_told(tmp_path: Path) -> None:
    async with (
        Recorder(f"http://127.0.0.1:{free_port()}", Sessions(tmp_path / "x.jsonl")) as recorder,
        ModernClient(recorder.url) as http,
    ):
        with pytest.raises(CouldNotRun, match="refused with 502"):
            await http.job("j")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CouldNotRun, match="cannot listen on"):
        async with Recorder("http://127.0.0.1:1", Sessions(tmp_path / "y.jsonl"), port=taken.getsockname()[1]):
            pass
