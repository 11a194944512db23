"""Whether this process lives, whether it can serve, and what it has counted."""

from __future__ import annotations

from aiohttp import web

from new_stack.api import views
from new_stack.api.metrics import CONTENT_TYPE
from new_stack.api.problems import unavailable
from new_stack.api.routes.answers import answer
from new_stack.api.services import SERVICES, Services
from new_stack.queue.errors import QueueUnavailable


async def root(_request: web.Request) -> web.Response:
    """GET /: the hub's own word that it is up."""
    return answer({"status": "ok", "message": "WebSocket Queue API is running"})


async def live(_request: web.Request) -> web.Response:
    """GET /health/live: the process answers; restarting it would not help more than waiting."""
    return answer(views.HealthView(status="live"))


async def ready(request: web.Request) -> web.Response:
    """GET /health/ready and /health: Redis answers, and this process is not about to stop."""
    services = request.app[SERVICES]
    if services.stopping.is_set():
        raise unavailable("this server is shutting down")
    return answer(views.HealthView(status="ready", redis_ms=round(await services.queue.ping(), 3)))


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, for Prometheus; without the queue's gauges while Redis is away."""
    services = request.app[SERVICES]
    gauges = _own_gauges(services)
    try:
        gauges |= await _queue_gauges(services)
    except QueueUnavailable:
        gauges["hubgate_redis_up"] = ("Whether Redis answered.", {(): 0})
    text = services.metrics.render(gauges)
    return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


Gauges = dict[str, tuple[str, dict[tuple[tuple[str, str], ...], float]]]


def _own_gauges(services: Services) -> Gauges:
    connections = services.connections
    return {
        "hubgate_connections": (
            "Long-lived connections of this process.",
            {
                (("role", "sse"),): connections.sse,
                (("role", "client"),): connections.count("client"),
                (("role", "monitor"),): connections.count("monitor"),
            },
        ),
        "hubgate_subscribers": ("Readers that the fan-out serves.", {(): len(services.fanout)}),
        "hubgate_events_published_total": ("Events read and handed out.", {(): services.fanout.published}),
        "hubgate_slow_readers_total": (
            "Readers disconnected because they were too slow.",
            {(): services.fanout.too_slow},
        ),
    }


async def _queue_gauges(services: Services) -> Gauges:
    snapshot = await services.snapshots.take()
    counts = snapshot.counts
    states = ("pending", "claimed", "completed", "failed", "cancelled")
    alive = [worker for worker in snapshot.workers if worker.alive]
    return {
        "hubgate_redis_up": ("Whether Redis answered.", {(): 1}),
        "hubgate_jobs": (
            "Jobs by state; ended ones until they expire.",
            {(("state", state),): getattr(counts, state) for state in states},
        ),
        "hubgate_jobs_delayed": ("Pending jobs that wait for their next attempt.", {(): counts.delayed}),
        "hubgate_jobs_pending": (
            "Jobs in the line, by service.",
            {(("service", service),): count for service, count in counts.by_service.items()},
        ),
        "hubgate_workers": (
            "Workers that report in.",
            {
                (("state", "busy"),): sum(1 for worker in alive if worker.report.running),
                (("state", "idle"),): sum(1 for worker in alive if not worker.report.running),
            },
        ),
    }
