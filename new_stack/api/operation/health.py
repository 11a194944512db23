"""Whether this process lives and can serve, and the figures of queue, workers and connections."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web

from new_stack.api.http.http_io import answer
from new_stack.api.http.problems import unavailable
from new_stack.api.services import SERVICES, Services
from new_stack.api.snapshot import Snapshot
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.jobs import WorkerInfo

READY_SECONDS: Final = 4.0
REASONS: Final = {
    "READONLY": "Redis is read-only. ",
    "is a replica": "Redis is read-only. ",
    "OOM": "Redis is full. ",
    "NOREPLICAS": "Redis has too few replicas. ",
    "MISCONF": "Redis cannot save to its disk. ",
    "Function not found": "Redis has lost the queue's functions. ",
}
"""What Redis's refusals mean."""


async def live(_request: web.Request) -> web.Response:
    """GET /health/live: the process answers; restarting it would not help more than waiting."""
    return answer({"status": "live"})


async def ready(request: web.Request) -> web.Response:
    """GET /health/ready and /health: a job could be submitted now, and this process is not about to stop.

    Raises a 503 problem that says why not. That no worker is there is no reason: jobs may wait.
    """
    services = request.app[SERVICES]
    if services.stopping.is_set():
        raise unavailable("this server is shutting down")
    try:
        async with asyncio.timeout(READY_SECONDS):
            took = await services.queue.check_writable()
    except TimeoutError:
        raise unavailable(f"Redis has not answered for {READY_SECONDS:g} s") from None
    except QueueUnavailable as error:
        meaning = next((words for mark, words in REASONS.items() if mark in error.detail), "")
        raise unavailable(f"{meaning}{error}") from None
    return answer({"status": "ready", "redis_ms": round(took, 3)})


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, for Prometheus; without the queue's gauges while Redis is away."""
    services = request.app[SERVICES]
    try:
        snapshot = await services.snapshots.take()
    except QueueUnavailable:
        snapshot = None
    from new_stack.api.operation import exposition  # noqa: PLC0415 - 1.6 MB that only a process that is scraped needs

    figures, connections = services.fanout.figures(), services.connections.counts()
    page = exposition.page(services.metrics, figures, connections, snapshot)
    return web.Response(body=page, headers={"Content-Type": exposition.CONTENT_TYPE})


async def stats(request: web.Request) -> web.Response:
    """GET /api/stats."""
    services = request.app[SERVICES]
    return answer(figures_of(services, await services.snapshots.take()))


def figures_of(services: Services, snapshot: Snapshot) -> dict[str, Any]:
    """The figures of queue, workers and connections."""
    alive = [worker for worker in snapshot.workers if worker.alive]
    busy = sum(1 for worker in alive if worker.report.running)
    workers = {"total": len(snapshot.workers), "alive": len(alive), "busy": busy}
    return {"queue": snapshot.counts, "workers": workers, "connections": services.connections.counts()}


async def workers(request: web.Request) -> web.Response:
    """GET /api/workers."""
    snapshot = await request.app[SERVICES].snapshots.take()
    return answer({"workers": [_worker(worker) for worker in snapshot.workers]})


def _worker(worker: WorkerInfo) -> dict[str, Any]:
    """A worker as it last reported."""
    known = {
        "alive": worker.alive,
        "registered_at": worker.registered_at,
        "seen_at": worker.seen_at,
        "draining_since": worker.draining_since,
    }
    return msgspec.structs.asdict(worker.report) | known


ROUTES: Final = (
    ("GET", "/health", ready),
    ("GET", "/health/live", live),
    ("GET", "/health/ready", ready),
    ("HEAD", "/health", ready),
    ("HEAD", "/health/live", live),
    ("GET", "/metrics", metrics),
    ("GET", "/api/stats", stats),
    ("GET", "/api/workers", workers),
)
