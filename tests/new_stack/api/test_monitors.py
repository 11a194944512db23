"""Monitors, in the hub's dialect and in the later one."""

from __future__ import annotations

from typing import Any

from new_stack.api.streaming.fanout import SNAPSHOTS
from new_stack.queue import Failed, WorkerReport

from .conftest import Api, Socket, StartApi, Work


async def monitor(api: Api, name: str = "monitor-a") -> Socket:
    socket = await api.socket(f"/ws/monitor/{name}")
    assert await socket.receive_types(3) == ["connection_established", "stats_broadcast", "ack"]
    return socket


async def test_a_monitor_is_greeted_with_stats_and_their_ack(api: Api) -> None:
    socket = await api.socket("/ws/monitor/monitor-a")
    greeting, stats, ack = [await socket.receive() for _ in range(3)]
    assert greeting["message"] == "Welcome Monitor monitor-a! Connected to Redis Hub"
    assert {name: stats[name] for name in ("connections", "workers", "subscriptions", "system")} == {
        "connections": {"clients": [], "workers": [], "monitors": ["monitor-a"]},
        "workers": {},
        "subscriptions": {"stats": [], "job_notifications": [], "jobs": {}},
        "system": {
            "queues": {"priority": 0, "standard": 0, "total": 0},
            "jobs": {"total": 0, "status": {}, "active_jobs": []},
            "workers": {"total": 0, "status": {}, "active_workers": []},
        },
    }
    assert stats["message_id"].startswith("stats-")
    assert (ack["original_id"], ack["original_type"]) == (stats["message_id"], "stats_broadcast")


async def test_stats_list_the_newest_hundred_and_count_all(api: Api) -> None:
    jobs = [await api.submit() for _ in range(102)]
    socket = await api.socket("/ws/monitor/monitor-a")
    shown = (await socket.until("stats_broadcast"))["system"]["jobs"]
    assert {job["id"] for job in shown["active_jobs"]} == set(jobs[2:])
    assert (shown["total"], shown["status"]) == (102, {"pending": 102})


async def test_a_monitor_sees_every_job_with_its_client(api: Api, work: Work) -> None:
    socket = await monitor(api)
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", payload={})
    job_id = (await client.receive())["job_id"]
    await work.whole_job(25)
    seen = [await socket.receive() for _ in range(3)]
    assert [message["type"] for message in seen] == ["response_job_status", "update_job_progress", "complete_job"]
    assert {(message["job_id"], message["client_id"]) for message in seen} == {(job_id, "client-a")}


async def test_small_talk_with_a_monitor(api: Api) -> None:
    socket = await monitor(api)
    channels = ["worker_status", "stats_broadcast"]
    await socket.send(type="subscribe", channels=channels)
    bare, full, stats, ack = [await socket.receive() for _ in range(4)]
    assert bare == {"type": "subscription_confirmed", "channels": channels}
    assert full | {"timestamp": 0} == {
        "type": "subscription_confirmed",
        "timestamp": 0,
        "job_id": "monitor-subscription",
        "monitor_id": "monitor-a",
        "channels": channels,
    }
    assert stats["system"]["jobs"] == {"total": 0, "status": {}}
    assert ack["type"] == "ack"
    await socket.send(type="get_system_status")
    assert await socket.receive_types(2) == ["stats_broadcast", "ack"]
    await socket.send(type="stay_alive")
    assert set(await socket.receive()) == {"type", "timestamp"}
    for message, error in (
        ({"type": "dance"}, "dance"),
        ({"x": 1}, "None"),
        ({"type": "request_stats"}, "request_stats"),
    ):
        await socket.raw.send_json(message)
        assert await socket.receive() == {"type": "error", "error": f"Unsupported message type: {error}"}
    await socket.raw.send_str("{not json")
    assert (await socket.receive())["error"] == "Invalid JSON format"
    await socket.raw.send_str("[]")
    assert (await socket.receive())["error"].endswith("'list' object has no attribute 'get'")


async def test_stats_come_when_something_changed_and_now_and_then_anyway(start_api: StartApi) -> None:
    api = await start_api(stats_changed_ms=50, stats_idle_ms=60_000)
    socket = await monitor(api)
    await api.submit()
    stats = await socket.until("stats_broadcast")
    assert stats["system"]["jobs"]["status"] == {"pending": 1}
    assert await socket.receive_types(1) == ["ack"]
    assert await socket.silent(0.2)
    often = await monitor(await start_api(stats_changed_ms=50, stats_idle_ms=100))
    assert await often.receive_types(4) == ["stats_broadcast", "ack"] * 2


async def test_channels_filter_broadcasts_but_not_jobs(start_api: StartApi, work: Work) -> None:
    api = await start_api(stats_changed_ms=30, stats_idle_ms=60)
    socket = await monitor(api)
    await socket.send(type="subscribe", channels=["worker_status"])
    await socket.receive_types(4)
    other = api.services.fanout.subscriber()
    api.services.fanout.follow(other, SNAPSHOTS)
    assert await other.take(10)
    assert await other.take(10)
    api.services.fanout.remove(other)
    await api.submit()
    await work.whole_job()
    assert await socket.receive_types(2) == ["response_job_status", "complete_job"]


async def test_a_workers_new_status_is_told_and_acknowledged(start_api: StartApi, work: Work) -> None:
    api = await start_api(stats_changed_ms=50)
    await work.queue.heartbeat(WorkerReport(worker_id="worker-a", status="idle"))
    socket = await monitor(api)
    await work.queue.heartbeat(WorkerReport(worker_id="worker-a", status="busy"))
    told = await socket.until("worker_status")
    assert (told["worker_id"], told["status"], told["capabilities"]) == ("worker-a", "busy", None)
    ack = await socket.receive()
    assert (ack["original_id"], ack["original_type"]) == (told["message_id"], "worker_status")


# the later dialect
async def later(api: Api, *topics: str, path: str = "/ws/monitor/m", **filters: Any) -> Socket:
    socket = await api.socket(path)
    await socket.receive()
    await socket.send(type="monitor_connect", monitor_id="m", request_full_state=False, timestamp=1)
    assert (await socket.until("monitor_connected"))["monitor_id"] == "m"
    if topics:
        await socket.send(type="subscribe", topics=list(topics), filters=filters, timestamp=2)
        await socket.until("subscribed")
    return socket


async def test_a_full_state_shows_workers_jobs_and_figures(api: Api, work: Work) -> None:
    done = await api.submit()
    await work.whole_job()
    failed = await api.submit(max_retries=0)
    await work.queue.end(Failed(lease=await work.claim(), error="broken"))
    active = await api.submit()
    await work.claim()
    pending = await api.submit(priority=2)
    await work.queue.heartbeat(WorkerReport(worker_id="worker-a", status="busy", running=(active,)))
    socket = await api.socket("/ws/monitor/m")
    await socket.send(type="monitor_connect", monitor_id="m", request_full_state=True, timestamp=1)
    state = (await socket.until("full_state_snapshot"))["data"]
    jobs = {name: [job["id"] for job in found] for name, found in state["jobs"].items()}
    assert jobs == {"pending": [pending], "active": [active], "completed": [done], "failed": [failed]}
    assert state["workers"]["worker-a"]["current_job_id"] == active
    assert state["system_stats"] == {
        "total_workers": 1,
        "active_workers": 1,
        "total_jobs": 4,
        "pending_jobs": 1,
        "active_jobs": 1,
        "completed_jobs": 1,
        "failed_jobs": 1,
    }


async def test_nothing_is_sent_before_a_subscription(api: Api, work: Work) -> None:
    socket = await later(api)
    await api.submit()
    await work.whole_job()
    assert await socket.silent()


async def test_a_jobs_life_in_the_later_dialect(api: Api, work: Work) -> None:
    socket = await later(api, "jobs", path="/")
    job_id = await api.submit(payload={"prompt": "a cat"})
    await work.whole_job(40)
    submitted, assigned, progress, completed = [await socket.receive() for _ in range(4)]
    assert submitted["type"] == "job_submitted"
    assert submitted["job_data"]["payload"] == {"prompt": "a cat"}
    assert (submitted["job_data"]["id"], submitted["job_data"]["status"]) == (job_id, "pending")
    assert (assigned["type"], assigned["old_status"], assigned["new_status"]) == ("job_assigned", "pending", "assigned")
    assert (progress["type"], progress["progress"], progress["worker_id"]) == ("job_progress", 40, "worker-a")
    assert (completed["type"], completed["result"]) == ("job_completed", {"status": "success"})
    times = (assigned["assigned_at"], completed["completed_at"], submitted["timestamp"])
    assert all(isinstance(time, int) and time > 10**12 for time in times)


async def test_a_failed_attempt_is_a_change_of_status_and_only_the_last_is_a_failure(api: Api, work: Work) -> None:
    socket = await later(api, "jobs:status")
    await api.submit(max_retries=0)
    await work.queue.end(Failed(lease=await work.claim(), error="broken"))
    again = await api.submit()
    await work.queue.end(Failed(lease=await work.claim(), error="CUDA out of memory"))
    seen = [await socket.receive() for _ in range(6)]
    assert [message["type"] for message in seen] == [
        "job_submitted",
        "job_assigned",
        "job_failed",
        "job_submitted",
        "job_assigned",
        "job_status_changed",
    ]
    assert (seen[2]["error"], seen[5]["new_status"], seen[5]["reason"]) == ("broken", "pending", "CUDA out of memory")
    assert seen[5]["job_id"] == again


async def test_topics_and_filters_hold(api: Api, work: Work) -> None:
    socket = await later(api, "jobs:progress", job_types=["image"], priority_range=[1, 5])
    for service, priority in (("image", 0), ("simulation", 3), ("image", 3)):
        last = await api.submit(service_required=service, priority=priority)
    for _ in range(3):
        await work.whole_job(50)
    only = await socket.receive()
    assert (only["type"], only["job_id"]) == ("job_progress", last)
    assert await socket.silent()
    await socket.send(type="subscribe", topics=["dancing"])
    assert "dancing" in (await socket.receive())["error"]


async def test_a_monitor_may_follow_single_workers(start_api: StartApi, work: Work) -> None:
    api = await start_api(stats_changed_ms=50)
    socket = await later(api, "jobs:progress", "workers", worker_ids=["worker-b"])
    for name in ("worker-a", "worker-b"):
        await work.queue.heartbeat(WorkerReport(worker_id=name, status="idle"))
    assert (await socket.until("worker_connected"))["worker_id"] == "worker-b"
    for name, percent in (("worker-a", 10), ("worker-b", 20)):
        await api.submit()
        await Work(work.queue, name).whole_job(percent)
    busy, step, idle = [await socket.receive() for _ in range(3)]
    assert {message["worker_id"] for message in (busy, step, idle)} == {"worker-b"}
    assert (busy["new_status"], step["progress"], idle["new_status"]) == ("busy", 20, "idle")
    assert await socket.silent()


async def test_a_full_state_holds_the_last_hundred_that_completed_and_that_failed(api: Api, work: Work) -> None:
    done = [await api.submit() for _ in range(103)]
    for _ in done:
        await work.whole_job()
    failed = [await api.submit(max_retries=0) for _ in range(102)]
    for _ in failed:
        await work.queue.end(Failed(lease=await work.claim(), error="broken"))
    socket = await api.socket("/ws/monitor/m")
    await socket.send(type="monitor_connect", monitor_id="m", request_full_state=True, timestamp=1)
    state = (await socket.until("full_state_snapshot"))["data"]
    jobs = {name: [job["id"] for job in found] for name, found in state["jobs"].items()}
    assert jobs == {"pending": [], "active": [], "completed": done[:2:-1], "failed": failed[:1:-1]}
    assert (state["system_stats"]["completed_jobs"], state["system_stats"]["failed_jobs"]) == (103, 102)


async def test_workers_come_change_and_go(start_api: StartApi, work: Work) -> None:
    api = await start_api(stats_changed_ms=50)
    socket = await later(api, "workers")
    await work.queue.heartbeat(WorkerReport(worker_id="worker-a", status="idle"))
    assert (await socket.until("worker_connected"))["worker_data"]["status"] == "idle"
    await work.queue.heartbeat(WorkerReport(worker_id="worker-a", status="busy", running=("j",)))
    changed = await socket.receive()
    assert (changed["type"], changed["old_status"], changed["new_status"], changed["current_job_id"]) == (
        "worker_status_changed",
        "idle",
        "busy",
        "j",
    )
    await work.queue.unregister("worker-a")
    assert (await socket.receive())["type"] == "worker_disconnected"


async def test_heartbeat_and_resync(api: Api, work: Work) -> None:
    await api.submit()
    await work.whole_job(10)
    socket = await later(api)
    await socket.send(type="heartbeat", timestamp=5)
    assert isinstance((await socket.receive())["server_timestamp"], int)
    await socket.send(type="resync_request", since_timestamp=0, max_events=3)
    answer = await socket.receive()
    assert [event["type"] for event in answer["events"]] == ["job_submitted", "job_assigned", "job_progress"]
    assert answer["has_more"]
    assert answer["oldest_available_timestamp"] <= answer["events"][0]["timestamp"]
    await socket.send(type="resync_request", since_timestamp=answer["events"][-1]["timestamp"] + 1_000)
    assert await socket.receive() | {"timestamp": 0} == {
        "type": "resync_response",
        "timestamp": 0,
        "events": [],
        "has_more": False,
        "oldest_available_timestamp": answer["oldest_available_timestamp"],
    }


async def test_a_client_of_the_later_dialect(api: Api, work: Work) -> None:
    client = await api.socket("/")
    assert (await client.receive())["type"] == "connection_established"
    job = {"job_type": "simulation", "payload": {"prompt": "a cat"}, "priority": 1}
    await client.send(type="submit_job", id="message-1", data=job)
    connected, submitted = await client.receive(), await client.receive()
    assert connected["type"] == "connected"
    assert connected["client_id"].startswith("client-")
    assert (submitted["type"], submitted["message_id"]) == ("job_submitted", "message-1")
    assert submitted["timestamp"].endswith("Z")
    job_id = submitted["job_id"]
    await client.send(type="subscribe_progress", job_id=job_id)
    assert (await client.receive())["type"] == "subscribed"
    lease = await work.claim()
    await work.progress(lease, 40)
    claimed, progress = await client.receive(), await client.receive()
    assert (claimed["type"], claimed["data"]["status"]) == ("progress", "processing")
    assert progress["job_id"] == job_id
    assert progress["data"] | {"timestamp": ""} == {
        "progress": "40",
        "status": "processing",
        "message": "step 40",
        "worker_id": "worker-a",
        "timestamp": "",
    }
    await client.send(type="unsubscribe_progress", job_id=job_id)
    assert (await client.receive())["type"] == "unsubscribed"
    await work.complete(lease)
    assert await client.silent()
    await client.send(type="get_job_status", job_id=job_id)
    status = (await client.receive())["job"]
    assert (status["status"], status["payload"], status["result"]) == (
        "completed",
        {"prompt": "a cat"},
        {"status": "success"},
    )
    await client.send(type="get_job_status", job_id="nowhere")
    assert (await client.receive())["error"] == "Job nowhere not found"
