"""GET /dashboard: the live monitor, one page that needs nothing but this server."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from aiohttp import web


async def page(_request: web.Request) -> web.Response:
    """The page; it fetches /api/stats and follows /api/events itself."""
    text, policy = _page()
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}
    return web.Response(body=text, content_type="text/html", charset="utf-8", headers=headers)


@cache
def _page() -> tuple[bytes, str]:
    """The page with its style and script put in place, and the policy that lets a browser run these and no others."""
    folder = files(__package__)
    style, script, text = (folder.joinpath(name).read_text("utf-8") for name in ("style.css", "page.js", "page.html"))
    policy = (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text.replace("/*style*/", style).replace("/*script*/", script).encode(), policy


def _source(text: str) -> str:
    """An inline text as a policy names it: by its hash."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
