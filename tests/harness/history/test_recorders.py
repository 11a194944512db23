"""What parties see on their wires, as history."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from harness.history import CHECKERS, History, HistoryEvent, HistoryWriter, Limits, Source
from harness.history.recorders import (
    HubRecorder,
    LegacyTranslator,
    StackRecorder,
    WorkerWatch,
    from_event,
    from_frame,
    sse_delivery,
    survey,
    transcript_events,
)
from harness.history.recorders.background import Background
from harness.protocols import EventKind, JobState, Mode

CASSETTES = Path(__file__).parents[3] / "scenarios" / "cassettes"


def cassette(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASSETTES / f"{name}.jsonl").read_text().splitlines()[1:]]


@asynccontextmanager
async def serving(*routes: web.RouteDef) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


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


def test_an_entry_of_the_stream_as_redis_has_it() -> None:
    fields = {"kind": "claimed", "job_id": "a", "at": "1500", "attempt": "2", "worker_id": "w1", "priority": "-3"}
    event = from_event({**fields, "service_required": "simulation"}, "1500-0")
    assert event == HistoryEvent(
        at_ms=1_500, source=Source.REDIS, kind=EventKind.CLAIMED, by="events", job_id="a", worker_id="w1",
        attempt=2, priority=-3, service="simulation", entry="1500-0",
    )  # fmt: skip
    assert from_event({"kind": "invented", "job_id": "a"}, "1-0") is None


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
    monkeypatch.setattr("harness.history.recorders.background.READY_S", 0.3)
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
        with pytest.raises(ExceptionGroup) as refusal:
            await survey(url, ["a"], HistoryWriter())
    assert refusal.group_contains(httpx.HTTPError, match="splendid")


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


def test_a_cancel_is_answered_once_and_delivered_once() -> None:
    """The hub tells a submitter who cancels twice: as the asker and as the subscriber."""
    client = LegacyTranslator("c")
    cancelled = {"type": "response_job_status", "status": "cancelled", "job_id": "a"}
    events = client.sent({"type": "cancel_job", "job_id": "a"}, 1)
    events += client.received(cancelled, 2) + client.received(cancelled, 3)
    assert [event.kind for event in events] == [EventKind.CANCEL, EventKind.CANCEL_ACCEPTED, EventKind.DELIVERED]


def test_an_answer_to_a_question_is_no_update() -> None:
    client = LegacyTranslator("c")
    answer = {"type": "response_job_status", "status": "claimed", "job_id": "a", "worker_id": "w1"}
    assert client.received(answer, 1) == []
    assert [e.of for e in client.received({**answer, "status": "processing"}, 2)] == [EventKind.CLAIMED]


def test_a_gap_told_by_sse_is_kept_with_its_job() -> None:
    event = sse_delivery("s", "gap", {"reason": "trimmed"}, 5.0, job_id="a")
    assert event
    assert (event.kind, event.job_id, event.source) == (EventKind.GAP, "a", Source.CLIENT)


def test_the_recorded_happy_path_of_the_hub_is_clean() -> None:
    history = History(transcript_events(cassette("happy-path-seen-by-monitor")))
    job = history.acknowledged[0]
    assert [event.kind for event in job.log] == [
        EventKind.SUBMITTED, EventKind.CLAIMED, EventKind.PROGRESS, EventKind.PROGRESS, EventKind.COMPLETED,
    ]  # fmt: skip
    assert (job.log[1].service, job.log[1].priority) == ("simulation", 3)
    assert all(check(history, Limits(delivery_grace_ms=100)).clean for check in CHECKERS.values())


def test_the_recorded_fault_of_the_hub_is_seen() -> None:
    """Its cancelled job goes on and completes: told from what its client saw, for no monitor was there."""
    seen = list(transcript_events(cassette("cancel-running")))
    log = [
        from_frame(line["message"], line["at"])
        for line in cassette("cancel-running")
        if line["actor"] == "client-a" and line["event"] == "receive" and line["at"] != 429.3
    ]
    cancelled = from_frame({"type": "response_job_status", "status": "cancelled", "job_id": seen[0].job_id}, 429.3)
    history = History([*seen, *(event for event in (*log, cancelled) if event)])
    assert CHECKERS["started_after_cancel"](history, Limits()).forms == {"progress accepted": 1}
    assert CHECKERS["ended_twice"](history, Limits()).forms == {"another end": 1}


def test_a_second_client_of_the_hub_is_starved_in_its_recording() -> None:
    events = list(transcript_events(cassette("second-client-subscribes")))
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
    class Broken(Background):
        async def follow(self) -> None:
            self.ready.set()
            await asyncio.sleep(0.01)
            raise LookupError("the format has changed")

    with pytest.raises(LookupError, match="format"):
        async with Broken():
            await asyncio.sleep(0.1)
