"""GET /, where programs of the later time open their WebSockets, whatever their role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from new_stack.api.legacy import routes as sockets
from new_stack.api.legacy.hub import HUB
from new_stack.api.legacy.messages import Refusal, read_message
from new_stack.api.legacy.session import Connection
from new_stack.api.legacy.v2.monitor import is_v2_message
from new_stack.api.services import SERVICES, Services


async def root(request: web.Request) -> web.StreamResponse:
    """GET /: the hub's answer; a WebSocket's query or first message tells its role."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return await sockets.root(request)
    role = request.query.get("type", "")
    name = request.query.get("id") or f"client-{request.app[SERVICES].new_id()[:8]}"
    if role in {"client", "monitor", "worker"}:
        return await sockets.connect(request, role, name)
    return await sockets.connect(request, "client", name, _serve_by_first_message)


async def _serve_by_first_message(services: Services, connection: Connection, _role: str, name: str) -> None:
    welcome = HUB.greeting(name, services.clock())
    await connection.send(services.retirement.greeted(connection.caller, welcome))
    messages = connection.messages()
    first = await anext(messages, None)
    if first is not None:
        role = "monitor" if _is_monitor(first) else "client"
        await sockets.serve(services, connection, role, name, _all(first, messages))


async def _all(first: str, messages: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for text in messages:
        yield text


def _is_monitor(text: str) -> bool:
    try:
        return is_v2_message(read_message(text))
    except Refusal:
        return False


ROUTES: Final = (("GET", "/", root), ("HEAD", "/", root))
