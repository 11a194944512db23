"""The WebSocket paths of the hub: /ws/client/{id}, /ws/monitor/{id}, /ws/worker/{id} and /."""

from __future__ import annotations

from typing import Final

from aiohttp import WSCloseCode, web

from new_stack.api.guard.limits import address_of
from new_stack.api.http.access import Access, access_of
from new_stack.api.http.http_io import answer
from new_stack.api.http.problems import invalid
from new_stack.api.legacy.client_session import ClientSession
from new_stack.api.legacy.dialect import Frame
from new_stack.api.legacy.hub import INVALID_TOKEN, error, greeting
from new_stack.api.legacy.messages import Refusal, read_message
from new_stack.api.legacy.monitor_session import MonitorSession
from new_stack.api.legacy.session import Connection, ConnectionGone, run_session
from new_stack.api.legacy.v2.monitor import is_v2_message
from new_stack.api.retirement.callers import CALLER, HUB_DIALECT, WEBSOCKET, caller_of
from new_stack.api.retirement.rules import GONE_CODE, Standing
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
        return answer({"status": "ok", "message": "WebSocket Queue API is running"})
    role = request.query.get("type")
    name = request.query.get("id") or f"client-{request.app[SERVICES].new_id()[:8]}"
    return await _connect(request, role if role in {"client", "monitor", "worker"} else None, name)


async def by_path(request: web.Request) -> web.StreamResponse:
    """GET /ws/{role}/{name}: a client, a monitor or a worker under its own id."""
    return await _connect(request, request.match_info["role"], request.match_info["name"])


async def _connect(request: web.Request, role: str | None, name: str) -> web.StreamResponse:
    services = request.app[SERVICES]
    if len(name) > NAME_LIMIT or not name.isprintable():
        raise invalid("id", f"must be printable and not longer than {NAME_LIMIT} characters")
    address = address_of(request, trust_forwarded=services.settings.trust_forwarded)
    with services.limiter.connection(address):
        caller = request[CALLER] = caller_of(request, WEBSOCKET, HUB_DIALECT, name)
        connection = Connection(services, role or "client", caller)
        await connection.accept(request)
        try:
            refusal = _refusal(request, connection, role, name)
            if refusal is None:
                await _serve(services, connection, role, name)
            else:
                frame, code, reason = refusal
                await connection.send(frame)
                await connection.close(code, reason)
        except ConnectionGone:
            pass
        except Exception as failure:  # noqa: BLE001 - no response can be sent any more: log it whole and close
            log.error("socket_failed", role=role, connection=name, error=repr(failure))
            await connection.close(WSCloseCode.INTERNAL_ERROR, "the server failed; its log says why")
        finally:
            connection.release()
        return connection.response


def _refusal(
    request: web.Request, connection: Connection, role: str | None, name: str
) -> tuple[Frame, int, str] | None:
    """Why a connection is not served: what it is told, and the code and the reason with which it is closed."""
    services = request.app[SERVICES]
    access = access_of(request, services.settings, services.clock())
    if access is not Access.WRITE and not (access is Access.READ and role == "monitor"):
        return INVALID_TOKEN, WSCloseCode.OK, ""
    decision = services.retirement.of_call(connection.caller, name)
    if decision.standing is Standing.REFUSED:
        told = error(decision.sentence, services.clock()) | {"code": GONE_CODE}
        return told, GONE_CODE, decision.sentence
    if role == "worker":
        reason = "workers talk to Redis: set REDIS_URL"
        return {"type": "error", "error": WORKERS}, WSCloseCode.POLICY_VIOLATION, reason
    return None


async def _serve(services: Services, connection: Connection, role: str | None, name: str) -> None:
    """Without a role, the first message tells it."""
    messages = connection.messages()
    first: str | None = None
    if role is None:
        welcome = greeting("Client", name, services.clock())
        await connection.send(services.retirement.greeted(connection.caller, welcome))
        first = await anext(messages, None)
        if first is None:
            return
        role = "monitor" if _is_monitor(first) else "client"
    with services.connections.counted(role, name):
        kind = MonitorSession if role == "monitor" else ClientSession
        await run_session(kind(services, connection, name), messages, first)


def _is_monitor(text: str) -> bool:
    try:
        return is_v2_message(read_message(text))
    except Refusal:
        return False


ROUTES: Final = (
    ("GET", "/", root),
    ("HEAD", "/", root),
    ("GET", "/ws/{role:client|monitor|worker}/{name:[^/]+}", by_path),
)
