"""Running the application: listen, serve, and stop without leaving anybody hanging."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from contextlib import suppress

from aiohttp import web

from new_stack.api.app import create_app
from new_stack.api.guard.limits import KEEPALIVE_SECONDS, bound_first_request, raise_descriptor_limit
from new_stack.api.services import Services
from new_stack.api.settings import ApiSettings
from new_stack.log import LibraryLogs, log
from new_stack.queue.queue import Queue

BACKLOG = 1_024


async def serve(settings: ApiSettings) -> int:
    """Serve until SIGTERM or SIGINT (answers 0), or until a background task dies (answers 3)."""
    logging.basicConfig(handlers=[LibraryLogs()], level=logging.WARNING, force=True)
    descriptors = raise_descriptor_limit()
    listener = _listen(settings.host, settings.port)
    queue = await Queue.connect(settings.queue)
    services = Services(queue, settings)
    runner = web.AppRunner(
        create_app(services),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=settings.shutdown_grace_ms / 1000,
        keepalive_timeout=KEEPALIVE_SECONDS,
    )
    hurried = _stop_on_signals(services.stopping)
    try:
        await runner.setup()
        bound_first_request(runner, settings.header_timeout_ms / 1000)
        site = web.SockSite(runner, listener, backlog=BACKLOG)
        await site.start()
        port, prefix = listener.getsockname()[1], settings.queue.prefix
        log.info("api_ready", host=settings.host, port=port, prefix=prefix, descriptors=descriptors)
        await services.stopping.wait()
        log.info("api_stopping", streams=services.connections.counts()["sse"])
        if not services.failed:
            with suppress(TimeoutError):  # it serves on, and `/health/ready` says that it will not be there
                async with asyncio.timeout(settings.shutdown_notice_ms / 1000):
                    await hurried.wait()
        await site.stop()
        services.fanout.stop()
    finally:
        await runner.cleanup()
        await queue.close()
    log.info("api_stopped")
    return 3 if services.failed else 0


def _stop_on_signals(stopping: asyncio.Event) -> asyncio.Event:
    """From now on signals set `stopping`, and a second one what is answered: whoever tells twice is in a hurry."""
    hurried = asyncio.Event()

    def stop() -> None:
        (hurried if stopping.is_set() else stopping).set()

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    return hurried


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError with a sentence."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), reuse_port=False, family=family)
    except OSError as error:
        raise OSError(f"Cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}.") from error
