"""The cookie that somebody got for a token: it stands for the token until its time is up, and does not tell it."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final

COOKIE: Final = "hubgate_session"
SESSION_S: Final = 12 * 3600


def cookie_for(token: str, now: float) -> str:
    """What the cookie says: until when it holds, signed with the token that was shown for it.

    Any server with the same token knows it; nothing is kept, and a changed token ends it.
    """
    return _signed(str(int(now) + SESSION_S), token)


def token_behind(cookie: str, tokens: Iterable[str], now: float) -> str:
    """The one of these tokens that a cookie stands for now; empty where it is none of them."""
    until = cookie.partition(".")[0]
    if not until.isascii() or not until.isdecimal() or int(until[:12]) < now:
        return ""
    given = cookie.encode(errors="surrogateescape")  # headers may hold any bytes
    genuine = (token for token in tokens if token and hmac.compare_digest(given, _signed(until, token).encode()))
    return next(genuine, "")


def _signed(until: str, token: str) -> str:
    return f"{until}.{hmac.digest(token.encode(), f'{COOKIE}.{until}'.encode(), 'sha256').hex()}"
