"""The application: its routes, and the background work that lives and dies with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

from new_stack.api import dashboard
from new_stack.api.guard import session
from new_stack.api.guard.limits import watch_descriptors
from new_stack.api.http import middleware
from new_stack.api.http.jobs import status, submit
from new_stack.api.legacy import routes as sockets
from new_stack.api.legacy.monitor import change_key
from new_stack.api.legacy.v2 import rest as later_rest
from new_stack.api.modern import cassette, failures, jobs
from new_stack.api.operation import controls, health, openapi, overview
from new_stack.api.retirement import routes as retirement
from new_stack.api.services import SERVICES, Services
from new_stack.api.sse.event_feed import all_events
from new_stack.api.sse.follow import job_progress
from new_stack.api.streaming.reader import read_events
from new_stack.log import log
from new_stack.queue.errors import QueueError, QueueUnavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Died = Callable[[str, BaseException], None]

ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/", sockets.root),
    ("POST", "/api/jobs", submit),
    ("GET", "/api/jobs", jobs.listing),
    ("GET", "/api/jobs/{job_id:[^/]+}", status),
    ("GET", "/api/jobs/{job_id:[^/]+}/explain", jobs.explain),
    ("GET", "/api/jobs/{job_id:[^/]+}/cassette", cassette.export),
    ("POST", "/api/jobs/{job_id:[^/]+}/cancel", jobs.cancel),
    ("POST", "/api/jobs/{job_id:[^/]+}/retry", jobs.retry),
    ("GET", "/api/jobs/{job_id:[^/]+}/progress", job_progress),
    ("POST", "/api/jobs/bulk", failures.bulk),
    ("GET", "/api/failures", failures.listing),
    ("GET", "/api/events", all_events),
    ("GET", "/api/stats", health.stats),
    ("GET", "/api/workers", health.workers),
    ("POST", "/api/workers/{worker_id:[^/]+}/drain", controls.drain_worker),
    ("POST", "/api/workers/{worker_id:[^/]+}/resume", controls.resume_worker),
    ("POST", "/api/services/{service:[^/]+}/pause", controls.pause_service),
    ("POST", "/api/services/{service:[^/]+}/resume", controls.resume_service),
    ("GET", "/api/overview", overview.overview),
    ("GET", "/api/history", overview.history),
    ("GET", "/api/session", session.signed_in),
    ("POST", "/api/session", session.sign_in),
    ("DELETE", "/api/session", session.sign_out),
    ("GET", "/api/usage", retirement.usage),
    ("GET", "/health", health.ready),
    ("GET", "/health/live", health.live),
    ("GET", "/health/ready", health.ready),
    ("GET", "/metrics", health.metrics),
    ("GET", "/openapi.json", openapi.document),
    ("GET", "/dashboard", dashboard.page),
    ("GET", "/dashboard/static/{name:.+}", dashboard.part),
    ("GET", "/dashboard/{view:.*}", dashboard.page),
    ("GET", "/ws/{role:client|monitor|worker}/{name:[^/]+}", sockets.by_path),
)


def create_app(services: Services, died: Died | None = None) -> web.Application:
    """Build the application around its services; `died` is called with a background task that ended with an error."""
    app = web.Application(client_max_size=services.settings.body_limit, middlewares=[middleware.middleware])
    app[SERVICES] = services
    for method, path, handler in ROUTES + (later_rest.ROUTES if services.settings.later_rest else ()):
        app.router.add_route(method, path, handler)
    for path, handler in (("/", sockets.root), ("/health", health.ready), ("/health/live", health.live)):
        app.router.add_route("HEAD", path, handler)  # what some load balancers ask with
    app.on_response_prepare.append(middleware.add_headers)

    async def background(_app: web.Application) -> AsyncIterator[None]:
        await services.compare_clocks()
        after = await services.queue.last_event_id()  # before anybody can follow a job: what happens then is read
        tasks = [
            _start("events", read_events(services.queue, services.fanout, after), died),
            _start("stats", broadcast_stats(services), died),
            _start("reap", reap(services), died),
            _start("usage", services.usage.run(), died),
            _start("retirement", services.retirement.run(), died),
            _start("descriptors", watch_descriptors(), died),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app.cleanup_ctx.append(background)
    return app


def _start(name: str, work: Awaitable[None], died: Died | None) -> asyncio.Future[None]:
    task = asyncio.ensure_future(work)

    def ended(done: asyncio.Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("background_died", task=name, error=repr(error))
            if died is not None:
                died(name, error)

    task.add_done_callback(ended)
    return task


async def broadcast_stats(services: Services) -> None:
    """Give monitors a snapshot when something changed, and now and then anyway."""
    settings = services.settings
    waited = 0
    while True:
        await asyncio.sleep(settings.stats_changed_ms / 1000)
        waited += settings.stats_changed_ms
        if not services.fanout.watched:
            waited = 0
            continue
        try:
            snapshot = await services.snapshots.take()
        except QueueError as error:
            log_unless_away("stats_failed", error)
            continue
        key = change_key(snapshot, services.connections.shown())
        if key != services.snapshots.broadcast_key or waited >= settings.stats_idle_ms:
            services.fanout.publish_snapshot(snapshot)
            services.snapshots.broadcast_key = key
            waited = 0


def log_unless_away(event: str, error: QueueError) -> None:
    """Log what Redis refused; that it is away the reader of events says already."""
    if not isinstance(error, QueueUnavailable):
        log.error(event, error=error.detail)


async def reap(services: Services) -> None:
    """Do what the clock alone brings about; every process does, each at its own jittered times."""
    seconds = services.settings.reap_ms / 1000
    while True:
        await asyncio.sleep(seconds * random.uniform(0.7, 1.3))  # noqa: S311 - spreads load, guards nothing
        try:
            await services.compare_clocks()
            reaped = await services.queue.reap()
        except QueueError as error:
            log_unless_away("reap_failed", error)
            continue
        if reaped:
            services.metrics.reaped += len(reaped)
            log.info("jobs_reaped", jobs=reaped)
