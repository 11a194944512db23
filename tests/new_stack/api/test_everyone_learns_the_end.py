"""Whoever follows a job learns its end, in every dialect, whatever became of the events on their way."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from harness.faults import Proxy
from harness.testing.waiting import until
from new_stack.queue import Failed, Job, NewJob, QueueSettings, QueueUnavailable

from ..conftest import ValkeyProcess
from .conftest import Api, Socket, StartApi, Work


@pytest.fixture
async def api(start_api: StartApi, own_valkey: ValkeyProcess, settings: QueueSettings) -> Api:
    """A server on a Redis of its own, that looks after silent jobs often."""
    return await start_api(msgspec.structs.replace(settings, redis_url=own_valkey.url), keepalive_ms=150)


@pytest.fixture
def work(api: Api) -> Work:
    return Work(api.queue)


async def followers(api: Api, job_id: str) -> tuple[asyncio.Task[Any], Socket, Socket]:
    """One over SSE, one in the hub's dialect, one in the later dialect; each follows the job by the time it returns."""
    stream = asyncio.create_task(api.whole(f"/api/jobs/{job_id}/progress"))
    hub = await api.client("hub")
    await hub.send(type="subscribe_job", job_id=job_id)
    await hub.until("subscription_confirmed")
    later = await api.client("later")
    await later.send(type="subscribe_progress", job_id=job_id)
    await later.until("subscribed")
    await api.followed(job_id, by=3)
    return stream, hub, later


async def lose_events(api: Api) -> None:
    """From now on, nothing that happens is handed out."""
    api.services.fanout.publish = lambda _events: None  # type: ignore[method-assign]


async def end_of(later: Socket) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            data = (await later.until("progress"))["data"]
            if data["status"] in {"completed", "failed"}:
                found: dict[str, Any] = data
                return found


@pytest.mark.parametrize("notified", [True, False])
async def test_after_a_gap_in_the_reader(api: Api, work: Work, *, notified: bool) -> None:
    job_id = await api.submit()
    stream, hub, later = await followers(api, job_id)
    await lose_events(api)
    await work.whole_job(50)
    if notified:
        api.services.fanout.missed()
    assert (await hub.until("complete_job"))["result"] == {"status": "success"}
    assert (await end_of(later))["status"] == "completed"
    assert (await stream)[-1].data["kind"] == "completed"
    assert await hub.silent()


async def test_after_a_gap_of_a_job_that_failed(api: Api, work: Work) -> None:
    job_id = await api.submit(max_retries=0)
    stream, hub, later = await followers(api, job_id)
    await lose_events(api)
    await work.queue.end(Failed(lease=await work.claim(), error="out of memory"))
    assert (await hub.until("fail_job"))["error"] == "out of memory"
    assert (await end_of(later))["error"] == "out of memory"
    assert (await stream)[-1].data["error"] == "out of memory"


async def test_of_its_own_job_without_a_subscription(api: Api, work: Work) -> None:
    hub = await api.client("hub")
    await hub.send(type="submit_job", job_type="simulation", payload={}, message_id="own")
    await hub.until("job_accepted")
    await lose_events(api)
    await work.whole_job()
    assert (await hub.until("complete_job"))["job_id"] == "own"


async def test_after_the_data_is_flushed(api: Api, own_valkey: ValkeyProcess) -> None:
    job_id = await api.submit()
    stream, hub, later = await followers(api, job_id)
    await api.queue._caller.connection.call("FLUSHDB")
    assert "is gone" in (await hub.until("fail_job"))["error"]
    assert "is gone" in (await end_of(later))["error"]
    last = (await stream)[-1]
    assert (last.event, job_id in last.data["reason"]) == ("disconnect", True)
    await api.get(f"/api/jobs/{job_id}/progress", 404)  # what the reader finds when it comes back


async def test_after_a_retry_by_hand_the_next_end_comes_too(api: Api, work: Work) -> None:
    job_id = await api.submit(max_retries=0)
    _, hub, later = await followers(api, job_id)
    await work.queue.end(Failed(lease=await work.claim(), error="no"))
    await hub.until("fail_job")
    await end_of(later)
    await api.post(f"/api/jobs/{job_id}/retry", None, 200)
    for socket in (hub, later):
        async with asyncio.timeout(5):
            while "pending" not in str(await socket.receive()):
                pass
    await lose_events(api)
    await work.whole_job()
    await hub.until("complete_job")
    assert (await end_of(later))["status"] == "completed"


async def test_an_event_of_an_unknown_kind_stops_nobody(api: Api, work: Work) -> None:
    queue, key = api.queue._caller.connection, api.queue._caller.key("events")
    stream = asyncio.create_task(api.whole("/api/events?since=0&kinds=completed"))
    await queue.call("XADD", key, "*", "kind", "teleported", "job_id", "x")
    async with asyncio.timeout(5):
        while int(await queue.call("XLEN", key)) < 1 or api.services.fanout._read_to == (0, 0):
            await asyncio.sleep(0.01)
    before = await calls(api)
    await asyncio.sleep(1.0)  # a measured second: a reader that spins reads hundreds of times in it
    assert await calls(api) - before < 20
    await api.queue.submit(NewJob(service_required="simulation"))
    await work.whole_job()
    await until(lambda: api.services.fanout.figures()["events_published"] >= 3, within=5)
    api.services.fanout.stop()
    assert [event.data["kind"] for event in await stream if event.event == "completed"] == ["completed"]


async def calls(api: Api) -> int:
    """How often Redis was asked for new events."""
    stats = (await api.queue._caller.connection.call("INFO", "commandstats")).decode()
    return int(stats.partition("cmdstat_xread:calls=")[2].partition(",")[0] or 0)


async def test_a_key_of_a_stranger_ends_no_process(api: Api, work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    """The stream of events is a text for a while: nothing can be read, and then all goes on."""
    redis, key = api.queue._caller.connection, api.queue._caller.key("events")
    await redis.call("SET", key, "somebody's")
    seen = ""
    async with asyncio.timeout(10):
        while "events_unavailable" not in seen:
            seen += capsys.readouterr().err
            await asyncio.sleep(0.02)
    await redis.call("DEL", key)
    job_id = await api.submit()
    stream, hub, _ = await followers(api, job_id)
    await work.whole_job()
    await hub.until("complete_job")
    assert (await stream)[-1].data["kind"] == "completed"
    assert "background_died" not in seen + capsys.readouterr().err


async def test_one_who_subscribes_before_the_job_is_there_is_told_of_no_loss(api: Api, work: Work) -> None:
    hub = await api.client("hub")
    await hub.send(type="subscribe_job", job_id="later")
    await hub.until("subscription_confirmed")
    api.services.fanout.missed()
    assert await hub.silent(0.5)
    await api.submit(id="later")
    await work.whole_job()
    assert await hub.receive_types(2) == ["response_job_status", "complete_job"]


async def test_who_looks_after_a_job_that_runs_on_does_not_read_its_payload(api: Api, work: Work) -> None:
    job_id = await api.submit(payload={"text": "x" * 1_000_000})
    await work.claim()
    stream, hub, later = await followers(api, job_id)
    before = await sent_by_redis(api)
    for _ in range(20):
        api.services.fanout.missed()
        await hub.send(type="stay_alive")
        await hub.until("response_job_status")
        await later.send(type="ping")
        await later.until("pong")
    assert await sent_by_redis(api) - before < 1_000_000
    stream.cancel()


async def sent_by_redis(api: Api) -> int:
    """How many bytes Redis has sent to all its clients."""
    text = (await api.queue._caller.connection.call("INFO", "stats")).decode()
    return int(text.partition("total_net_output_bytes:")[2].partition("\r")[0])


async def test_a_server_that_listens_hands_out_what_happens(
    start_api: StartApi, own_valkey: ValkeyProcess, settings: QueueSettings, connect: Any
) -> None:
    """Even where Redis is far: whoever was confirmed in its first moments is told of the next one."""
    near = msgspec.structs.replace(settings, redis_url=own_valkey.url)
    work = Work(await connect(redis_url=own_valkey.url))
    await work.queue.submit(NewJob(id="j", service_required="simulation"))
    async with Proxy("127.0.0.1", own_valkey.port, name="redis far away") as line:
        line.delay_s = 0.3
        api = await start_api(msgspec.structs.replace(near, redis_url=f"redis://127.0.0.1:{line.port}/0"))
        hub = await api.client("hub")
        await hub.send(type="subscribe_job", job_id="j")
        await hub.until("subscription_confirmed")
        await work.claim()
        assert (await hub.receive())["status"] == "processing"


async def test_a_large_result_that_waits_for_redis_holds_up_no_submission(
    api: Api, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await api.client()
    await client.send(type="submit_job", message_id="large", job_type="simulation", payload={})
    await client.until("job_accepted")
    read, fetching, back = api.queue.job, asyncio.Event(), asyncio.Event()

    async def away(job_id: str, **options: Any) -> Job | None:
        if back.is_set():
            return await read(job_id, **options)
        fetching.set()
        raise QueueUnavailable("Redis cannot be reached")

    lease = await work.claim()
    await client.until("response_job_status")
    monkeypatch.setattr(api.queue, "job", away)
    await work.complete(lease, "x" * 20_000)
    await asyncio.wait_for(fetching.wait(), 10)
    await client.send(type="submit_job", message_id="next", job_type="simulation", payload={})
    accepted = await client.receive(10)
    assert (accepted["type"], accepted["job_id"]) == ("job_accepted", "next")
    back.set()
    assert len((await client.until("complete_job"))["result"]) == 20_000
