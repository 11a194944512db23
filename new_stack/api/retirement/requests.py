"""Requests over HTTP: those of the legacy REST are admitted and told what is deprecated, and all are counted."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from new_stack.api.http.problems import ProblemError
from new_stack.api.retirement.callers import CALLER, MODERN, MODERN_ROUTES, REST, Caller, caller_of
from new_stack.api.retirement.rules import Standing
from new_stack.api.services import SERVICES

FIRST_ERROR: Final = 400


def admit_rest(request: web.Request, dialect: str, route: str) -> Caller:
    """Count a call of the legacy REST, and say whose it is. Raises a 410 problem where it is not served to it now."""
    services = request.app[SERVICES]
    caller = request[CALLER] = caller_of(request, REST, dialect)
    decision = services.retirement.of_call(caller)
    if decision.standing is Standing.REFUSED:
        raise ProblemError(410, decision.sentence, hint="The API is described at /openapi.json.")
    services.usage.count(caller, route)
    return caller


def told_headers(request: web.Request, status: int) -> dict[str, str]:
    """What is deprecated, for a caller of the legacy side; nothing for others, whose requests are counted."""
    services = request.app[SERVICES]
    if (caller := request.get(CALLER)) is not None:
        return services.retirement.headers(caller)
    resource = request.match_info.route.resource
    route = MODERN_ROUTES.get((request.method, resource.canonical if resource is not None else ""))
    if route is not None and status < FIRST_ERROR:
        services.usage.count(caller_of(request, route[0], MODERN), route[1])
    return {}
