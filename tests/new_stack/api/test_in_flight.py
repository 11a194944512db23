"""Which clients have jobs in flight is known cheaply, within bounds, and never wrongly denied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from harness.testing.waiting import until
from new_stack.api.retirement import in_flight
from new_stack.api.retirement.in_flight import InFlight
from new_stack.api.streaming.fanout import ALL, Subscriber
from new_stack.queue import Failed, Queue, QueueSettings
from new_stack.queue.jobs import NewJob

from ..conftest import ValkeyProcess
from .conftest import Api, StartApi, Work

BUSY, IDLE = "busy", "idle"


@pytest.fixture
async def known(api: Api) -> AsyncIterator[InFlight]:
    """Kept up beside a server, as its retirement does it."""
    found = InFlight(api.services.queue, api.services.fanout)
    task = asyncio.create_task(found.run())
    yield found
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert task.done()


async def submit(api: Api, *names: str, client: str = BUSY) -> None:
    for name in names:
        await api.services.queue.submit(NewJob(id=name, client_id=client))


async def test_jobs_are_known_from_their_submission_to_their_end(api: Api, known: InFlight, work: Work) -> None:
    await until(lambda: not known.may_have(BUSY))
    await submit(api, "a", "b")
    await until(lambda: known.count(BUSY) == 2)
    assert not known.may_have(IDLE)
    await work.whole_job(50)
    await until(lambda: known.count(BUSY) == 1)
    await work.whole_job(50)
    await until(lambda: not known.may_have(BUSY))


async def test_after_a_gap_in_the_events_all_is_read_anew(api: Api, known: InFlight, work: Work) -> None:
    await submit(api, "a")
    await until(lambda: known.count(BUSY) == 1)
    publish = api.services.fanout.publish
    api.services.fanout.publish = lambda _events: None  # type: ignore[method-assign,assignment] # events get lost
    await work.whole_job(50)
    await submit(api, "b", client="new")
    await asyncio.sleep(0.5)
    assert known.may_have(BUSY), "nobody has told of the end"
    api.services.fanout.publish = publish  # type: ignore[method-assign]
    api.services.fanout.missed()
    await until(lambda: not known.may_have(BUSY))
    assert known.may_have("new")


async def test_whoever_cannot_be_told_of_everything_reads_anew_and_does_not_spin(api: Api, known: InFlight) -> None:
    await until(lambda: not known.may_have(IDLE))
    [subscriber] = api.services.fanout.followers(ALL)
    subscriber.close("too slow to read what is sent")
    await submit(api, "a")
    await until(lambda: known.count(BUSY) == 1 and not known.may_have(IDLE))


async def test_a_server_that_is_about_to_go_reads_nothing_more(
    api: Api, known: InFlight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "RETRY_SECONDS", 0.01)
    await until(lambda: not known.may_have(IDLE))
    begun: list[str] = []
    read, subscriber = api.services.queue._caller.read, api.services.fanout.subscriber

    async def noted_read(function: str, *arguments: Any) -> Any:
        begun.append(function)
        return await read(function, *arguments)

    def noted_subscriber(limit: int = 0) -> Subscriber:
        begun.append("subscriber")
        return subscriber(limit)

    monkeypatch.setattr(api.services.queue._caller, "read", noted_read)
    monkeypatch.setattr(api.services.fanout, "subscriber", noted_subscriber)
    api.services.fanout.stop()
    await until(lambda: begun.count("subscriber") >= 3)
    assert "in_flight" not in begun
    assert known.may_have(IDLE)


async def test_with_too_many_jobs_every_client_may_have_some_and_none_of_them_is_held(
    api: Api, known: InFlight, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "HELD", 3)
    monkeypatch.setattr(in_flight, "CROWDED_SECONDS", 0.1)
    await until(lambda: not known.may_have(IDLE))
    await submit(api, "a", "b", "c", "d")
    await until(lambda: known.may_have(IDLE))
    await asyncio.sleep(0.5)
    assert known.may_have(IDLE)
    assert not known.count(BUSY)
    await work.whole_job(50)
    await until(lambda: not known.may_have(IDLE))
    assert known.count(BUSY) == 3


async def pages(queue: Queue) -> list[list[tuple[str, str]]]:
    return [page async for page in queue.usage.in_flight(page=10)]


async def test_a_listing_has_ids_alone_of_all_that_have_not_ended_and_of_nothing_else(
    queue: Queue, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    read = queue._caller.read

    async def counted(function: str, *arguments: Any) -> Any:
        calls.append(function)
        return await read(function, *arguments)

    for number in range(40):
        await queue.submit(NewJob(id=f"ended-{number}", client_id="past"))
        await work.whole_job()
    for number in range(30):
        await queue.submit(NewJob(id=f"job-{number}", client_id=f"c{number % 3}", service_required=f"s{number % 15}"))
    await queue.submit(NewJob(id="nobody's", service_required="s1"))
    leases = await queue.claim(work.name, count=5)
    monkeypatch.setattr(queue._caller, "read", counted)
    found = await pages(queue)
    jobs = {job_id: client for page in found for job_id, client in page}
    assert jobs == {f"job-{number}": f"c{number % 3}" for number in range(30)} | {"nobody's": ""}
    assert {lease.job_id for lease in leases} <= set(jobs)
    assert max(map(len, found)) <= 20
    assert len(calls) == len(found) <= 8


async def test_jobs_in_back_off_have_not_ended(queue: Queue, work: Work) -> None:
    await queue.submit(NewJob(id="again", client_id=BUSY))
    await queue.end(Failed(lease=await work.claim(), error="no"))
    assert (await queue.job("again")).state == "pending"  # type: ignore[union-attr]
    assert await pages(queue) == [[("again", BUSY)]]


async def test_a_right_that_is_missing_is_told_once_each_time_it_goes(
    start_api: StartApi, own_valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(in_flight, "RETRY_SECONDS", 0.01)
    said = ""

    def told() -> int:
        nonlocal said
        said += capsys.readouterr().err
        return said.count("jobs_in_flight_not_read")

    with redis.Redis(port=own_valkey.port) as admin:
        admin.execute_command("ACL", "SETUSER", "served", "on", ">word", "~*", "+@all")
        api = await start_api(QueueSettings(redis_url=f"redis://served:word@127.0.0.1:{own_valkey.port}"))
        await submit(api, "a")
        found = InFlight(api.services.queue, api.services.fanout)
        running = asyncio.create_task(found.run())
        try:
            for times in (1, 2):
                await until(lambda: found.count(BUSY) == 1)
                admin.execute_command("ACL", "SETUSER", "served", "-zscan")
                api.services.fanout.missed()
                await until(lambda times=times: told() >= times)
                await asyncio.sleep(0.3)
                assert told() == times
                assert found.may_have(IDLE)
                admin.execute_command("ACL", "SETUSER", "served", "+zscan")
        finally:
            running.cancel()
            await asyncio.wait([running])
