"""Monitors of both dialects: the schema of what they are shown, and that its figures settle on what is the case."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import pytest

from harness.clients import Monitor
from harness.protocols.hub import Frame
from harness.testing import fresh
from scenarios.received_facts import reached
from scenarios.stacks import OwnStack, fail, ours, script, wait

pytestmark = [pytest.mark.criterion("monitors"), pytest.mark.fast]

NUMBER: Final = (int, float)
STATS: Final[Mapping[str, Any]] = {
    "type": str,
    "timestamp": float,
    "message_id": str,
    "connections": {"clients": list, "workers": list, "monitors": list},
    "workers": dict,
    "subscriptions": {"stats": list, "job_notifications": list, "jobs": dict},
    "system": {
        "queues": {"priority": int, "standard": int, "total": int},
        "jobs": {"total": int, "status": dict, "active_jobs": list},
        "workers": {"total": int, "status": dict, "active_workers": list},
    },
}
ACTIVE_JOB: Final[Mapping[str, Any]] = {
    "id": str,
    "job_type": str,
    "status": str,
    "priority": int,
    "worker_id": (str, type(None)),
    "created_at": float,
    "updated_at": float,
    "progress": (int, float, type(None)),
}
ACTIVE_WORKER: Final[Mapping[str, Any]] = {
    "id": str,
    "status": str,
    "connected_at": float,
    "jobs_processed": int,
    "last_heartbeat": float,
    "current_job_id": (str, type(None)),
}
SYSTEM_STATS: Final = dict.fromkeys(
    (
        *("total_workers", "active_workers", "total_jobs"),
        *("pending_jobs", "active_jobs", "completed_jobs", "failed_jobs"),
    ),
    int,
)
YEAR_MS: Final = 365 * 24 * 3600 * 1000


def has_schema(found: Any, schema: Any, where: str = "$") -> None:
    """Every field is there, of its type; more may be."""
    if isinstance(schema, Mapping):
        assert isinstance(found, dict), f"{where} is {found!r}"
        for name, kind in schema.items():
            assert name in found, f"{where} lacks {name}: {found}"
            has_schema(found[name], kind, f"{where}.{name}")
    else:
        assert isinstance(found, schema), f"{where} is {found!r}"


def is_ms(stamp: Any) -> bool:
    """Whether it is a time of this year in ms since the epoch."""
    return isinstance(stamp, NUMBER) and abs(stamp - time.time() * 1000) < YEAR_MS


def is_s(stamp: Any) -> bool:
    """Whether it is a time of this year in seconds since the epoch."""
    return isinstance(stamp, NUMBER) and is_ms(stamp * 1000)


async def mixed_jobs(stack: OwnStack) -> dict[str, list[str]]:
    """Jobs that end in each way, one that runs and some that wait; by their state as the hub's monitors call it."""
    worker = await stack.worker("busy")
    async with stack.modern() as client:
        done = [await client.submit(script(50), job_id=fresh("done")) for _ in range(3)]
        broken = await client.submit(script(10, fail("no")), job_id=fresh("broken"), max_retries=0)
        for job_id in (*done, broken):
            await client.follow_to_end(job_id)
        running = await client.submit(script(30, wait(60_000)), job_id=fresh("running"))
        await reached(client, running)
        waiting = [await client.submit({}, job_id=fresh("waiting"), priority=number) for number in (0, 0, 5)]
        gone = await client.submit({}, job_id=fresh("gone"))
        await client.cancel(gone)
    return {
        "completed": done,
        "failed": [broken],
        "claimed": [running],
        "pending": waiting,
        "cancelled": [gone],
        "workers": [worker.name],
    }


async def stats(monitor: Monitor, settled: Any, *, ask: bool) -> Frame:
    """The first `stats_broadcast` that shows what is settled, asked for once or sent by itself."""
    if ask:
        await monitor.send({"type": "get_system_status"})
    return await monitor.wait_for(
        lambda frame: frame.get("type") == "stats_broadcast" and settled(frame["system"]), "settled stats"
    )


async def test_the_hubs_monitors_are_shown_the_figures_that_are_the_case(isolated_stack: OwnStack) -> None:
    jobs = await mixed_jobs(isolated_stack)
    counts = {state: len(ids) for state, ids in jobs.items() if state != "workers"}
    async with isolated_stack.monitor() as monitor:
        (running,), (worker_id,) = jobs["claimed"], jobs["workers"]

        def settled(system: Frame) -> bool:
            working = [worker["current_job_id"] for worker in system["workers"].get("active_workers", ())]
            return system["jobs"]["status"] == counts and working == [running]

        frame = await stats(monitor, settled, ask=True)
        has_schema(frame, STATS)
        system = frame["system"]
        queues = system["queues"]
        assert queues["total"] == queues["priority"] + queues["standard"] == 3
        assert system["jobs"]["total"] == sum(counts.values())
        active = {job["id"]: job for job in system["jobs"]["active_jobs"]}
        assert active.keys() == {*jobs["pending"], *jobs["claimed"], *jobs["failed"]}
        for job in active.values():
            has_schema(job, ACTIVE_JOB)
            assert is_s(job["created_at"])
        assert (active[running]["worker_id"], active[running]["progress"]) == (worker_id, 30)
        assert [active[job_id]["updated_at"] for job_id in jobs["pending"]] == [0.0] * 3
        (worker,) = system["workers"]["active_workers"]
        has_schema(worker, ACTIVE_WORKER)
        assert (worker["id"], worker["current_job_id"]) == (worker_id, running)
        assert is_s(worker["connected_at"])
        assert frame["connections"]["workers"] == [worker_id]
        assert frame["connections"]["monitors"] == [monitor.name]
        assert is_s(frame["timestamp"])
        place = [entry.message for entry in monitor.received].index(frame)
        ack = await monitor.expect("ack", original_type="stats_broadcast", original_id=frame["message_id"], after=place)
        assert is_s(ack["timestamp"])


async def test_the_hubs_monitors_are_shown_each_change_without_asking(isolated_stack: OwnStack) -> None:
    async with isolated_stack.monitor() as monitor, isolated_stack.modern() as client:
        await stats(monitor, lambda system: system["jobs"]["total"] == 0, ask=False)
        job_ids = [await client.submit(script(50)) for _ in range(3)]
        await stats(monitor, lambda system: system["jobs"]["status"] == {"pending": 3}, ask=False)
        await isolated_stack.worker()
        await stats(monitor, lambda system: system["jobs"]["status"] == {"completed": 3}, ask=False)
        await stats(monitor, lambda system: system["workers"]["total"] == 1, ask=False)
        for job_id in job_ids:
            await monitor.expect("complete_job", job_id=job_id)


async def test_the_hubs_monitors_hear_each_worker_become_busy_and_idle(request: pytest.FixtureRequest) -> None:
    """At once, with what happens to its jobs: the statistics come once a minute here."""
    stacks, seldom = ours(request, "a stack whose settings it can choose"), {"hubgate_stats_changed_ms": 60_000}
    with stacks.stack("seldom", settings=seldom) as own:
        worker = await own.worker()
        async with own.monitor() as monitor, own.modern() as client:
            for _ in range(3):
                place = len(monitor.received)
                job_id = await client.submit(script(50))
                for status in ("busy", "idle"):
                    told = await monitor.expect("worker_status", worker_id=worker.name, status=status, after=place)
                    assert is_s(told["timestamp"])
                await monitor.expect("complete_job", job_id=job_id, after=place)


@pytest.mark.timeout(60)
async def test_both_kinds_of_monitor_are_told_of_workers_that_come_and_go(isolated_stack: OwnStack) -> None:
    async with isolated_stack.monitor() as old, isolated_stack.monitor() as later, isolated_stack.modern() as client:
        await connect(later, ["workers", "jobs"])
        job_id = await client.submit({}, service="nobody")
        await client.cancel(job_id)
        # The API has then noticed that the queue was emptied: it tells what it may have missed by a full state.
        await later.expect("job_status_changed", job_id=job_id, new_status="cancelled")
        worker = await isolated_stack.worker("comes-and-goes", connector="simulation:services=draw")
        came = await later.expect("worker_connected", worker_id=worker.name)
        assert (came["worker_data"]["id"], came["worker_data"]["status"]) == (worker.name, "idle")
        assert came["worker_data"]["capabilities"]["services"] == ["draw", "simulation"]
        await old.expect("worker_status", worker_id=worker.name, status="idle")
        await asyncio.to_thread(worker.stop)
        went = await later.expect("worker_disconnected", worker_id=worker.name)
        assert is_ms(came["timestamp"])
        assert is_ms(went["timestamp"])
        await old.expect("worker_status", worker_id=worker.name, status="offline")


async def test_both_kinds_of_monitor_see_a_cancelled_running_job_end(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.monitor() as old, isolated_stack.monitor() as later, isolated_stack.modern() as client:
        await connect(later, ["jobs"])
        job_id = await client.submit(script(10, wait(60_000)))
        await reached(client, job_id)
        await client.cancel(job_id, "not needed")
        await old.wait_for(
            lambda frame: (
                frame.get("job_id") == job_id
                and (frame.get("type") == "fail_job" or frame.get("status") == "cancelled")
            ),
            "the end of the cancelled job",
        )
        told = await later.expect("job_status_changed", job_id=job_id, new_status="cancelled")
        assert told["reason"] == "not needed"


async def connect(monitor: Monitor, topics: list[str], **filters: Any) -> Frame:
    """Speak the later dialect; the full state that it was given."""
    now = int(time.time() * 1000)
    hello = {"type": "monitor_connect", "monitor_id": monitor.name, "request_full_state": True, "timestamp": now}
    await monitor.send(hello)
    await monitor.expect("monitor_connected", monitor_id=monitor.name)
    state = await monitor.expect("full_state_snapshot")
    await monitor.send({"type": "subscribe", "topics": topics, "filters": filters, "timestamp": now})
    await monitor.expect("subscribed")
    return state


async def test_the_later_monitors_are_shown_the_state_that_is_the_case(isolated_stack: OwnStack) -> None:
    jobs = await mixed_jobs(isolated_stack)
    async with isolated_stack.monitor() as monitor:
        state = await connect(monitor, ["system_stats"])
        assert is_ms(state["timestamp"])
        data = state["data"]
        shown = {name: {job["id"] for job in found} for name, found in data["jobs"].items()}
        assert shown["pending"] == set(jobs["pending"])
        assert shown["active"] == set(jobs["claimed"])
        assert shown["completed"] == set(jobs["completed"])
        over = {job["id"]: job["status"] for job in data["jobs"]["failed"]}
        assert over == {job_id: state for state in ("failed", "cancelled") for job_id in jobs[state]}
        assert all(is_ms(job["created_at"]) for found in data["jobs"].values() for job in found)
        assert set(data["workers"]) == set(jobs["workers"])
        has_schema(data["system_stats"], SYSTEM_STATS)
        wanted = {
            "total_workers": 1,
            "active_workers": 1,
            "pending_jobs": 3,
            "active_jobs": 1,
            "completed_jobs": 3,
            "failed_jobs": 1,
        }
        told = await monitor.wait_for(
            lambda frame: frame.get("type") == "system_stats" and wanted.items() <= frame["data"].items(),
            "the settled figures",
        )
        has_schema(told["data"], SYSTEM_STATS)
        await monitor.send({"type": "heartbeat", "timestamp": int(time.time() * 1000)})
        assert is_ms((await monitor.expect("heartbeat_ack"))["server_timestamp"])


LIFE: Final = ("job_submitted", "job_assigned", "job_progress", "job_completed")
FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "job_submitted": {"job_data": {"id": str, "job_type": str, "status": str, "priority": int, "created_at": NUMBER}},
    "job_assigned": {"worker_id": str, "old_status": str, "new_status": str, "assigned_at": NUMBER},
    "job_progress": {"worker_id": str, "progress": NUMBER},
    "job_completed": {"worker_id": str, "result": object, "completed_at": NUMBER},
    "job_failed": {"worker_id": str, "error": str, "failed_at": NUMBER},
}


async def test_the_later_monitors_are_told_of_a_job_in_order_and_may_read_it_again(isolated_stack: OwnStack) -> None:
    worker = await isolated_stack.worker()
    async with isolated_stack.monitor() as monitor, isolated_stack.modern() as client:
        began = int(time.time() * 1000) - 1_000
        await connect(monitor, ["jobs", "workers"])
        job_id = await client.submit(script(50, result="seen"))
        broken = await client.submit(script(fail("no")), max_retries=0)
        for kind in LIFE:
            has_schema(await monitor.expect(kind, job_id=job_id), FIELDS[kind])
        told = [frame for entry in monitor.received if (frame := entry.message).get("job_id") == job_id]
        assert [frame["type"] for frame in told] == list(LIFE)
        assert all(is_ms(frame["timestamp"]) for frame in told)
        assert (told[-1]["result"], told[-1]["worker_id"]) == ("seen", worker.name)
        has_schema(await monitor.expect("job_failed", job_id=broken), FIELDS["job_failed"])
        await monitor.expect("worker_status_changed", worker_id=worker.name, new_status="busy")
        await monitor.send({"type": "resync_request", "since_timestamp": began, "max_events": 100})
        again = await monitor.expect("resync_response")
        assert [event["type"] for event in again["events"] if event.get("job_id") == job_id] == list(LIFE)
        assert again["has_more"] is False
        last = again["events"][-1]
        await monitor.send({"type": "resync_request", "since_timestamp": last["timestamp"], "max_events": 100})
        once_more = await monitor.expect("resync_response", after=len(monitor.received))
        assert last in once_more["events"], "what else came in that ms would be missed"


async def test_the_later_monitors_are_told_of_what_they_asked_for_alone(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with (
        isolated_stack.monitor() as monitor,
        isolated_stack.monitor() as all_of_it,
        isolated_stack.monitor() as of_another_type,
        isolated_stack.modern() as client,
    ):
        await connect(monitor, ["jobs:status"], priority_range=[5, 9])
        await connect(of_another_type, ["jobs"], job_types=["thumbnail"])
        await connect(all_of_it, ["jobs"])
        low, high = await client.submit(script(50)), await client.submit(script(50), priority=7)
        for job_id in (low, high):
            await all_of_it.expect("job_completed", job_id=job_id)
        await monitor.expect("job_completed", job_id=high)
        assert monitor.messages(job_id=low) == []
        assert monitor.messages("job_progress") == []
        assert [of_another_type.messages(job_id=job_id) for job_id in (low, high)] == [[], []]
        async with asyncio.timeout(5):
            await all_of_it.expect("job_progress", job_id=high)


async def test_each_kind_of_monitor_is_warned_of_old_clients_by_its_own_clock(request: pytest.FixtureRequest) -> None:
    stacks = ours(request, "a stack whose settings it can choose")
    notice = {"hubgate_deprecation": "notice = [{deprecated = 2026-01-02}]"}
    with stacks.stack("warned", settings=notice) as own:
        async with own.monitor() as old, own.monitor() as later:
            await connect(later, ["workers", "jobs"])
            async with own.legacy() as client:
                warned = await old.expect("deprecation_warning", client_id=client.name)
                assert is_s(warned["timestamp"])
                warned = await later.expect("deprecation_warning", client_id=client.name)
                assert is_ms(warned["timestamp"])
