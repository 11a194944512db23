"""The application: its routes, and the background work that lives and dies with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from typing import Final

from aiohttp import web

from new_stack.api import dashboard
from new_stack.api.guard import session
from new_stack.api.guard.limits import watch_descriptors
from new_stack.api.http import jobs as http_jobs
from new_stack.api.http import middleware
from new_stack.api.legacy import routes as sockets
from new_stack.api.legacy.monitor import change_key
from new_stack.api.legacy.v2 import rest as later_rest
from new_stack.api.modern import cassette, failures, jobs
from new_stack.api.operation import controls, health, openapi, overview
from new_stack.api.retirement import routes as retirement
from new_stack.api.services import SERVICES, Services
from new_stack.api.sse import event_feed, follow
from new_stack.api.streaming.fanout import SNAPSHOTS
from new_stack.api.streaming.reader import read_events
from new_stack.log import log
from new_stack.queue.errors import QueueError, QueueUnavailable

PARTS: Final = (sockets, http_jobs, jobs, cassette, failures, follow, event_feed, health, controls, overview, openapi)
PAGES: Final = (session, retirement, dashboard)
ROUTES: Final = tuple(route for part in (*PARTS, *PAGES) for route in part.ROUTES)
"""Method, path and handler of everything that is served; each part has its own."""


def create_app(services: Services) -> web.Application:
    """Build the application around its services."""
    app = web.Application(client_max_size=services.settings.body_limit, middlewares=[middleware.middleware])
    app[SERVICES] = services
    for method, path, handler in ROUTES + (later_rest.ROUTES if services.settings.later_rest else ()):
        app.router.add_route(method, path, handler)
    app.on_response_prepare.append(middleware.add_headers)

    async def in_background(_app: web.Application) -> AsyncIterator[None]:
        await services.compare_clocks()
        after = await services.queue.last_event_id()  # before anybody can follow a job: what happens then is read
        background = {
            "events": read_events(services.queue, services.fanout, after),
            "stats": broadcast_stats(services),
            "reap": reap(services),
            "usage": services.usage.run(),
            "retirement": services.retirement.run(),
            "descriptors": watch_descriptors(),
        }
        tasks = [asyncio.create_task(_work(services, name, work)) for name, work in background.items()]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app.cleanup_ctx.append(in_background)
    return app


async def _work(services: Services, name: str, work: Awaitable[None]) -> None:
    """Do some background work, without which the process is not to go on."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - whatever it is: it is logged whole, and ends the process
        log.error("background_died", task=name, error=repr(error))
        services.failed = True
        services.stopping.set()


async def broadcast_stats(services: Services) -> None:
    """Give monitors a snapshot when something changed, and now and then anyway."""
    settings = services.settings
    waited = 0
    while True:
        await asyncio.sleep(settings.stats_changed_ms / 1000)
        waited += settings.stats_changed_ms
        if not services.fanout.followers(SNAPSHOTS):
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
