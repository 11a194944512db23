"""Running the application: listen, serve, and stop without leaving anybody hanging."""

from __future__ import annotations

import logging
import os
import socket

from aiohttp import web

from new_stack.api.app import create_app
from new_stack.api.guard.limits import raise_descriptor_limit
from new_stack.api.operation.shutdown import Notice
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
        keepalive_timeout=settings.header_timeout_ms / 1000,  # until the first request, see the middleware
    )
    notice = Notice(services.stopping)
    try:
        await runner.setup()
        site = web.SockSite(runner, listener, backlog=BACKLOG)
        await site.start()
        port, prefix = listener.getsockname()[1], settings.queue.prefix
        log.info("api_ready", host=settings.host, port=port, prefix=prefix, descriptors=descriptors)
        await services.stopping.wait()
        log.info("api_stopping", streams=services.connections.counts()["sse"])
        if not services.failed:
            await notice.over(settings.shutdown_notice_ms / 1000)
        await site.stop()
        services.fanout.stop()
    finally:
        await runner.cleanup()
        await queue.close()
    log.info("api_stopped")
    return 3 if services.failed else 0


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError with a sentence."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), reuse_port=False, family=family)
    except OSError as error:
        raise OSError(f"Cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}.") from error
