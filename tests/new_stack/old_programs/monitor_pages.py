"""The monitor pages of both times: what each keeps of what it is sent, and so what it shows."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect

DEADLINE_S = 5


class ActiveJob(msgspec.Struct, kw_only=True):
    """A row of the old page's table of jobs."""

    id: str
    job_type: str
    status: str
    priority: int
    worker_id: str | None
    created_at: float
    updated_at: float
    progress: float | None


class ActiveWorker(msgspec.Struct, kw_only=True):
    """A row of the old page's table of workers."""

    id: str
    status: str
    connected_at: float
    jobs_processed: int
    last_heartbeat: float
    current_job_id: str
    capabilities: dict[str, Any] | None = None


class Jobs(msgspec.Struct, kw_only=True):
    total: int
    status: dict[str, int]
    active_jobs: list[ActiveJob] = []


class Workers(msgspec.Struct, kw_only=True):
    total: int
    status: dict[str, int]
    active_workers: list[ActiveWorker] = []


class System(msgspec.Struct, kw_only=True):
    queues: dict[str, int]
    jobs: Jobs
    workers: Workers


class Stats(msgspec.Struct, kw_only=True):
    timestamp: float
    connections: dict[str, list[str]]
    workers: dict[str, dict[str, Any]]
    subscriptions: dict[str, Any]
    system: System


class _Page:
    """A page with its connection; a task applies each message to what the page shows."""

    def __init__(self, ws_url: str, name: str) -> None:
        self._url = f"{ws_url}/ws/monitor/{name}"
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.seen: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._socket = await connect(self._url, max_size=None)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._socket is not None
        assert self._reader is not None
        await self._socket.close()
        await self._reader

    async def send(self, type_: str, **fields: Any) -> None:
        assert self._socket is not None
        await self._socket.send(json.dumps({"type": type_, **fields}))

    async def shows(self, fact: Callable[[Self], Any], *, within_s: float = DEADLINE_S) -> Any:
        """Wait until the page shows it; what `fact` answered."""
        async with asyncio.timeout(within_s):
            while not (answer := fact(self)):
                self._changed.clear()
                await self._changed.wait()
                assert self._reader is not None
                if self._reader.done():
                    await self._reader
        return answer

    def types(self) -> list[str]:
        return [message["type"] for message in self.seen]

    def apply(self, message: dict[str, Any]) -> None:
        raise NotImplementedError

    async def _read(self) -> None:
        assert self._socket is not None
        try:
            async for text in self._socket:
                message = json.loads(text)
                self.seen.append(message)
                self.apply(message)
                self._changed.set()
        finally:
            self._changed.set()


class OldMonitorPage(_Page):
    """The hub's page. It fills its menu of job types from the workers' capabilities."""

    def __init__(self, ws_url: str, name: str = "page") -> None:
        super().__init__(ws_url, name)
        self.stats: Stats | None = None
        self.job_types: set[str] = set()
        self.worker_status: dict[str, list[str]] = {}
        self.service_requests: list[dict[str, Any]] = []
        self.ended: dict[str, str] = {}

    def apply(self, message: dict[str, Any]) -> None:
        job_id = message.get("job_id", "")
        match message["type"]:
            case "stats_broadcast":
                self.stats = msgspec.convert(message, Stats)
                for worker in self.stats.workers.values():
                    self.job_types |= set((worker.get("capabilities") or {}).get("supported_job_types") or [])
            case "worker_status":
                self.worker_status.setdefault(message["worker_id"], []).append(message["status"])
            case "service_request":
                assert set(message["content"]) >= {"endpoint", "method", "url", "payload"}
                assert all(message[name] for name in ("job_id", "worker_id", "service", "request_type"))
                self.service_requests.append(message)
            case "complete_job":
                self.ended[job_id] = "completed"
            case "fail_job":
                self.ended[job_id] = "failed"
            case "response_job_status" if message["status"] in {"completed", "failed", "cancelled"}:
                self.ended[job_id] = message["status"]

    def worker(self, worker_id: str) -> ActiveWorker | None:
        rows = self.stats.system.workers.active_workers if self.stats else []
        return next((row for row in rows if row.id == worker_id), None)

    def job(self, job_id: str) -> ActiveJob | None:
        rows = self.stats.system.jobs.active_jobs if self.stats else []
        return next((row for row in rows if row.id == job_id), None)


class LaterMonitorPage(_Page):
    """The later page: one full state, then events that change it. Every time is a number of ms."""

    TOPICS = ("workers", "jobs", "jobs:progress", "jobs:status", "system_stats", "heartbeat")

    def __init__(self, ws_url: str, name: str = "page") -> None:
        super().__init__(ws_url, name)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.workers: dict[str, dict[str, Any]] = {}
        self.system_stats: dict[str, int] = {}
        self.greeted: dict[str, Any] = {}
        self.worker_changes: list[tuple[str, str, str]] = []
        self.heartbeats: list[float] = []
        self.service_requests: list[dict[str, Any]] = []

    async def connect(self) -> None:
        """Ask for the full state, then subscribe to everything."""
        now = _now_ms()
        await self.send("monitor_connect", monitor_id="page", request_full_state=True, timestamp=now)
        await self.shows(lambda page: page.system_stats)
        await self.send("subscribe", topics=list(self.TOPICS), timestamp=now)

    def apply(self, message: dict[str, Any]) -> None:
        if message["type"] in {"connection_established", "stats_broadcast", "ack"}:
            return  # the server does not know yet which page this is
        assert _is_ms(message["timestamp"]), message
        if message["type"].startswith("worker_"):
            self._apply_to_worker(message)
        elif message["type"].startswith("job_"):
            self._apply_to_job(self._job(message["job_id"]), message)
        else:
            self._apply_to_system(message)

    def _apply_to_system(self, message: dict[str, Any]) -> None:
        data = message.get("data", {})
        match message["type"]:
            case "system_status" if data.get("type") == "heartbeat":
                self.heartbeats.append(data["server_time"])
            case "system_status":
                self.greeted = data
            case "service_request":
                self.service_requests.append(message)
            case "full_state_snapshot":
                self._take_snapshot(data)

    def _apply_to_job(self, job: dict[str, Any], message: dict[str, Any]) -> None:
        match message["type"]:
            case "job_submitted":
                job.update(message["job_data"])
            case "job_assigned":
                job.update(status="active", worker_id=message["worker_id"])
            case "job_progress":
                job.update(status="active", progress=float(message["progress"]))
            case "job_status_changed":
                job.update(status=message["new_status"])
            case "job_completed":
                assert _is_ms(message["completed_at"])
                job.update(status="completed", result=message["result"])
            case "job_failed":
                assert _is_ms(message["failed_at"])
                job.update(status="failed", error=message["error"])

    def _apply_to_worker(self, message: dict[str, Any]) -> None:
        worker_id = message["worker_id"]
        match message["type"]:
            case "worker_connected":
                self.workers[worker_id] = dict(message["worker_data"])
            case "worker_status_changed":
                self.worker_changes.append((worker_id, message["old_status"], message["new_status"]))
            case "worker_disconnected":
                self.workers.pop(worker_id, None)

    def _take_snapshot(self, data: dict[str, Any]) -> None:
        self.workers = dict(data["workers"])
        for jobs in data["jobs"].values():
            for job in jobs:
                assert _is_ms(job["created_at"])
                self.jobs[job["id"]] = dict(job)
        self.system_stats = data["system_stats"]

    def _job(self, job_id: str) -> dict[str, Any]:
        return self.jobs.setdefault(job_id, {"id": job_id})


def _is_ms(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 1e12 < value < 1e14


def _now_ms() -> int:
    return int(time.time() * 1000)
