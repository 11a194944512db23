"""What parties see on their wires, as history."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from harness.clients import Refused
from harness.clients.recorders import Background, HubRecorder, StackRecorder, WorkerWatch, survey
from harness.clients.sessions import HubSession
from harness.history import CHECKERS, History, HistoryEvent, HistoryWriter, Limits, Source, client_event, log_event
from harness.protocols import LOG_KINDS, EventKind, JobEvent, JobState, Mode, Submission, hub
from harness.testing.waiting import until
from tests.harness.clients.serving import serving

CASSETTES = Path(__file__).parents[3] / "scenarios" / "cassettes"


def cassette(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASSETTES / f"{name}.jsonl").read_text().splitlines()[1:]]


def sse(number: int, **data: object) -> bytes:
    told = {"job_id": "a", "at": 1_000 + number, "service_required": "simulation", "priority": 0, **data}
    return f"id: {number}-0\nevent: {told['kind']}\ndata: {json.dumps(told)}\n\n".encode()


async def test_the_stacks_log_is_read_on_from_the_last_id_after_a_cut() -> None:
    asked: list[str | None] = []

    async def events(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Last-Event-ID"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": keep-alive\n\n" + sse(len(asked), kind="progress", attempt=1, progress=len(asked)))
        if len(asked) == 2:
            await response.write(b'event: gap\ndata: {"reason": "trimmed"}\n\n')
        if len(asked) > 2:
            await asyncio.sleep(30)
        return response

    writer = HistoryWriter()
    async with serving(web.get("/api/events", events)) as url, StackRecorder(url, writer) as recorder:
        await until(lambda: recorder.recorded == 3)
    assert asked == ["0-0", "1-0", "2-0"]
    assert [event.progress for event in writer.events if event.kind is EventKind.PROGRESS] == [1, 2, 3]
    assert [event.at_ms for event in writer.events if event.kind is EventKind.PROGRESS] == [1_001, 1_002, 1_003]
    assert History(writer.events).log_gaps == 1


def test_an_entry_of_the_log_has_the_time_of_redis() -> None:
    told = JobEvent(
        kind=EventKind.CLAIMED, job_id="a", at=1727000000.123, worker_id="w1", attempt=2, priority=-3,
        service="simulation", event_id="1500-0",
    )  # fmt: skip
    assert log_event(told, Source.REDIS, "events", 7.0) == HistoryEvent(
        at_ms=1727000000123.0, source=Source.REDIS, kind=EventKind.CLAIMED, by="events", job_id="a", worker_id="w1",
        attempt=2, priority=-3, service="simulation", entry="1500-0",
    )  # fmt: skip
    assert log_event(told, Source.MONITOR, "monitor", 7.0).at_ms == 7.0


def test_what_a_client_is_told_is_a_delivery_and_what_it_asks_is_not() -> None:
    told = JobEvent(kind=EventKind.PROGRESS, job_id="a", progress=40, attempt=2, service="s", worker_id="w1")
    delivery = client_event(told, "c", 7.0)
    assert delivery == HistoryEvent(
        at_ms=7.0, source=Source.CLIENT, kind=EventKind.DELIVERED, of=EventKind.PROGRESS, by="c", job_id="a",
        worker_id="w1", attempt=2, progress=40,
    )  # fmt: skip
    script = {"simulate": [{"progress": 5}, {"fail": "no"}]}
    submit = client_event(JobEvent(kind=EventKind.SUBMIT, job_id="a", at=0.5, details=script), "c", 7.0)
    assert submit
    assert (submit.at_ms, submit.steps, submit.expects) == (500, (5,), EventKind.FAILED)
    status = client_event(JobEvent(kind=EventKind.STATUS, job_id="a", state=JobState.PENDING), "c", 7.0)
    assert status
    assert (status.source, status.state) == (Source.API, JobState.PENDING)
    assert client_event(JobEvent(kind=EventKind.REFUSED, error="no"), "c", 7.0) is None


async def test_the_hubs_monitor_is_followed_and_a_reconnection_is_a_gap() -> None:
    connections = 0

    async def monitor(request: web.Request) -> web.WebSocketResponse:
        nonlocal connections
        connections += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "connection_established"})
        await socket.send_str("no JSON")
        await socket.send_json({"type": "complete_job", "job_id": f"job-{connections}", "worker_id": "w1"})
        if connections > 1:
            await asyncio.sleep(30)
        return socket

    writer = HistoryWriter(clock=lambda: 7.0)
    route = web.get("/ws/monitor/{id}", monitor)
    async with serving(route) as url, HubRecorder(url.replace("http", "ws"), writer) as recorder:
        await until(lambda: recorder.recorded == 2)
    assert [(e.kind, e.job_id) for e in writer.events] == [
        (EventKind.COMPLETED, "job-1"),
        (EventKind.GAP, None),
        (EventKind.COMPLETED, "job-2"),
    ]


async def test_a_recorder_that_cannot_begin_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.clients.transport.READY_S", 0.3)
    with pytest.raises(TimeoutError, match="StackRecorder could not begin"):
        async with StackRecorder("http://127.0.0.1:9", HistoryWriter()):
            pass


async def test_a_survey_waits_for_a_server_that_is_away_and_tells_unknown_jobs() -> None:
    tries = 0

    async def job(request: web.Request) -> web.Response:
        nonlocal tries
        tries += 1
        if tries == 1:
            return web.Response(status=503)
        if request.match_info["id"] == "gone":
            return web.json_response({"detail": "Job with ID gone not found"}, status=404)
        return web.json_response({"status": "completed"})

    writer = HistoryWriter()
    async with serving(web.get("/api/jobs/{id}", job)) as url:
        states = await survey(url, ["done", "gone"], writer)
    assert states == {"done": JobState.COMPLETED, "gone": JobState.UNKNOWN}
    assert {event.state for event in writer.events} == {JobState.COMPLETED, JobState.UNKNOWN}


async def test_a_survey_takes_no_word_that_is_no_state() -> None:
    async def job(_: web.Request) -> web.Response:
        return web.json_response({"status": "splendid"})

    async with serving(web.get("/api/jobs/{id}", job)) as url:
        with pytest.raises(Refused, match="splendid"):
            await survey(url, ["a", "b"], HistoryWriter())


async def test_what_workers_say_they_run() -> None:
    worker = {"worker_id": "w1", "alive": True, "running": ["a"], "seen_at": 1_234}

    async def workers(_: web.Request) -> web.Response:
        return web.json_response({"workers": [worker, {"worker_id": "w2", "alive": False}]})

    writer = HistoryWriter()
    async with serving(web.get("/api/workers", workers)) as url, WorkerWatch(url, writer, every_ms=10):
        await until(lambda: len(writer.events) > 1)
    first = writer.events[0]
    assert (first.worker_id, first.running, first.at_ms) == ("w1", ("a",), 1_234)
    assert {event.worker_id for event in writer.events} == {"w1"}


def test_a_gap_told_to_a_client_is_kept_with_its_job() -> None:
    event = client_event(JobEvent(kind=EventKind.GAP, job_id="a", message="trimmed"), "s", 5.0)
    assert event
    assert (event.kind, event.job_id, event.source, event.note) == (EventKind.GAP, "a", Source.CLIENT, "trimmed")


def seen_in(name: str) -> list[HistoryEvent]:
    """What a cassette's clients and monitors would have written down."""
    found: list[HistoryEvent] = []
    sessions: dict[str, HubSession] = {}
    now_ms = 0.0

    def session(actor: str, role: str) -> HubSession:
        def observe(event: JobEvent) -> None:
            if role == "client":
                found.extend(seen for seen in [client_event(event, actor, now_ms)] if seen)
            elif event.kind in LOG_KINDS:
                found.append(log_event(event, Source.MONITOR, actor, now_ms))

        return HubSession(actor, role=role, observe=observe, clock=lambda: now_ms / 1000)

    for line in cassette(name):
        actor, what, message, now_ms = line["actor"], line["event"], line.get("message"), float(line["at"])
        if what == "open" and line["role"] != "worker":
            sessions.setdefault(actor, session(actor, line["role"]))
        elif actor in sessions and what == "close":
            sessions[actor].disconnected()
        elif actor in sessions and what == "receive" and message:
            sessions[actor].receive_frame(message)
        elif actor in sessions and what == "send" and message:
            send(sessions[actor], message)
    return found


def send(session: HubSession, message: dict[str, Any]) -> None:
    match message:
        case {"type": "submit_job", "job_type": service}:
            payload, priority = message.get("payload"), message.get("priority", 0)
            session.submit(Submission(service=service, payload=payload, priority=priority))
        case {"type": "cancel_job", "job_id": job_id}:
            session.cancel(job_id)
        case {"type": "subscribe_job", "job_id": job_id}:
            session.subscribe(job_id)


def test_the_recorded_happy_path_of_the_hub_is_clean() -> None:
    history = History(seen_in("happy-path-seen-by-monitor"))
    job = history.acknowledged[0]
    assert [event.kind for event in job.log] == [
        EventKind.SUBMITTED, EventKind.CLAIMED, EventKind.PROGRESS, EventKind.PROGRESS, EventKind.COMPLETED,
    ]  # fmt: skip
    assert (job.log[1].service, job.log[1].priority) == ("simulation", 3)
    assert all(check(history, Limits(delivery_grace_ms=100)).clean for check in CHECKERS.values())


def test_the_recorded_fault_of_the_hub_is_seen() -> None:
    """Its cancelled job goes on and completes: told from what its client saw, for no monitor was there."""
    seen = seen_in("cancel-running")
    told = [
        (event, line["at"])
        for line in cassette("cancel-running")
        if line["actor"] == "client-a" and line["event"] == "receive" and line["at"] != 429.3
        if (event := hub.event_of(line["message"])) and event.kind in LOG_KINDS
    ]
    told.append((JobEvent(kind=EventKind.CANCELLED, job_id=str(seen[0].job_id)), 429.3))
    history = History([*seen, *(log_event(event, Source.MONITOR, "monitor", at) for event, at in told)])
    assert CHECKERS["started_after_cancel"](history, Limits()).forms == {"progress accepted": 1}
    assert CHECKERS["ended_twice"](history, Limits()).forms == {"another end": 1}


def test_a_second_client_of_the_hub_is_starved_in_its_recording() -> None:
    events = seen_in("second-client-subscribes")
    late = [event for event in events if event.kind is EventKind.SUBSCRIBED and event.mode is Mode.LIVE]
    assert late
    names = {event.by for event in events if event.kind is EventKind.DELIVERED}
    assert late[0].by not in names


async def test_a_recorder_whose_library_swallows_a_cancellation_stops_all_the_same() -> None:
    class Stubborn(Background):
        swallowed = 0

        async def follow(self) -> None:
            self.ready.set()
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    self.swallowed += 1
                    if self.swallowed > 1:
                        raise

    async with asyncio.timeout(10), Stubborn() as stubborn:
        pass
    assert stubborn.swallowed == 2


async def test_a_recorder_that_breaks_is_loud() -> None:
    begun, broken = asyncio.Event(), asyncio.Event()

    class Broken(Background):
        async def follow(self) -> None:
            self.ready.set()
            await begun.wait()
            broken.set()
            raise LookupError("the format has changed")

    async def until_it_breaks() -> None:
        begun.set()
        await broken.wait()

    with pytest.raises(LookupError, match="format"):
        async with Broken():
            await until_it_breaks()
