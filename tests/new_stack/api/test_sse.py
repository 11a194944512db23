"""SSE: history first, then live, without a hole, without a double, to the end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import aiohttp
import msgspec
import pytest

from harness.testing.waiting import until
from new_stack.api.streaming.fanout import ALL
from new_stack.queue import Failed, QueueSettings
from new_stack.queue.events import parse_id

from ..conftest import ValkeyProcess
from .conftest import Api, SseEvent, StartApi, Work

WHOLE = ["submitted", "claimed", "progress", "progress", "completed"]


def kinds(events: list[SseEvent]) -> list[str]:
    return [event.event for event in events]


async def test_a_reader_from_the_start_gets_every_event_and_the_stream_ends(api: Api, work: Work) -> None:
    job_id = await api.submit()
    reader = asyncio.create_task(api.whole(f"/api/jobs/{job_id}/progress"))
    await api.followed(job_id)
    await work.whole_job(10, 50)
    events = await reader
    assert kinds(events) == WHOLE
    assert [event.data["progress"] for event in events if event.event == "progress"] == [10, 50]
    assert events[-1].data["result"] == {"status": "success"}
    assert all(event.data["service_required"] == event.data["job_type"] == "simulation" for event in events)


async def test_a_late_reader_gets_the_history(api: Api, work: Work) -> None:
    job_id = await api.submit()
    await work.whole_job(10, 50)
    assert kinds(await api.whole(f"/api/jobs/{job_id}/progress")) == WHOLE


async def test_a_reader_that_breaks_off_anywhere_resumes_with_no_gap_and_no_double(api: Api, work: Work) -> None:
    job_id = await api.submit()
    await work.whole_job(10, 50)
    everything = await api.whole(f"/api/jobs/{job_id}/progress")
    for broken_after in range(len(everything) - 1):
        rest = await api.whole(f"/api/jobs/{job_id}/progress", last=everything[broken_after].id)
        assert everything[: broken_after + 1] + rest == everything


async def test_one_that_reconnects_all_the_time_misses_nothing(api: Api, work: Work) -> None:
    job_id = await api.submit()
    seen: list[SseEvent] = []

    async def read() -> None:
        while not seen or seen[-1].event != "completed":
            async with aclosing(api.sse(f"/api/jobs/{job_id}/progress", seen[-1].id if seen else None)) as events:
                async for event in events:
                    seen.append(event)
                    break

    async with asyncio.timeout(20):
        reader = asyncio.create_task(read())
        lease = await work.claim()
        for percent in range(30):
            await work.progress(lease, percent)
        await work.complete(lease)
        await reader
    assert kinds(seen) == ["submitted", "claimed", *["progress"] * 30, "completed"]
    assert [event.data["progress"] for event in seen[2:-1]] == list(range(30))


async def test_after_the_ending_a_reconnect_gets_204(api: Api, work: Work) -> None:
    job_id = await api.submit()
    await work.whole_job()
    ending = (await api.whole(f"/api/jobs/{job_id}/progress"))[-1].id
    await api.get(f"/api/jobs/{job_id}/progress", status=204, headers={"Last-Event-ID": ending})
    await api.get(f"/api/jobs/{job_id}/progress?last_event_id={ending}", status=204)


async def test_a_failed_attempt_does_not_end_the_stream_and_a_retry_by_hand_opens_it_again(
    api: Api, work: Work
) -> None:
    job_id = await api.submit(max_retries=0)
    lease = await work.claim()
    await work.queue.end(Failed(lease=lease, error="broken"))
    events = await api.whole(f"/api/jobs/{job_id}/progress")
    assert kinds(events) == ["submitted", "claimed", "failed"]
    await api.post(f"/api/jobs/{job_id}/retry", None, 200)
    await work.whole_job()
    rest = await api.whole(f"/api/jobs/{job_id}/progress", last=events[-1].id)
    assert kinds(rest) == ["retried", "claimed", "completed"]


@pytest.mark.parametrize(
    ("cursor", "reason"), [("no-id", "malformed"), ("1-1", "unknown"), ("99999999999999-0", "unknown")]
)
async def test_a_cursor_that_never_existed_gets_a_gap_and_all_there_is(
    api: Api, work: Work, cursor: str, reason: str
) -> None:
    job_id = await api.submit()
    await work.whole_job(10, 50)
    events = await api.whole(f"/api/jobs/{job_id}/progress", last=cursor)
    assert kinds(events) == ["gap", *WHOLE]
    assert events[0].data == {"reason": reason, "oldest": events[1].id}
    assert events[0].id == ""


async def test_a_history_that_was_trimmed_begins_with_a_gap(start_api: StartApi, settings: QueueSettings) -> None:

    short = msgspec.structs.replace(settings, progress_stream_length=5)
    api = await start_api(short)
    work = Work(api.queue)
    job_id = await api.submit()
    first = (await api.queue.history(job_id))[0].id
    lease = await work.claim()
    for percent in range(300):
        await work.progress(lease, percent / 3)
    await work.complete(lease)
    for last in (None, first):
        events = await api.whole(f"/api/jobs/{job_id}/progress", last=last)
        assert events[0].event == "gap"
        assert events[0].data == {"reason": "trimmed", "oldest": events[1].id}
        assert events[-1].event == "completed"


async def test_an_ended_job_whose_stream_is_gone_still_tells_its_end(api: Api, work: Work) -> None:
    job_id = await api.submit()
    await work.whole_job(50)
    await api.queue._caller.connection.call("DEL", f"{api.queue.settings.prefix}events:{job_id}")
    events = await api.whole(f"/api/jobs/{job_id}/progress")
    assert kinds(events) == ["gap", "completed"]
    await api.get(f"/api/jobs/{job_id}/progress", status=204, headers={"Last-Event-ID": events[-1].id})


async def test_the_ending_comes_though_its_notification_was_lost(start_api: StartApi) -> None:
    api = await start_api(keepalive_ms=200)
    work = Work(api.queue)
    job_id = await api.submit()
    reader = asyncio.create_task(api.whole(f"/api/jobs/{job_id}/progress"))
    await api.followed(job_id)
    api.services.fanout.publish = lambda _events: None  # type: ignore[method-assign]
    await work.whole_job(50)
    assert kinds(await reader) == ["submitted", "claimed", "progress", "completed"]


async def test_an_unknown_job_is_not_found(api: Api) -> None:
    problem = await api.get("/api/jobs/nowhere/progress", status=404)
    assert problem["detail"] == "Job with ID nowhere not found"


async def test_the_headers_keep_proxies_from_buffering(start_api: StartApi) -> None:
    api = await start_api(cors_origins=("*",))
    job_id = await api.submit()
    async with api.session.get(f"{api.base}/api/jobs/{job_id}/progress", headers={"Origin": "http://x"}) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["X-Accel-Buffering"] == "no"
        assert "no-cache" in response.headers["Cache-Control"]
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert await response.content.readuntil(b"\n\n") == b"retry: 1000\n\n"


async def test_the_line_is_kept_alive(start_api: StartApi) -> None:
    api = await start_api(keepalive_ms=50)
    async with api.session.get(f"{api.base}/api/events") as response:
        await response.content.readuntil(b"\n\n")
        assert await response.content.readuntil(b"\n\n") == b": keep-alive\n\n"


async def test_everybodys_events_are_filtered(api: Api, work: Work) -> None:
    seen: list[SseEvent] = []

    async def read() -> None:
        async for event in api.sse("/api/events?job_types=image&kinds=claimed,completed"):
            seen.append(event)
            if event.event == "completed":
                return

    reader = asyncio.create_task(read())
    await until(lambda: api.services.fanout.followers(ALL))
    await api.submit()
    await work.whole_job()
    image = await api.submit(service_required="image")
    await work.whole_job(50)
    await asyncio.wait_for(reader, 5)
    assert [(event.event, event.data["job_id"]) for event in seen] == [("claimed", image), ("completed", image)]
    problem = await api.get("/api/events?kinds=dancing", status=422)
    assert problem["errors"][0]["field"] == "kinds"


async def test_everybodys_events_resume_while_more_of_them_come(api: Api, work: Work) -> None:
    async def take(count: int, last: str) -> list[SseEvent]:
        found: list[SseEvent] = []
        async with asyncio.timeout(10), aclosing(api.sse("/api/events", last)) as events:
            async for event in events:
                found.append(event)
                if len(found) == count:
                    break
        return found

    for _ in range(20):
        await api.submit()
    first = await take(20, "0")
    assert kinds(first) == ["submitted"] * 20
    later = asyncio.create_task(take(50, first[9].id))
    for _ in range(20):
        await work.whole_job()
    rest = await later
    assert [event.id for event in rest[:10]] == [event.id for event in first[10:]]
    ids = [tuple(map(int, event.id.split("-"))) for event in rest]
    assert ids == sorted(set(ids))
    assert kinds(await take(1, "7-7")) == ["gap"]


async def test_a_slow_reader_is_disconnected_with_a_reason_and_resumes(start_api: StartApi, work: Work) -> None:
    api = await start_api(subscriber_queue=10)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.base.rpartition(":")[2]), limit=2**24)
    writer.write(b"GET /api/events HTTP/1.0\r\nHost: x\r\n\r\n")
    assert await reader.readuntil(b"retry: 1000\n\n")
    subscriber = next(iter(api.services.fanout.followers(ALL)))
    await api.submit()
    lease = await work.claim()
    events = await api.queue.history(lease.job_id)
    await until(lambda: api.services.fanout._read_to >= parse_id(events[-1].id))
    api.services.fanout.publish(events * 10)
    assert subscriber.closed is not None
    rest = await asyncio.wait_for(reader.read(), 5)
    assert b"event: disconnect" in rest
    assert b"too slow" in rest
    writer.close()


async def test_readers_outlive_redis_being_away(
    start_api: StartApi, own_valkey: ValkeyProcess, settings: QueueSettings
) -> None:

    api = await start_api(msgspec.structs.replace(settings, redis_url=own_valkey.url))
    work = Work(api.queue)
    job_id = await api.submit()
    reader = asyncio.create_task(api.whole(f"/api/jobs/{job_id}/progress"))
    lease = await work.claim()
    own_valkey.pause()
    ready = api.session.get(f"{api.base}/api/jobs/{job_id}")  # asked while Redis says nothing
    asked = asyncio.create_task(ready.__aenter__())
    await until(lambda: api.queue._caller.connection._waiting)
    own_valkey.resume()
    assert (await asked).status == 200
    await work.complete(lease)
    assert kinds(await reader) == ["submitted", "claimed", "completed"]


async def test_a_stopping_server_sends_its_readers_elsewhere(start_api: StartApi, work: Work) -> None:
    here, there = await start_api(), await start_api()
    job_id = await here.submit()
    stream = here.sse(f"/api/jobs/{job_id}/progress")
    first = await anext(stream)
    client = await here.client()
    await here.followed(job_id)
    here.services.fanout.stop()
    events = [first, *[event async for event in stream]]
    assert kinds(events) == ["submitted", "disconnect"]
    assert "reconnect" in events[-1].data["reason"]
    assert await client.closed() == aiohttp.WSCloseCode.GOING_AWAY
    await work.whole_job()
    assert kinds(await there.whole(f"/api/jobs/{job_id}/progress", last=events[0].id)) == ["claimed", "completed"]
