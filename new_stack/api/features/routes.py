"""The routes of what the hub had not, and its work in the background."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from new_stack.api import dashboard
from new_stack.api.guard import session
from new_stack.api.guard.limits import watch_descriptors
from new_stack.api.legacy.v2 import rest as later_rest
from new_stack.api.legacy.v2 import routes as later_sockets
from new_stack.api.modern import cassette, failures, jobs
from new_stack.api.operation import controls, health, openapi, overview
from new_stack.api.retirement import routes as retirement
from new_stack.api.services import Services
from new_stack.api.settings import ApiSettings
from new_stack.api.sse import event_feed, follow

PARTS: Final = (later_sockets, jobs, cassette, failures, follow, event_feed, health, controls, overview, openapi)
PAGES: Final = (session, retirement, dashboard)
ROUTES: Final = tuple(route for part in (*PARTS, *PAGES) for route in part.ROUTES)


def asked_for(settings: ApiSettings) -> tuple[later_rest.Route, ...]:
    """The routes that are served only where a setting asks for them."""
    return later_rest.ROUTES if settings.later_rest else ()


def background(services: Services) -> dict[str, Awaitable[None]]:
    """The work, each by its name in the log."""
    return {"usage": services.usage.run(), "retirement": services.retirement.run(), "descriptors": watch_descriptors()}
