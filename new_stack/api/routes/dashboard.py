"""GET /dashboard: the live monitor, one page that needs nothing but this server."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from aiohttp import web

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def page(_request: web.Request) -> web.Response:
    """The page; it fetches /api/stats and follows /api/events itself."""
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    return web.Response(body=_page(), content_type="text/html", charset="utf-8", headers=headers)


@cache
def _page() -> bytes:
    """The page with its style and script put in place: one response, nothing to fetch beside it."""
    folder = files("new_stack.api").joinpath("dashboard")
    style, script = (folder.joinpath(name).read_text("utf-8") for name in ("style.css", "page.js"))
    page = folder.joinpath("page.html").read_text("utf-8")
    return page.replace("/*style*/", style).replace("/*script*/", script).encode()
