"""GET /dashboard: the monitor's page. Its parts are files of this folder; nothing comes from elsewhere."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from aiohttp import web

from new_stack.api.http.problems import ProblemError

TYPES: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "txt": "text/plain",
}
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
"""A browser runs and asks for what this server serves, and no more; it asks each time whether a file has changed."""


async def page(request: web.Request) -> web.Response:
    """The page: the same for every view, since its script reads from the path which one is meant."""
    return _answer(request, "index.html")


async def part(request: web.Request) -> web.Response:
    """A file of the page: script, style or picture."""
    return _answer(request, request.match_info["name"])


def _answer(request: web.Request, name: str) -> web.Response:
    body = _files().get(name)
    if body is None:
        raise ProblemError(404, f"The dashboard has no file {name}.")
    tag = sha256(body).hexdigest()[:32]
    kind = TYPES[name.rpartition(".")[2]]
    if any(known.value == tag for known in request.if_none_match or ()):
        return web.Response(status=304, headers=HEADERS | {"ETag": f'"{tag}"'})
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS | {"ETag": f'"{tag}"'})


@cache
def _files() -> dict[str, bytes]:
    """Every file of the page by its name below `static`."""
    found: dict[str, bytes] = {}

    def walk(folder: Traversable, before: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                walk(entry, f"{before}{entry.name}/")
            elif entry.name.rpartition(".")[2] in TYPES:
                found[before + entry.name] = entry.read_bytes()

    walk(files(__package__).joinpath("static"), "")
    return found


ROUTES: Final = (
    ("GET", "/dashboard", page),
    ("GET", "/dashboard/static/{name:.+}", part),
    ("GET", "/dashboard/{view:.*}", page),
)
