"""The WebSocket paths of the hub: /ws/client/{id}, /ws/monitor/{id}, /ws/worker/{id} and /."""

from __future__ import annotations

from typing import Final

from aiohttp import WSCloseCode, web

from new_stack.api.http.access import address_of, token_holds
from new_stack.api.http.health import root as say_ok
from new_stack.api.http.problems import invalid
from new_stack.api.legacy.client_session import ClientSession
from new_stack.api.legacy.hub import INVALID_TOKEN, BareError, greeting
from new_stack.api.legacy.messages import Refusal, read_message
from new_stack.api.legacy.monitor_session import MonitorSession
from new_stack.api.legacy.session import Connection, ConnectionGone, Session, run_session
from new_stack.api.legacy.v2.monitor import is_v2_message
from new_stack.api.services import SERVICES, Services
from new_stack.log import log
from new_stack.queue.producer import NAME_LIMIT

WORKERS: Final = (
    "Workers talk to Redis directly: start them with REDIS_URL set to this stack's Redis "
    "(python -m new_stack.worker), not with a WebSocket address"
)


async def root(request: web.Request) -> web.StreamResponse:
    """GET /: the answer with which the hub says that it runs; a WebSocket's query or first message tells its role."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return await say_ok(request)
    services, role = request.app[SERVICES], request.query.get("type")
    if role == "worker":
        return await worker(request)
    name = request.query.get("id") or f"client-{services.new_id()[:8]}"
    return await _connect(request, services, role if role in _SESSIONS else None, name)


async def client(request: web.Request) -> web.StreamResponse:
    """A client under its own id."""
    return await _connect(request, request.app[SERVICES], "client", request.match_info["name"])


async def monitor(request: web.Request) -> web.StreamResponse:
    """A monitor under its own id."""
    return await _connect(request, request.app[SERVICES], "monitor", request.match_info["name"])


async def worker(request: web.Request) -> web.StreamResponse:
    """A hub's worker: told where to go, and closed."""
    services = request.app[SERVICES]
    connection = Connection(services, "worker")
    await connection.accept(request)
    if await _let_in(request, services, connection):
        await connection.send(BareError(error=WORKERS))
        await connection.close(WSCloseCode.POLICY_VIOLATION, "workers talk to Redis: set REDIS_URL")
    return connection.response


async def _let_in(request: web.Request, services: Services, connection: Connection) -> bool:
    """Whether the token holds; where it does not, say so as the hub does and close."""
    if token_holds(request, services.settings.token):
        return True
    await connection.send(INVALID_TOKEN)
    await connection.close()
    return False


async def _connect(request: web.Request, services: Services, role: str | None, name: str) -> web.StreamResponse:
    if len(name) > NAME_LIMIT or not name.isprintable():
        raise invalid("id", f"must be printable and not longer than {NAME_LIMIT} characters")
    address = address_of(request, trust_forwarded=services.settings.trust_forwarded)
    with services.limiter.connection(address):
        connection = Connection(services, role or "client")
        await connection.accept(request)
        try:
            if await _let_in(request, services, connection):
                await _serve(services, connection, role, name)
        except ConnectionGone:
            pass
        except Exception as error:  # noqa: BLE001 - no response can be sent any more: log it whole and close
            log.error("socket_failed", role=role, connection=name, error=repr(error))
            await connection.close(WSCloseCode.INTERNAL_ERROR, "the server failed; its log says why")
        return connection.response


async def _serve(services: Services, connection: Connection, role: str | None, name: str) -> None:
    """Without a role, the first message tells it."""
    messages = connection.messages()
    first: str | None = None
    if role is None:
        await connection.send(greeting("Client", name, services.clock()))
        first = await anext(messages, None)
        if first is None:
            return
        role = "monitor" if _is_monitor(first) else "client"
    with services.connections.counted(role, name):
        session: Session = _SESSIONS[role](services, connection, name)
        await run_session(session, messages, first)


_SESSIONS: Final[dict[str, type[ClientSession | MonitorSession]]] = {
    "client": ClientSession,
    "monitor": MonitorSession,
}


def _is_monitor(text: str) -> bool:
    try:
        return is_v2_message(read_message(text))
    except Refusal:
        return False
