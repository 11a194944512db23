"""Receives the bodies of requests: bounded one by one, all together, and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from new_stack.api.guard.pages import require_json
from new_stack.api.http.problems import ProblemError
from new_stack.api.services import SERVICES


@asynccontextmanager
async def received(request: web.Request) -> AsyncIterator[bytes]:
    """The body, counted among those of all requests until the block ends.

    Raises a problem: 415 where it is of the type of a form or of plain text, 413 where it is too large, 408 where its
    sender takes too long, 503 where all bodies together are too large.
    """
    require_json(request)
    chunks: list[bytes] = []
    try:
        await _receive(request, chunks)
        yield b"".join(chunks)
    finally:
        request.app[SERVICES].bodies.give_back(sum(map(len, chunks)))


async def _receive(request: web.Request, chunks: list[bytes]) -> None:
    services = request.app[SERVICES]
    limit, milliseconds = services.settings.body_limit, services.settings.body_timeout_ms
    size, received_bytes = request.content_length or 0, 0
    try:
        async with asyncio.timeout(milliseconds / 1000):
            while size <= limit and (chunk := await request.content.readany()):
                services.bodies.take(len(chunk))
                chunks.append(chunk)
                received_bytes += len(chunk)
                size = max(size, received_bytes)
    except web.RequestPayloadError as error:
        why = " ".join(str(error).split())
        # The rest of it cannot be told from a next request, so aiohttp closes, which a client has to know.
        raise ProblemError(400, f"The body cannot be read: {why}.", headers={"Connection": "close"}) from None
    except TimeoutError:
        raise ProblemError(
            408, f"The body did not arrive within {milliseconds} ms.", headers={"Connection": "close"}
        ) from None
    if size > limit:
        raise web.HTTPRequestEntityTooLarge(limit, size)
