"""GET /openapi.json: the description of the API. tests/new_stack/api hold it against the routes and their answers."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web


async def document(_request: web.Request) -> web.Response:
    """The document, read when first asked for."""
    return web.Response(body=_document(), content_type="application/json")


@cache
def _document() -> bytes:
    return files(__package__).joinpath("openapi.json").read_bytes()


ROUTES: Final = (("GET", "/openapi.json", document),)
