"""The hub's WebSocket paths: /ws/client/{id}, /ws/monitor/{id} and /ws/worker/{id}."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import WSCloseCode, web

from new_stack.api.guard.peer import PeerGone
from new_stack.api.http.access import Access, access_of
from new_stack.api.http.http_io import answer
from new_stack.api.http.problems import invalid
from new_stack.api.legacy.hub import HUB, INVALID_TOKEN, Frame
from new_stack.api.legacy.session import Connection, run_session
from new_stack.api.legacy.v2.client_session import LaterClientSession
from new_stack.api.legacy.v2.monitor_session import LaterMonitorSession
from new_stack.api.retirement.callers import CALLER, HUB_DIALECT, WEBSOCKET, caller_of
from new_stack.api.retirement.rules import GONE_CODE, Standing
from new_stack.api.services import SERVICES, Services
from new_stack.log import log
from new_stack.queue.producer import NAME_LIMIT

WORKERS: Final = (
    "Workers talk to Redis directly: start them with REDIS_URL set to this stack's Redis "
    "(python -m new_stack.worker), not with a WebSocket address"
)

Serve = Callable[[Services, Connection, str, str], Awaitable[None]]
"""Serves an open connection in a role, under a name."""


async def root(_request: web.Request) -> web.StreamResponse:
    """GET /: the answer with which the hub says that it runs."""
    return answer({"status": "ok", "message": "WebSocket Queue API is running"})


async def by_path(request: web.Request) -> web.StreamResponse:
    """GET /ws/{role}/{name}: a client, a monitor or a worker under its own id."""
    return await connect(request, request.match_info["role"], request.match_info["name"])


async def serve(
    services: Services, connection: Connection, role: str, name: str, messages: AsyncIterator[str] | None = None
) -> None:
    """Serve a client or a monitor; `messages` are those of one that was greeted already."""
    with services.connections.counted(role, name):
        kind = LaterMonitorSession if role == "monitor" else LaterClientSession
        session = kind(services, connection, name)
        await run_session(session, messages or connection.messages(), greeted=messages is not None)


async def connect(request: web.Request, role: str, name: str, serve: Serve = serve) -> web.StreamResponse:
    """Accept a connection, and serve it unless it is refused."""
    services = request.app[SERVICES]
    if len(name) > NAME_LIMIT or not name.isprintable():
        raise invalid("id", f"must be printable and not longer than {NAME_LIMIT} characters")
    caller = request[CALLER] = caller_of(request, WEBSOCKET, HUB_DIALECT, name)
    connection = Connection(services, role, caller)
    with services.limiter.connection(request):
        await connection.accept(request)
        try:
            if (refusal := _refusal(request, connection, role, name)) is None:
                await serve(services, connection, role, name)
            else:
                frame, code, reason = refusal
                await connection.send(frame)
                await connection.close(code, reason)
        except PeerGone:
            pass
        except Exception as failure:  # noqa: BLE001 - no response can be sent any more: log it whole and close
            log.error("socket_failed", role=role, connection=name, error=repr(failure))
            await connection.close(WSCloseCode.INTERNAL_ERROR, "the server failed; its log says why")
        finally:
            connection.received.close()
        return connection.socket


def _refusal(request: web.Request, connection: Connection, role: str, name: str) -> tuple[Frame, int, str] | None:
    """Why a connection is not served: what it is told, and the code and the reason with which it is closed."""
    services = request.app[SERVICES]
    access = access_of(request, services.settings, services.clock())
    if access is not Access.WRITE and not (access is Access.READ and role == "monitor"):
        return INVALID_TOKEN, WSCloseCode.OK, ""
    decision = services.retirement.of_call(connection.caller, name)
    if decision.standing is Standing.REFUSED:
        told = HUB.error(decision.sentence, None, services.clock()) | {"code": GONE_CODE}
        return told, GONE_CODE, decision.sentence
    if role == "worker":
        reason = "workers talk to Redis: set REDIS_URL"
        return {"type": "error", "error": WORKERS}, WSCloseCode.POLICY_VIOLATION, reason
    return None


ROUTES: Final = (("GET", "/ws/{role:client|monitor|worker}/{name:[^/]+}", by_path),)
