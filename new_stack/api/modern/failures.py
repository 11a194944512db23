"""Dead letters over HTTP: failed jobs by reason, retried or dropped in bulk."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from new_stack.api.guard.bodies import received
from new_stack.api.http.http_io import answer, decoded
from new_stack.api.http.problems import invalid
from new_stack.api.modern.wording import whole_number
from new_stack.api.services import SERVICES
from new_stack.queue.dead_letters import STATES, Action, FailureFilter, failures, in_bulk

GROUPS_LIMIT: Final = 1_000


class BulkRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Jobs to be retried, cancelled or dropped together. Nothing is changed unless `dry_run` is false."""

    action: Action
    filter: FailureFilter = FailureFilter()
    dry_run: bool = True
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    cancel_reason: Annotated[str, Meta(max_length=1_000)] = "Manually cancelled"


_bulk: Final = msgspec.json.Decoder(BulkRequest)


async def listing(request: web.Request) -> web.Response:
    """GET /api/failures: the failed jobs by service and reason, the commonest first."""
    wanted = FailureFilter(
        service=request.query.get("service") or None, worker_id=request.query.get("worker_id") or None
    )
    limit = whole_number(request, "limit", 100, 1, GROUPS_LIMIT)
    found = await failures(request.app[SERVICES].queue, wanted)
    return answer(msgspec.structs.replace(found, groups=found.groups[:limit]))


async def bulk(request: web.Request) -> web.Response:
    """POST /api/jobs/bulk: retry, cancel or drop jobs by a filter."""
    async with received(request) as body:
        wanted = decoded(body, _bulk)
    state = wanted.filter.state
    if state is not None and state not in STATES[wanted.action]:
        raise invalid("filter.state", f"must be one of {', '.join(STATES[wanted.action])} to {wanted.action}")
    found = await in_bulk(
        request.app[SERVICES].queue,
        wanted.action,
        wanted.filter,
        dry_run=wanted.dry_run,
        limit=wanted.limit,
        cancel_reason=wanted.cancel_reason,
    )
    return answer(found)


ROUTES: Final = (
    ("POST", "/api/jobs/bulk", bulk),
    ("GET", "/api/failures", listing),
)
