"""The client against the real server: HTTP and WebSocket give the same; breaks are survived."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest

from new_stack.client import (
    BlockingClient,
    Conflict,
    EventKind,
    Gap,
    HybridClient,
    JobEvent,
    JobState,
    Mode,
    NotServed,
    OwnFields,
    RequestRefused,
    ServerUnavailable,
    Timeouts,
    UnknownJob,
    WaitTimeout,
)
from new_stack.queue import Completed, Failed, Lease, ProgressUpdate, Queue
from new_stack.queue import EventKind as QueueEventKind
from tests.new_stack.client.conftest import QUICK, StartApi, StartProxy, collect

MODES: list[Mode] = ["http", "websocket"]


async def claim(queue: Queue) -> Lease:
    async with asyncio.timeout(5):
        while not (leases := await queue.claim("w1")):
            await asyncio.sleep(0.01)
        return leases[0]


async def work(queue: Queue, *percents: float, result: bytes = b'{"n":1}') -> None:
    lease = await claim(queue)
    for percent in percents:
        await queue.progress(lease, ProgressUpdate(progress=percent, message=f"at {percent}"))
    await queue.end(Completed(lease=lease, result=msgspec.Raw(result)))


@pytest.mark.parametrize("mode", MODES)
async def test_what_the_submitter_says_besides_is_kept_and_shown(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    flow = OwnFields(
        requirements={"gpu": True},
        customer_id="customer-7",
        workflow_id="flow-1",
        workflow_priority=5,
        workflow_datetime=1795652717069,
        step_number=2,
    )
    async with HybridClient(api.base, mode=mode, timeouts=QUICK) as client:
        job_id = (await client.submit("simulation", {"prompt": "a cat"}, extra={"colour": "blue"}, **flow)).job_id
        async with HybridClient(api.base, mode="http", timeouts=QUICK) as reader:
            assert (await reader.status(job_id)).extra == {"colour": "blue", **flow}
        with pytest.raises(ValueError, match="priority is no field of your own"):
            await client.submit("simulation", extra={"priority": 1})


@pytest.mark.parametrize("mode", MODES)
async def test_a_failure_says_its_type_and_a_job_its_log(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base, mode=mode, timeouts=QUICK) as client:
        job_id = (await client.submit("simulation", max_retries=0)).job_id
        lease = await claim(api.queue)
        await api.queue.progress(lease, ProgressUpdate(kind=QueueEventKind.LOG, status="warning", message="it is hot"))
        await api.queue.end(Failed(lease=lease, error="no memory", error_type="MemoryError", traceback="line 1"))
        events = [event for event in await collect(client, job_id) if isinstance(event, JobEvent)]
        logged = next(event for event in events if event.kind is EventKind.LOG)
        assert (logged.status, logged.message) == ("warning", "it is hot")
        assert (events[-1].kind, events[-1].error_type, events[-1].traceback) == ("failed", "MemoryError", "line 1")
        async with HybridClient(api.base, mode="http", timeouts=QUICK) as reader:
            job = await reader.status(job_id)
        assert (job.error_type, job.traceback) == ("MemoryError", "line 1")
        assert [(line.level, line.message) for line in job.logs] == [("warning", "it is hot")]


@pytest.mark.parametrize("mode", MODES)
async def test_a_job_is_submitted_followed_and_its_result_read(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base, mode=mode, client_id="me", timeouts=QUICK) as client:
        accepted = await client.submit("simulation", {"prompt": "a cat"}, priority=3)
        assert (accepted.status, accepted.position) == (JobState.PENDING, 1)
        stored = await api.queue.job(accepted.job_id)
        assert stored is not None
        assert (stored.client_id, stored.priority, stored.payload) == ("me", 3, msgspec.Raw(b'{"prompt":"a cat"}'))
        worker = asyncio.create_task(work(api.queue, 10, 60))
        events = await collect(client, accepted.job_id)
        assert [event.kind for event in events if isinstance(event, JobEvent)] == [
            EventKind.SUBMITTED,
            EventKind.CLAIMED,
            EventKind.PROGRESS,
            EventKind.PROGRESS,
            EventKind.COMPLETED,
        ]
        assert [event.progress for event in events[2:4]] == [10, 60]  # type: ignore[union-attr]
        await worker
        status = await client.wait(accepted.job_id, timeout_s=5)
        assert (status.ok, status.result, status.worker_id) == (True, {"n": 1}, "w1")


async def test_both_ways_give_the_very_same_events(start_api: StartApi) -> None:
    api = await start_api()
    job_id = await api.submit()
    lease = await claim(api.queue)
    await api.queue.progress(lease, ProgressUpdate(progress=5, message="ä\nb", details={"step": 1}))
    await api.queue.end(Failed(lease=lease, error="no", retryable=False))
    seen = []
    for mode in MODES:
        async with HybridClient(api.base, mode=mode, timeouts=QUICK) as client:
            seen.append(await collect(client, job_id))
    assert seen[0] == seen[1]
    assert seen[0][-1].kind is EventKind.FAILED  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", MODES)
async def test_a_broken_connection_is_taken_up_again_without_gap_or_double(
    mode: Mode, start_api: StartApi, start_proxy: StartProxy
) -> None:
    api = await start_api(sse_retry_ms=10)
    proxy, url = await start_proxy(api.base)
    job_id = await api.submit()
    lease = await claim(api.queue)
    events: list[JobEvent | Gap] = []
    async with HybridClient(url, mode=mode, timeouts=QUICK) as client, asyncio.timeout(15):
        await api.queue.progress(lease, ProgressUpdate(progress=1))
        async for event in client.follow(job_id):
            events.append(event)
            percent = int(event.progress or 0) if isinstance(event, JobEvent) else 0
            if percent == 40:
                await api.queue.end(Completed(lease=lease))
            elif percent:
                await api.queue.progress(lease, ProgressUpdate(progress=percent + 1))
            if percent and percent % 10 == 0:
                proxy.cut()
    assert proxy.connections >= 4
    assert not [event for event in events if isinstance(event, Gap)]
    told = [event for event in events if isinstance(event, JobEvent)]
    assert [event.progress for event in told if event.kind == "progress"] == list(range(1, 41))
    assert [event.kind for event in told[-1:]] == [EventKind.COMPLETED]
    assert len({event.id for event in told}) == len(told)


@pytest.mark.parametrize("mode", MODES)
async def test_following_goes_on_after_an_event_and_is_over_after_the_last(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    job_id = await api.submit()
    await work(api.queue, 10, 20)
    async with HybridClient(api.base, mode=mode, timeouts=QUICK) as client:
        whole = await collect(client, job_id)
        assert await collect(client, job_id, after=whole[2].id) == whole[3:]  # type: ignore[union-attr]
        assert await collect(client, job_id, after=whole[-1].id) == []  # type: ignore[union-attr]
        [gap, *rest] = await collect(client, job_id, after="1-1")
        assert gap == Gap(job_id=job_id, reason="unknown", oldest=whole[0].id)  # type: ignore[union-attr]
        assert rest == whole


@pytest.mark.parametrize("mode", MODES)
async def test_a_request_repeated_after_a_break_is_the_same_job(
    mode: Mode, start_api: StartApi, start_proxy: StartProxy
) -> None:
    api = await start_api()
    proxy, url = await start_proxy(api.base)
    proxy.refusing = True
    async with HybridClient(url, mode=mode, timeouts=QUICK) as client:
        submitting = asyncio.create_task(client.submit("simulation", {"x": 1}, job_id="mine"))
        await proxy.until_refused(2)
        assert not submitting.done()
        proxy.refusing = False
        assert (await submitting).job_id == "mine"
        assert (await client.submit("simulation", {"x": 1}, job_id="mine")).job_id == "mine"
        with pytest.raises(Conflict):
            await client.submit("simulation", {"x": 2}, job_id="mine")
    assert (await api.queue.counts()).pending == 1


@pytest.mark.parametrize("mode", MODES)
async def test_requests_in_flight_at_once_get_each_its_own_reply(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base, mode=mode, timeouts=QUICK) as client:
        wanted = [f"job-{number}" for number in range(30)]
        accepted = await asyncio.gather(*(client.submit("simulation", {"n": name}, job_id=name) for name in wanted))
        assert [one.job_id for one in accepted] == wanted
        questions = [client.status(name) for name in wanted] + [client.cancel(name) for name in wanted[::2]]
        replies = await asyncio.gather(*questions)
        assert [reply.job_id for reply in replies] == wanted + wanted[::2]
        assert {reply.status for reply in replies[30:]} == {JobState.CANCELLED}


@pytest.mark.parametrize("mode", MODES)
async def test_cancel_and_retry(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base, mode=mode, timeouts=QUICK) as client:
        job_id = (await client.submit("simulation")).job_id
        cancelled = await client.cancel(job_id, "changed my mind")
        assert (cancelled.status, cancelled.cancel_reason) == (JobState.CANCELLED, "changed my mind")
        assert (await client.wait(job_id)).status is JobState.CANCELLED
        assert (await client.retry(job_id)).status is JobState.PENDING
        await work(api.queue)
        with pytest.raises(Conflict):
            await client.cancel(job_id)


@pytest.mark.parametrize("mode", MODES)
async def test_waiting_after_a_retry_waits_for_the_new_end(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base, mode=mode, timeouts=QUICK) as client:
        job_id = (await client.submit("simulation")).job_id
        await api.queue.end(Failed(lease=await claim(api.queue), error="out of memory", retryable=False))
        failed = await client.wait(job_id, timeout_s=5)
        assert (failed.status, failed.error) == (JobState.FAILED, "out of memory")
        await client.retry(job_id)
        waiting = asyncio.create_task(client.wait(job_id, timeout_s=10))
        following = asyncio.create_task(collect(client, job_id))
        await work(api.queue)
        status = await waiting
        assert (status.status, status.result, status.error) == (JobState.COMPLETED, {"n": 1}, None)
        assert [event.kind for event in await following if isinstance(event, JobEvent)] == [
            EventKind.SUBMITTED,
            EventKind.CLAIMED,
            EventKind.FAILED,
            EventKind.RETRIED,
            EventKind.CLAIMED,
            EventKind.COMPLETED,
        ]


async def test_a_retry_whose_answer_was_lost_is_no_conflict(start_api: StartApi, start_proxy: StartProxy) -> None:
    api = await start_api()
    proxy, url = await start_proxy(api.base)
    async with HybridClient(url, mode="http", timeouts=QUICK) as client:
        job_id = (await client.submit("simulation")).job_id
        await client.cancel(job_id)
        proxy.loses_answers_to = b"/retry "
        retrying = asyncio.create_task(client.retry(job_id))
        async with asyncio.timeout(5):
            while (await api.queue.counts()).pending == 0:
                await asyncio.sleep(0.01)
        assert not retrying.done()
        proxy.loses_answers_to = None
        proxy.cut()
        assert (await retrying).status is JobState.PENDING
        assert (await client.status(job_id)).status is JobState.PENDING
        with pytest.raises(Conflict):
            await client.retry(job_id)


@pytest.mark.parametrize("mode", MODES)
async def test_an_unknown_job_is_an_error_and_not_silence(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base, mode=mode, timeouts=QUICK) as client:
        for question in (client.status("nosuch"), client.wait("nosuch", timeout_s=5), collect(client, "nosuch")):
            with pytest.raises(UnknownJob, match="nosuch"):
                await question


@pytest.mark.parametrize("mode", MODES)
async def test_waiting_has_a_time_out_and_the_job_goes_on(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base, mode=mode, timeouts=QUICK) as client:
        job_id = (await client.submit("simulation")).job_id
        with pytest.raises(WaitTimeout):
            await client.wait(job_id, timeout_s=0.2)
        assert (await client.status(job_id)).status is JobState.PENDING


async def test_bad_input_names_the_field(start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base, timeouts=QUICK) as client:
        with pytest.raises(RequestRefused) as caught:
            await client.submit("simulation", priority=2**60)
        assert caught.value.status == 422
        assert caught.value.fields[0]["field"] == "priority"


async def test_a_listing_comes_in_pages_over_http_only(start_api: StartApi) -> None:
    api = await start_api()
    job_ids = [await api.submit() for _ in range(5)]
    async with HybridClient(api.base, timeouts=QUICK) as client:
        first = await client.jobs(status="pending", limit=3)
        second = await client.jobs(limit=3, cursor=first.cursor)
        assert [job.job_id for job in first.jobs + second.jobs] == job_ids[::-1]
        assert second.cursor is None
    async with HybridClient(api.base, mode="websocket", timeouts=QUICK) as client:
        with pytest.raises(NotServed):
            await client.jobs()


@pytest.mark.parametrize("mode", [*MODES, "auto"])
async def test_the_token_is_shown_and_a_wrong_one_is_refused(mode: Mode, start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    async with HybridClient(api.base, mode=mode, token="s3cret", timeouts=QUICK) as client:
        assert (await client.submit("simulation")).status is JobState.PENDING
    async with HybridClient(api.base, mode=mode, token="wrong", timeouts=QUICK) as client:
        with pytest.raises(RequestRefused, match="Invalid token") as caught:
            await client.submit("simulation")
        assert caught.value.status == 401


async def test_a_server_that_stays_away_is_given_up_in_time(unused_tcp_port: int) -> None:
    timeouts = Timeouts(connect_s=0.5, retry_budget_s=0.5)
    for mode in (*MODES, "auto"):
        async with HybridClient(f"http://127.0.0.1:{unused_tcp_port}", mode=mode, timeouts=timeouts) as client:  # type: ignore[arg-type]
            with pytest.raises(ServerUnavailable):
                async with asyncio.timeout(5):
                    await client.submit("simulation")


async def test_where_streams_are_held_back_auto_follows_over_the_websocket(
    start_api: StartApi, start_proxy: StartProxy
) -> None:
    api = await start_api()
    proxy, url = await start_proxy(api.base)
    proxy.holds_streams_back = True
    job_id = await api.submit()
    await work(api.queue, 10, 20)
    timeouts = Timeouts(request_s=5, connect_s=0.5, idle_timeout_s=2, retry_budget_s=1)
    async with HybridClient(url, timeouts=timeouts) as client:
        events = await collect(client, job_id)
        assert [event.kind for event in events] == [  # type: ignore[union-attr]
            EventKind.SUBMITTED,
            EventKind.CLAIMED,
            EventKind.PROGRESS,
            EventKind.PROGRESS,
            EventKind.COMPLETED,
        ]
    async with HybridClient(url, mode="http", timeouts=timeouts) as client:
        with pytest.raises(ServerUnavailable):
            await collect(client, job_id)


async def test_auto_prefers_http(start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base, timeouts=QUICK) as client:
        assert client.transport is None
        await client.submit("simulation")
        assert client.transport == "http"


async def test_the_blocking_twin_does_the_same_from_a_thread(start_api: StartApi) -> None:
    api = await start_api()

    def whole() -> tuple[list[str], Any, int]:
        with BlockingClient(api.base, timeouts=QUICK) as client:
            job_id = client.submit("simulation", {"x": 1}).job_id
            kinds = [event.kind.value for event in client.follow(job_id) if isinstance(event, JobEvent)]
            with pytest.raises(UnknownJob):
                client.status("nosuch")
            return kinds, client.wait(job_id).result, len(client.jobs().jobs)

    worker = asyncio.create_task(work(api.queue, 50))
    kinds, result, listed = await asyncio.to_thread(whole)
    assert kinds == ["submitted", "claimed", "progress", "completed"]
    assert (result, listed) == ({"n": 1}, 1)
    await worker


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("mode is auto, http or websocket, not 'carrier pigeon'")):
        HybridClient("http://h", mode="carrier pigeon")  # type: ignore[arg-type]
