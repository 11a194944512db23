"""GET /openapi.json."""

from __future__ import annotations

from functools import cache

from aiohttp import web


async def document(_request: web.Request) -> web.Response:
    """The description of the API; built when first asked for."""
    return web.Response(body=_document(), content_type="application/json")


@cache
def _document() -> bytes:
    from new_stack.api.openapi import build  # noqa: PLC0415 - most processes are never asked

    return build()
