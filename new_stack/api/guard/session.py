"""Signing in: a browser shows the token once and gets a cookie that no script can read, so that no URL has a token."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from new_stack.api.guard.bodies import received
from new_stack.api.guard.cookies import COOKIE, SESSION_S, cookie_for
from new_stack.api.guard.tokens import wrong_token
from new_stack.api.http.access import Access, access_by_token, access_of
from new_stack.api.http.http_io import answer, decoded
from new_stack.api.services import SERVICES, Services


class SignIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The token: the one that may do everything, or the one that may only read."""

    token: str


_sign_in: Final = msgspec.json.Decoder(SignIn)


async def sign_in(request: web.Request) -> web.Response:
    """POST /api/session: a cookie for a token. Raises a 401 problem for a wrong one."""
    services = request.app[SERVICES]
    async with received(request) as body:
        token = decoded(body, _sign_in).token
    access = access_by_token(token, services.settings)
    if access is Access.NONE:
        raise wrong_token()
    response = answer(_view(services, access))
    if services.settings.token:
        value = cookie_for(token, services.clock())
        response.set_cookie(
            COOKIE, value, max_age=SESSION_S, path="/", httponly=True, samesite="Strict", secure=_is_https(request)
        )
    return response


async def signed_in(request: web.Request) -> web.Response:
    """GET /api/session: whether a token is asked for, and what the caller may do."""
    services = request.app[SERVICES]
    return answer(_view(services, access_of(request, services.settings, services.clock())))


async def sign_out(_request: web.Request) -> web.Response:
    """DELETE /api/session: take the cookie back."""
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
    return response


def _view(services: Services, access: Access) -> dict[str, Any]:
    return {
        "token_required": bool(services.settings.token),
        "signed_in": access is not Access.NONE,
        "may_write": access is Access.WRITE,
    }


def _is_https(request: web.Request) -> bool:
    forwarded = request.app[SERVICES].settings.trust_forwarded and request.headers.get("X-Forwarded-Proto") == "https"
    return request.secure or forwarded


ROUTES: Final = (
    ("GET", "/api/session", signed_in),
    ("POST", "/api/session", sign_in),
    ("DELETE", "/api/session", sign_out),
)
