"""Before every request: which page sends it, whether it shows a token, and how long its connection may wait."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from new_stack.api.guard.pages import preflight, require_own_page
from new_stack.api.guard.tokens import require_access
from new_stack.api.services import SERVICES

KEEPALIVE_SECONDS: Final = 75.0
"""How long a connection may wait for its next request; longer than the load balancers in front of it do."""


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve what may be served. Raises a problem for anything else."""
    services = request.app[SERVICES]
    if request.protocol is not None:
        request.protocol._keepalive_timeout = KEEPALIVE_SECONDS  # noqa: SLF001 - aiohttp has one timeout for both
    require_own_page(request, services.settings)
    if request.method == "OPTIONS":
        return preflight(request, services.settings.cors_origins)
    require_access(request, services.settings, services.clock())
    return await handler(request)
