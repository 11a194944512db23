"""The application: its routes, and the background work that lives and dies with it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

from new_stack.api import dashboard
from new_stack.api.guard import session
from new_stack.api.guard.limits import watch_descriptors
from new_stack.api.http.middleware import add_headers, served, without_slash
from new_stack.api.legacy import rest, routes
from new_stack.api.legacy.monitor import change_key
from new_stack.api.legacy.v2 import rest as later_rest
from new_stack.api.legacy.v2 import routes as later_routes
from new_stack.api.modern import cassette, failures, jobs
from new_stack.api.operation import controls, health, openapi, overview
from new_stack.api.retirement import routes as retirement
from new_stack.api.services import SERVICES, Services
from new_stack.api.sse import event_feed, follow
from new_stack.api.streaming.fanout import SNAPSHOTS
from new_stack.api.streaming.reader import read_events
from new_stack.log import LastingFailure, log
from new_stack.queue.errors import QueueError, QueueUnavailable

LEGACY: Final = (routes, rest, later_routes)
MODERN: Final = (jobs, cassette, failures, follow, event_feed, health, controls, overview, openapi, session, retirement)
ROUTES: Final = tuple(route for part in (*LEGACY, *MODERN, dashboard) for route in part.ROUTES)
"""Method, path and handler of everything that is served; each part has its own."""


def create_app(services: Services) -> web.Application:
    """Build the application around its services."""
    app = web.Application(client_max_size=services.settings.body_limit, middlewares=(served, without_slash))
    app[SERVICES] = services
    for method, path, handler in (*ROUTES, *(later_rest.ROUTES if services.settings.later_rest else ())):
        app.router.add_route(method, path, handler)
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(_background)
    return app


async def _background(app: web.Application) -> AsyncIterator[None]:
    services = app[SERVICES]
    await services.redis_clock.compare()
    after = await services.queue.last_event_id()  # before anybody can follow a job: what happens then is read
    stats_s, reap_s = services.settings.stats_changed_ms / 1000, services.settings.reap_ms / 1000
    background: dict[str, Awaitable[None]] = {
        "events": read_events(services.queue, services.fanout, after),
        "stats": every(lambda: stats_s, broadcast_stats, services),
        "reap": every(lambda: reap_s * random.uniform(0.7, 1.3), reap, services),  # noqa: S311 - spreads load
        "usage": services.usage.run(),
        "retirement": services.retirement.run(),
        "descriptors": watch_descriptors(),
    }
    tasks = [asyncio.create_task(_work(services, name, work)) for name, work in background.items()]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _work(services: Services, name: str, work: Awaitable[None]) -> None:
    """Do some background work, without which the process is not to go on."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - whatever it is: it is logged whole, and ends the process
        log.error("background_died", task=name, error=repr(error))
        services.failed = True
        services.stopping.set()


async def every(seconds: Callable[[], float], work: Callable[[Services], Awaitable[None]], services: Services) -> None:
    """Do some work again and again, with pauses, whatever Redis says; that it is away the reader of events tells."""
    failure = LastingFailure(work.__name__)
    while True:
        await asyncio.sleep(seconds())
        try:
            await work(services)
            failure.note("")
        except QueueUnavailable:
            continue
        except QueueError as error:
            failure.note(error.detail)


async def broadcast_stats(services: Services) -> None:
    """Give monitors a snapshot when something changed, and now and then anyway."""
    shown, now = services.snapshots, time.monotonic()
    if not services.fanout.followers(SNAPSHOTS):
        shown.broadcast_at = now
        return
    snapshot = await shown.take()
    key = change_key(snapshot, services.connections.shown())
    if key != shown.broadcast_key or now - shown.broadcast_at >= services.settings.stats_idle_ms / 1000:
        for follower in services.fanout.followers(SNAPSHOTS):
            follower.put(snapshot)
        shown.broadcast_key, shown.broadcast_at = key, now


async def reap(services: Services) -> None:
    """Do what the clock alone brings about; every process does, each at its own jittered times."""
    await services.redis_clock.compare()
    if reaped := await services.queue.reap():
        services.metrics.reaped += len(reaped)
        log.info("jobs_reaped", jobs=reaped)
