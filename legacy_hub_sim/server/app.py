"""The hub's paths, which web pages may use them (all), and its process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from legacy_hub_sim.core import Answer, Hub, JobStore, Peer, Request, Role, Waiting
from legacy_hub_sim.server.delivery import Delivery
from legacy_hub_sim.settings import Settings
from legacy_hub_sim.stores import MemoryStore, RedisStore

LARGEST_FRAME = 16 * 1024 * 1024
LARGEST_BODY = 64 * 1024 * 1024
POLL_SECONDS = 0.5
"""How often a submission with `wait` looks at its job."""

STOPPING = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger("legacy_hub_sim")


METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


@web.middleware
async def cors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer the question a browser asks first, and mark every answer to a page as readable."""
    origin = request.headers.get("Origin")
    if origin is None:
        return await handler(request)
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return web.Response(text="OK", headers=preflight(request, origin))
    response = await handler(request)
    if not response.prepared:
        response.headers["Access-Control-Allow-Origin"] = origin if "Cookie" in request.headers else "*"
        response.headers["Access-Control-Allow-Credentials"] = "true"
    return response


def preflight(request: web.Request, origin: str) -> dict[str, str]:
    """What a browser is allowed."""
    headers = {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Max-Age": "600",
    }
    if asked := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = asked
    return headers


class Server:
    """One hub and its sockets."""

    def __init__(self, settings: Settings, store: JobStore) -> None:
        self.settings = settings
        self.delivery = Delivery(settings.stuck_seconds)
        self.hub = Hub(
            store,
            started_at=time.time(),
            new_id=lambda: str(uuid.uuid4()),
            token=settings.token,
            faults=settings.faults,
        )
        self._numbers = itertools.count(1)
        self._after: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """The paths: three for sockets, everything else is REST."""
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[cors])
        for role in Role:
            app.router.add_get(f"/ws/{role}/{{name}}", self._socket_of(role))
        app.router.add_route("*", "/{path:.*}", self.rest)
        app.cleanup_ctx.append(self._running)
        app.on_shutdown.append(self._leave)
        return app

    def _socket_of(self, role: Role) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Upgrade", "").lower() != "websocket":
                return await self.rest(request)
            return await self.socket(request, role)

        return handler

    async def socket(self, request: web.Request, role: Role) -> web.WebSocketResponse:
        """One connection, from its greeting to its end. A message is handled before the next is read."""
        socket = web.WebSocketResponse(
            heartbeat=self.settings.ping_seconds, max_msg_size=LARGEST_FRAME, autoclose=False
        )
        await socket.prepare(request)
        peer = Peer(role, request.match_info["name"], next(self._numbers))
        self.delivery.add(peer.connection, socket, request.transport)
        try:
            await self.delivery.send(self.hub.connect(peer, request.query.get("token"), time.time()))
            while (frame := await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await self.delivery.send(self.hub.receive(peer, frame.data, time.time()))
            if frame.type is WSMsgType.CLOSE:
                await socket.close(code=frame.data or WSCloseCode.OK, message=(frame.extra or "").encode())
        finally:
            self.delivery.remove(peer.connection)
            self._send_later(self.hub.disconnect(peer, time.time()))
        return socket

    async def rest(self, request: web.Request) -> web.Response:
        """One REST request."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return web.Response(status=403)
        asked = Request(request.method, request.path, await request.read(), request.headers.get("Content-Type"))
        answer, outgoing = self.hub.request(asked, time.time())
        self._send_later(outgoing)
        if isinstance(answer, Waiting):
            answer = await self._wait_for(answer)
        return as_response(answer)

    async def _wait_for(self, waiting: Waiting) -> Answer:
        while (answer := self.hub.awaited(waiting, time.time())) is None:  # noqa: ASYNC110 - the hub polls
            await asyncio.sleep(POLL_SECONDS)
        return answer

    def _send_later(self, outgoing: list[Any]) -> None:
        """Send after whatever is going on, as the hub does what it leaves to a task."""
        if outgoing:
            task = asyncio.create_task(self.delivery.send(outgoing))
            self._after.add(task)
            task.add_done_callback(self._after.discard)

    async def _running(self, _app: web.Application) -> AsyncIterator[None]:
        """The hub's own rounds, while it runs."""
        rounds = asyncio.create_task(self._rounds())
        rounds.add_done_callback(end_process_if_dead)
        yield
        rounds.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await rounds

    async def _leave(self, _app: web.Application) -> None:
        """Tell every socket that the service restarts."""
        await self.delivery.close_all(WSCloseCode.SERVICE_RESTART)

    async def _rounds(self) -> None:
        while True:
            self._send_later(self.hub.tick(time.time()))
            await asyncio.sleep(max(0.0, self.hub.due - time.time()))


def end_process_if_dead(task: asyncio.Task[None]) -> None:
    """The rounds never end by themselves: if they do, the process goes with them."""
    if not task.cancelled() and (error := task.exception()):
        log.error("event=hub_rounds_died error=%r", error)
        signal.raise_signal(signal.SIGTERM)


def as_response(answer: Answer) -> web.Response:
    """An answer as HTTP."""
    headers = {}
    if answer.allow:
        headers["Allow"] = answer.allow
    if answer.location:
        return web.Response(status=answer.status, headers={"Location": answer.location})
    return web.json_response(answer.body, status=answer.status, headers=headers)


def open_store(settings: Settings) -> JobStore:
    """The store the settings name; raises `StoreError` when Redis is not there."""
    if not settings.redis_url:
        return MemoryStore()
    store = RedisStore(settings.redis_url)
    store.ping()
    return store


async def start(settings: Settings) -> tuple[web.AppRunner, int]:
    """Start a hub; returns what to clean up at the end, and the port it listens on. Raises OSError, `StoreError`."""
    server = Server(settings, open_store(settings))
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=2)
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    port: int = runner.addresses[0][1]
    faults = ",".join(sorted(settings.faults))
    store = "redis" if settings.redis_url else "memory"
    log.info("event=hub_ready host=%s port=%d store=%s faults=%s", settings.host, port, store, faults)
    return runner, port


async def run(settings: Settings) -> None:
    """Run a hub until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    runner, _port = await start(settings)
    await stop.wait()
    await runner.cleanup()
    # A second signal does not change how it ends. Handlers of the loop could not be taken away without a moment in
    # which a signal kills the process.
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    log.info("event=hub_stopped")
