"""A small stack that is not ours: its own words, its own keys, its own faults. `FAULTS` names what is wrong with it.

Keys: `jobs:pending:<service>` (ids by score), `job:<id>` (fields), `job:<id>:events` (a list of JSON), `jobs:active`
(job to worker), `worker:<id>:alive` (expires). Its API is the only one that puts back what a dead worker had.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import sys
import time
import uuid
from typing import Any

import redis.asyncio
from aiohttp import WSMsgType, web

FAULTS = set(filter(None, os.environ.get("FAULTS", "").split(",")))
ENDED = ("completed", "failed", "cancelled")


def score(priority: int) -> float:
    """Sound: workers take the lowest. With `newest-first` they take the highest of priority and clock."""
    if "newest-first" in FAULTS:
        return priority * 1000 + time.time()
    return -priority * 1e10 + time.time()


class Stack:
    def __init__(self, url: str) -> None:
        self.redis: Any = redis.asyncio.Redis.from_url(url, decode_responses=True)

    async def submit(self, job: dict[str, Any]) -> str:
        job_id = str(job.get("id") or uuid.uuid4())
        service, priority = str(job["service_required"]), int(job.get("priority") or 0)
        fields = {"id": job_id, "service_required": service, "priority": priority, "status": "pending"}
        await self.redis.hset(
            f"job:{job_id}", mapping=fields | {"payload": json.dumps(job.get("payload")), "retries": 0}
        )
        await self.redis.zadd(f"jobs:pending:{service}", {job_id: score(priority)})
        return job_id

    async def job(self, job_id: str) -> dict[str, Any] | None:
        fields = await self.redis.hgetall(f"job:{job_id}")
        return fields and fields | {"result": json.loads(fields.get("result", "null"))}

    async def cancel(self, job_id: str, reason: str = "") -> bool:
        job = await self.job(job_id)
        if job is None or job["status"] in ENDED:
            return False
        if "no-cancel" not in FAULTS:
            await self.redis.zrem(f"jobs:pending:{job['service_required']}", job_id)
            await self.redis.hset(f"job:{job_id}", mapping={"status": "cancelled", "reason": reason})
            await self.redis.rpush(f"job:{job_id}:events", json.dumps({"status": "cancelled", "reason": reason}))
        return True

    async def events(self, job_id: str) -> Any:
        """All that happened to a job and happens from now on, up to its end."""
        place = 0
        while True:
            for text in await self.redis.lrange(f"job:{job_id}:events", place, -1):
                event, place = json.loads(text), place + 1
                if "no-progress" in FAULTS and event["status"] == "in_progress" and "progress" in event:
                    continue  # written, and nobody is ever told
                yield event
                if event["status"] in ENDED:
                    return
            await asyncio.sleep(0.01)

    async def reap(self) -> None:
        """Put back the jobs of workers whose sign of life ran out."""
        while "lost-at-sigkill" not in FAULTS:
            for job_id, worker in (await self.redis.hgetall("jobs:active")).items():
                if not await self.redis.exists(f"worker:{worker}:alive"):
                    job = await self.job(job_id)
                    await self.redis.hdel("jobs:active", job_id)
                    if job and job["status"] not in ENDED:
                        await self.redis.hset(f"job:{job_id}", "status", "pending")
                        pending = f"jobs:pending:{job['service_required']}"
                        await self.redis.zadd(pending, {job_id: score(int(job["priority"]))})
            await asyncio.sleep(0.2)


STACK = web.AppKey("stack", Stack)


async def submit(request: web.Request) -> web.Response:
    return web.json_response({"success": True, "job_id": await request.app[STACK].submit(await request.json())})


async def ask(request: web.Request) -> web.Response:
    job = await request.app[STACK].job(request.match_info["id"])
    return web.json_response({"job": job}) if job else web.json_response({"error": "no such job"}, status=404)


async def cancel(request: web.Request) -> web.Response:
    done = await request.app[STACK].cancel(request.match_info["id"])
    return web.json_response({"success": done}, status=200 if done else 409)


async def progress(request: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    job_id = request.match_info["id"]
    async for event in request.app[STACK].events(job_id):
        if request.transport is None:
            break
        now = dt.datetime.now(dt.UTC).isoformat()
        data = {"type": "progress", "job_id": job_id, "data": event, "timestamp": now}
        await stream.write(f"data: {json.dumps(data)}\n\n".encode())
    return stream


class HubClient:
    """A client of the old hub, in its words."""

    def __init__(self, stack: Stack, socket: web.WebSocketResponse) -> None:
        self.stack, self.socket = stack, socket
        self.tasks: list[asyncio.Task[None]] = []

    async def tell(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind, "timestamp": time.time(), **fields})

    async def follow(self, job_id: str) -> None:
        async for event in self.stack.events(job_id):
            by: dict[str, Any] = {"job_id": job_id, "worker_id": event.get("worker_id")}
            match event["status"]:
                case "assigned":
                    await self.tell("response_job_status", **status_of(job_id, "processing", by["worker_id"]))
                case "in_progress":
                    told = {"progress": event["progress"], "status": "processing", "message": event.get("message")}
                    await self.tell("update_job_progress", **by, **told, connector_details=event.get("details"))
                case "completed":
                    await self.tell("complete_job", **by, result=event["result"])
                case "cancelled":
                    await self.cancelled(job_id, event["reason"])
                case _:
                    await self.tell("fail_job", **by, error=event["error"])

    async def cancelled(self, job_id: str, reason: str) -> None:
        why = {"message": f"Job cancelled: {reason}"}
        await self.tell("response_job_status", **status_of(job_id, "cancelled") | why)

    async def submit_job(self, frame: dict[str, Any]) -> None:
        job = {"service_required": frame["job_type"], "id": frame.get("message_id")}
        job_id = await self.stack.submit(job | {name: frame.get(name) for name in ("payload", "priority")})
        kind = "job_submitted" if "job-submitted" in FAULTS else "job_accepted"
        placed = {"status": "pending", "position": 1, "estimated_start": None, "notified_workers": 0}
        await self.tell(kind, job_id=job_id, **placed)
        self.tasks.append(asyncio.create_task(self.follow(job_id)))

    async def subscribe_job(self, frame: dict[str, Any]) -> None:
        await self.tell("subscription_confirmed", job_id=frame["job_id"], monitor_id=None, channels=None)
        self.tasks.append(asyncio.create_task(self.follow(frame["job_id"])))

    async def request_job_status(self, frame: dict[str, Any]) -> None:
        job_id = frame["job_id"]
        job = await self.stack.job(job_id) or {"status": "unknown", "result": None}
        state = {"assigned": "claimed", "in_progress": "claimed"}.get(job["status"], job["status"])
        ended = {"completed_at": time.time() if state == "completed" else None, "result": job["result"]}
        ended |= {"message": f"Job cancelled: {job['reason']}"} if "reason" in job else {}
        await self.tell("response_job_status", **status_of(job_id, state, job.get("worker_id")) | ended)

    async def cancel_job(self, frame: dict[str, Any]) -> None:
        await self.stack.cancel(frame["job_id"], frame["reason"])
        await self.cancelled(frame["job_id"], frame["reason"])


async def hub_client(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    client = HubClient(request.app[STACK], socket)
    await socket.send_json({"type": "connection_established", "message": "Welcome"})
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            frame = json.loads(message.data)
            await getattr(client, frame["type"])(frame)
    for task in client.tasks:
        task.cancel()
    return socket


def status_of(job_id: str, status: str, worker_id: str | None = None) -> dict[str, Any]:
    empty = dict.fromkeys(("progress", "started_at", "completed_at", "result", "message"))
    return {"job_id": job_id, "status": status, "worker_id": worker_id, **empty}


async def begin(app: web.Application) -> None:
    app[web.AppKey("reaper", object)] = asyncio.create_task(app[STACK].reap())


def main() -> None:
    port, url = int(sys.argv[1]), sys.argv[2]
    app = web.Application()
    app[STACK] = Stack(url)
    app.add_routes(
        [
            web.get("/health", lambda _: web.json_response({"ok": True})),
            web.post("/api/jobs", submit),
            web.get("/api/jobs/{id}", ask),
            web.post("/api/jobs/{id}/cancel", cancel),
            web.get("/api/jobs/{id}/progress", progress),
            web.get("/ws/client/{name}", hub_client),
        ]
    )
    app.on_startup.append(begin)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main()
