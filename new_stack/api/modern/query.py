"""Refuses what a query says that its route does not read: a typo would be answered with all there is."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from new_stack.api.http.problems import invalid
from new_stack.api.operation.openapi import query_names

OLDER: Final = frozenset({("POST", "/api/jobs"), ("GET", "/api/jobs/{job_id}"), ("GET", "/api/jobs/{job_id}/progress")})
"""Routes of the hub's clients or of the universal client as well, who, or what is on their way, may say more."""


def require_known_query(request: web.Request) -> None:
    """Raises a 422 problem that names the first unknown name of a query below `/api/`."""
    resource = request.match_info.route.resource
    route = (request.method, resource.canonical if resource is not None else "")
    known = query_names().get(route) if request.query_string and route not in OLDER else None
    if known is None or not route[1].startswith("/api/"):
        return
    for name in request.query:
        if name not in known and name != "token":  # that one every route reads
            there_are = f"; there are {', '.join(sorted(known))}" if known else ""
            raise invalid(name, f"is no parameter of this route{there_are}")
