"""Before every request: which page sends it, what token it shows, and what it asks."""

from __future__ import annotations

from aiohttp import web

from new_stack.api.guard.pages import preflight, require_own_page
from new_stack.api.guard.tokens import require_access
from new_stack.api.modern.query import require_known_query
from new_stack.api.services import SERVICES


def admit(request: web.Request) -> web.Response | None:
    """The answer where it is given here; None for a request that may be served. Raises a problem for any other."""
    services = request.app[SERVICES]
    require_own_page(request, services.settings)
    if request.method == "OPTIONS":
        return preflight(request, services.settings.cors_origins)
    require_access(request, services.settings, services.clock())
    require_known_query(request)
    return None
