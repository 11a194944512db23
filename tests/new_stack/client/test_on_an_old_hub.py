"""The hybrid client on a hub that knows nothing of HTTP and events."""

from __future__ import annotations

import asyncio
from typing import Any

from new_stack.client import (
    EventKind,
    Gap,
    HybridClient,
    JobEvent,
    JobState,
    ServerUnavailable,
)
from tests.new_stack.client.conftest import QUICK, HubWorker, StartProxy, collect


async def test_an_old_hub_is_spoken_to_in_its_own_words(hub: str) -> None:
    progress = {"type": "update_job_progress", "progress": 50, "status": "processing", "message": "half"}
    worker = HubWorker(hub, progress, {"type": "complete_job", "result": {"n": 1}})
    async with HybridClient(hub, timeouts=QUICK) as client:
        job_id = (await client.submit("simulation", {"x": 1})).job_id
        assert client.transport == "websocket"
        working = asyncio.create_task(worker.run())
        events = await collect(client, job_id)
        assert [event.kind for event in events if isinstance(event, JobEvent)] == [
            EventKind.SUBMITTED,
            EventKind.CLAIMED,
            EventKind.PROGRESS,
            EventKind.COMPLETED,
        ]
        assert (events[2].progress, events[2].message) == (50, "half")  # type: ignore[union-attr]
        assert (await client.status(job_id)).result == {"n": 1}
        working.cancel()


async def test_on_an_old_hub_a_submission_whose_answer_was_lost_is_not_made_twice(hub: str) -> None:
    async with HybridClient(hub, timeouts=QUICK) as client:
        await client.submit("simulation")
        assert client._socket is not None
        shared = client._socket._shared
        submit, made = shared.submit, []

        async def lossy(order: Any) -> Any:
            made.append(await submit(order))
            raise ServerUnavailable("the connection broke before the answer came")

        shared.submit = lossy  # type: ignore[method-assign]
        accepted = await client.submit("simulation", job_id="once")
        assert (accepted.job_id, accepted.status, len(made)) == ("once", JobState.PENDING, 1)


async def test_on_an_old_hub_a_last_failure_is_told_from_the_others(hub: str) -> None:
    worker = HubWorker(hub, {"type": "fail_job", "error": "CUDA"})
    async with HybridClient(hub, timeouts=QUICK) as client:
        job_id = (await client.submit("simulation")).job_id
        working = asyncio.create_task(worker.run())
        async for event in client.follow(job_id):
            if isinstance(event, JobEvent) and event.kind is EventKind.ATTEMPT_FAILED:
                assert event.error == "CUDA"
                break
        assert (await client.cancel(job_id)).status is JobState.CANCELLED
        working.cancel()


async def test_on_an_old_hub_an_end_missed_in_a_break_is_asked_for(hub: str, start_proxy: StartProxy) -> None:
    proxy, url = await start_proxy(hub)
    worker = HubWorker(hub, {"type": "complete_job", "result": {"n": 7}})
    worker.go_on.clear()
    async with HybridClient(url, timeouts=QUICK) as client:
        job_id = (await client.submit("simulation")).job_id
        working = asyncio.create_task(worker.run())
        following = asyncio.create_task(collect(client, job_id))
        await worker.claimed.wait()
        proxy.refusing = True
        proxy.cut()
        worker.go_on.set()
        await proxy.until_refused(2)
        proxy.refusing = False
        events = await following
        assert Gap(job_id=job_id, reason="reconnected") in events
        assert isinstance(events[-1], JobEvent)
        assert (events[-1].kind, events[-1].result) == (EventKind.COMPLETED, {"n": 7})
        working.cancel()
