"""Who may come in, and what they may do: by a token, or by the cookie that somebody got for one."""

from __future__ import annotations

import hmac
from enum import IntEnum

from aiohttp import web

from new_stack.api.guard.cookies import COOKIE, token_behind
from new_stack.api.settings import ApiSettings


class Access(IntEnum):
    """What a caller may do; each may do what those before it may."""

    NONE = 0
    READ = 1
    WRITE = 2


def shown_token(request: web.Request) -> str:
    """The token that a request carries: `Authorization: Bearer` or, as other programs' sockets have to, `?token=`."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return request.query.get("token", "")


def access_of(request: web.Request, settings: ApiSettings, now: float) -> Access:
    """What the request's token allows, or else the one that its cookie stands for."""
    tokens = (settings.token, settings.read_token)
    shown = shown_token(request) or token_behind(request.cookies.get(COOKIE, ""), tokens, now)
    return access_by_token(shown, settings)


def access_by_token(shown: str, settings: ApiSettings) -> Access:
    """What a token allows; without one set, everybody may do everything.

    The comparison takes the same time wherever the texts differ.
    """
    given = shown.encode(errors="surrogateescape")  # headers may hold any bytes
    if not settings.token or hmac.compare_digest(given, settings.token.encode()):
        return Access.WRITE
    reads = bool(settings.read_token) and hmac.compare_digest(given, settings.read_token.encode())
    return Access.READ if reads else Access.NONE
