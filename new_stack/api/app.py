"""The application: its routes, and the background work that lives and dies with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

from new_stack.api import edge
from new_stack.api.fanout import FanOut
from new_stack.api.legacy.stats import essence
from new_stack.api.log import log
from new_stack.api.reader import read_events
from new_stack.api.routes import dashboard, events, health, jobs, sockets, stats
from new_stack.api.routes import openapi as documents
from new_stack.api.services import SERVICES, Services
from new_stack.api.sockets.monitor_session import connected
from new_stack.queue.errors import QueueUnavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/", sockets.root),
    ("POST", "/api/jobs", jobs.submit),
    ("GET", "/api/jobs", jobs.listing),
    ("GET", "/api/jobs/{job_id}", jobs.status),
    ("POST", "/api/jobs/{job_id}/cancel", jobs.cancel),
    ("POST", "/api/jobs/{job_id}/retry", jobs.retry),
    ("GET", "/api/jobs/{job_id}/progress", events.job_progress),
    ("GET", "/api/events", events.all_events),
    ("GET", "/api/stats", stats.stats),
    ("GET", "/api/workers", stats.workers),
    ("GET", "/health", health.ready),
    ("GET", "/health/live", health.live),
    ("GET", "/health/ready", health.ready),
    ("GET", "/metrics", health.metrics),
    ("GET", "/openapi.json", documents.document),
    ("GET", "/dashboard", dashboard.page),
    ("GET", "/ws/client/{name}", sockets.client),
    ("GET", "/ws/monitor/{name}", sockets.monitor),
    ("GET", "/ws/worker/{name}", sockets.worker),
)


def create_app(services: Services, died: Callable[[str, BaseException], None] | None = None) -> web.Application:
    """Build the application around its services; `died` hears of a background task that ended with an error."""
    app = web.Application(client_max_size=services.settings.body_limit, middlewares=[edge.edge])
    app[SERVICES] = services
    for method, path, handler in ROUTES:
        app.router.add_route(method, path, handler)
    for path, handler in (("/", health.root), ("/health", health.ready), ("/health/live", health.live)):
        app.router.add_route("HEAD", path, handler)  # what some load balancers ask with
    app.on_response_prepare.append(edge.add_headers)

    async def background(_app: web.Application) -> AsyncIterator[None]:
        tasks = [
            _start("events", read_events(services.queue, services.fanout), died),
            _start("stats", broadcast_stats(services), died),
            _start("reap", reap(services), died),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app.cleanup_ctx.append(background)
    return app


def _start(name: str, work: Awaitable[None], died: Callable[[str, BaseException], None] | None) -> asyncio.Future[None]:
    task = asyncio.ensure_future(work)

    def ended(done: asyncio.Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            log("background_died", level="error", task=name, error=repr(error))
            if died is not None:
                died(name, error)

    task.add_done_callback(ended)
    return task


async def broadcast_stats(services: Services) -> None:
    """Give monitors a snapshot when something changed, and now and then anyway."""
    fanout: FanOut = services.fanout
    settings = services.settings
    waited = 0
    while True:
        await asyncio.sleep(settings.stats_changed_ms / 1000)
        waited += settings.stats_changed_ms
        if not fanout.watched:
            waited = 0
            continue
        try:
            snapshot = await services.snapshots.take()
        except QueueUnavailable:
            continue
        now = essence(snapshot, connected(services))
        if now != services.snapshots.shown or waited >= settings.stats_idle_ms:
            fanout.publish_snapshot(snapshot)
            services.snapshots.shown = now
            waited = 0


async def reap(services: Services) -> None:
    """Do what the clock alone brings about; every process does, each at its own jittered times."""
    seconds = services.settings.reap_ms / 1000
    while True:
        await asyncio.sleep(seconds * random.uniform(0.7, 1.3))  # noqa: S311 - spreads load, guards nothing
        try:
            reaped = await services.queue.reap()
        except QueueUnavailable:
            continue
        if reaped:
            services.metrics.reaped += len(reaped)
            log("jobs_reaped", jobs=reaped)
