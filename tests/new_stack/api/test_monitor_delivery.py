"""Monitors of both dialects: each event exactly once and in order whoever submitted, nothing changed, nothing lost."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import pytest

from harness.testing.waiting import until
from new_stack.api.streaming.fanout import ALL
from new_stack.queue import Failed, NewJob

from .conftest import Api, Socket, StartApi, Work
from .test_monitors import later, monitor

STEPS = (10, 40, 70)
ENDS = ("completed", "failed", "cancelled")
HUBS = {"completed": "complete_job", "failed": "fail_job", "cancelled": "response_job_status"}
LATER = {"completed": "job_completed", "failed": "job_failed", "cancelled": "job_status_changed"}


async def submitted_by_everybody(api: Api) -> list[str]:
    """A job from each kind of submitter: both dialects, the API for one and for many, and who uses the queue itself."""
    old, new = await api.client(), await api.socket("/")
    await old.send(type="submit_job", job_type="simulation", payload={}, max_retries=0)
    first = (await old.receive())["job_id"]
    await new.receive()
    await new.send(type="submit_job", id="m", data={"job_type": "simulation", "payload": {}, "max_retries": 0})
    second = (await new.until("job_submitted"))["job_id"]
    third = await api.submit(max_retries=0)
    about = {"service_required": "simulation", "max_retries": 0}
    fourth, fifth = [one["job"]["job_id"] for one in await api.post("/api/jobs", [about, about], 200)]
    sixth = (await api.queue.submit(NewJob(service_required="simulation", max_retries=0))).job_id
    return [first, second, third, fourth, fifth, sixth]


async def run_interleaved(api: Api, work: Work, count: int) -> dict[str, str]:
    """Run so many jobs at once, step by step; each end in turn. Answers how each ended."""
    leases = [await work.claim() for _ in range(count)]
    for percent in STEPS:
        for lease in leases:
            await work.progress(lease, percent)
    ended = {lease.job_id: ENDS[number % 3] for number, lease in enumerate(leases)}
    for lease in leases:
        if ended[lease.job_id] == "completed":
            await work.complete(lease)
        elif ended[lease.job_id] == "failed":
            await work.queue.end(Failed(lease=lease, error="no"))
        else:
            await api.post(f"/api/jobs/{lease.job_id}/cancel", {"reason": "enough"}, 200)
    return ended


async def told(socket: Socket, end_of: dict[str, str], jobs: int) -> dict[str, list[dict[str, Any]]]:
    """What a monitor is told of each job until nothing more comes."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    left = dict(end_of)
    while left:
        message = await socket.receive(10)
        if (job_id := message.get("job_id")) and not message["type"].startswith("worker"):
            found[job_id].append(message)
            if message["type"] == left.get(job_id) and len(found[job_id]) > len(STEPS) + 1:
                del left[job_id]
    assert await socket.silent()
    assert len(found) == jobs
    return found


async def test_each_event_comes_once_and_in_order_whoever_submitted(api: Api, work: Work) -> None:
    old, new = await monitor(api), await later(api, "jobs")
    jobs = [await submitted_by_everybody(api) for _ in range(3)]
    names = [job_id for six in jobs for job_id in six]
    ended = await run_interleaved(api, work, len(names))
    assert set(ended) == set(names)
    hubs = await told(old, {name: HUBS[end] for name, end in ended.items()}, len(names))
    laters = await told(new, {name: LATER[end] for name, end in ended.items()}, len(names))
    for name, end in ended.items():
        assert [one["type"] for one in hubs[name]] == [
            "response_job_status",
            *["update_job_progress"] * len(STEPS),
            HUBS[end],
        ]
        assert [one["progress"] for one in hubs[name][1:-1]] == list(STEPS)
        assert [one["type"] for one in laters[name]] == [
            "job_submitted",
            "job_assigned",
            *["job_progress"] * len(STEPS),
            LATER[end],
        ]
        assert [one["progress"] for one in laters[name][2:-1]] == list(STEPS)
    assert [one for one in laters if laters[one][0]["type"] == "job_submitted"] == names


@pytest.mark.parametrize("dialect", ["hub", "later"])
async def test_a_monitor_changes_nothing(api: Api, work: Work, dialect: str) -> None:
    await api.submit()
    lease = await work.claim()
    waiting = await api.submit()
    before = (await api.get("/api/stats"))["queue"]
    socket = await monitor(api) if dialect == "hub" else await later(api, "jobs")
    for kind in ("submit_job", "cancel_job", "update_job_progress", "complete_job", "fail_job", "claim_job"):
        about = {"job_id": waiting, "job_type": "simulation", "payload": {}, "worker_id": lease.worker_id}
        await socket.send(type=kind, timestamp=1, progress=99, error="x", result={}, data=about, **about)
        assert (await socket.until("error"))["error"].startswith("Unsupported message type")
    assert (await api.get("/api/stats"))["queue"] == before
    assert (await api.get(f"/api/jobs/{waiting}"))["status"] == "pending"
    await work.progress(lease, 20)
    assert (await api.get(f"/api/jobs/{lease.job_id}"))["progress"] == 20


@pytest.mark.parametrize("dialect", ["hub", "later"])
async def test_a_monitor_that_does_not_read_is_cut_off_and_goes_on_where_it_was(
    start_api: StartApi, work: Work, dialect: str
) -> None:
    api = await start_api(subscriber_queue=20)
    began = int(time.time() * 1000) - 1_000
    socket = await monitor(api) if dialect == "hub" else await later(api, "jobs")
    jobs = [await api.submit() for _ in range(2)]
    for _ in jobs:
        await work.whole_job(*STEPS)
    events = [event for job_id in jobs for event in await api.queue.history(job_id)]
    await until(lambda: api.services.fanout.followers(ALL))
    api.services.fanout.publish(events * 10)  # more than it has room for, before it gets to read
    assert await socket.closed() is not None
    again = await monitor(api, "monitor-b") if dialect == "hub" else await later(api, "jobs")
    if dialect == "later":
        await again.send(type="resync_request", since_timestamp=began, max_events=100)
        missed = (await again.until("resync_response"))["events"]
        for job_id in jobs:
            types = [event["type"] for event in missed if event.get("job_id") == job_id]
            assert types == ["job_submitted", "job_assigned", *["job_progress"] * len(STEPS), "job_completed"]
    last = await api.submit()
    await work.whole_job()
    end = HUBS["completed"] if dialect == "hub" else LATER["completed"]
    while (await again.until(end))["job_id"] != last:  # the reader may only now have come to the first jobs' ends
        pass
