"""Whether this process lives and can serve, and the figures of queue, workers and connections."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from new_stack.api.http.http_io import answer
from new_stack.api.http.metrics import CONTENT_TYPE
from new_stack.api.http.problems import unavailable
from new_stack.api.http.schemas import worker_view
from new_stack.api.services import SERVICES
from new_stack.queue.errors import QueueUnavailable


async def root(_request: web.Request) -> web.Response:
    """GET /: the answer with which the hub says that it runs."""
    return answer({"status": "ok", "message": "WebSocket Queue API is running"})


async def live(_request: web.Request) -> web.Response:
    """GET /health/live: the process answers; restarting it would not help more than waiting."""
    return answer({"status": "live"})


async def ready(request: web.Request) -> web.Response:
    """GET /health/ready and /health: Redis answers, and this process is not about to stop."""
    services = request.app[SERVICES]
    if services.stopping.is_set():
        raise unavailable("this server is shutting down")
    return answer({"status": "ready", "redis_ms": round(await services.queue.ping(), 3)})


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, for Prometheus; without the queue's gauges while Redis is away."""
    services = request.app[SERVICES]
    try:
        snapshot = await services.snapshots.take()
    except QueueUnavailable:
        snapshot = None
    page = services.metrics.page(services.fanout.figures(), services.connections.counts(), snapshot)
    return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})


async def stats(request: web.Request) -> web.Response:
    """GET /api/stats."""
    services = request.app[SERVICES]
    snapshot = await services.snapshots.take()
    alive = [worker for worker in snapshot.workers if worker.alive]
    busy = sum(1 for worker in alive if worker.report.running)
    workers = {"total": len(snapshot.workers), "alive": len(alive), "busy": busy}
    figures: dict[str, Any] = {"queue": snapshot.counts, "workers": workers}
    return answer(figures | {"connections": services.connections.counts()})


async def workers(request: web.Request) -> web.Response:
    """GET /api/workers."""
    snapshot = await request.app[SERVICES].snapshots.take()
    return answer({"workers": [worker_view(worker) for worker in snapshot.workers]})
