"""Many jobs in one POST."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import msgspec
from aiohttp import web

from new_stack.api.http.http_io import answer, decoded
from new_stack.api.http.problems import ProblemError, from_queue, invalid
from new_stack.api.modern.schemas import JobRequest, read_job
from new_stack.api.services import Services
from new_stack.queue.errors import QueueError
from new_stack.queue.jobs import NewJob, Submission

_requests: Final = msgspec.json.Decoder(list[msgspec.Raw])
_request: Final = msgspec.json.Decoder(JobRequest)
_mark: Final = re.compile(rb'[\[\]{},"]')
_in_string: Final = re.compile(rb'\\.|"', re.DOTALL)

COMMAS_READ_AT_ONCE: Final = 50_000
"""A list with more commas is counted before it is read: each item costs memory, however short it is."""


async def submit_many(services: Services, body: bytes) -> web.Response | None:
    """Submit a list: each item is answered as it alone would have been. None for an empty one: it is the hub's."""
    limit = services.settings.batch_limit
    if body.count(b",") > COMMAS_READ_AT_ONCE and await asyncio.to_thread(count_items, body, limit + 1) > limit:
        raise _too_many(f"more than {limit}", limit)
    rows = decoded(body, _requests)
    if not rows:
        return None
    if len(rows) > limit:
        raise _too_many(str(len(rows)), limit)
    jobs: list[NewJob | ProblemError] = []
    for row in rows:
        try:
            jobs.append(read_job(decoded(bytes(row), _request), bytes(row)))
        except ProblemError as error:
            jobs.append(error)
    results = iter(await services.queue.submit_many([job for job in jobs if isinstance(job, NewJob)]))
    items = [_batch_item(next(results) if isinstance(job, NewJob) else job) for job in jobs]
    services.metrics.submitted["http"] += sum("job" in item for item in items)
    return answer(items)


def _too_many(count: str, limit: int) -> ProblemError:
    return invalid("body", f"holds {count} jobs; one request may carry {limit}")


def _batch_item(result: Submission | QueueError | ProblemError) -> dict[str, Any]:
    """What became of one job of a batch: the `job`, or the `problem`; `status` as it alone would have had."""
    if isinstance(result, QueueError):
        result = from_queue(result)
    if isinstance(result, ProblemError):
        return {"status": result.document.status, "problem": result.document}
    job = {
        "job_id": result.job_id,
        "status": result.state,
        "created": result.created,
        "position": result.position or None,
    }
    return {"status": 201 if result.created else 200, "job": job}


def count_items(body: bytes, enough: int) -> int:
    """How many items a JSON list has, without building any; counting stops at `enough`.

    Brackets and commas are counted outside of strings. Whatever is no JSON is found when the list is read.
    """
    depth, items, at = 0, 1, 0
    while items < enough and (found := _mark.search(body, at)) is not None:
        mark, at = found[0], found.end()
        if mark == b'"':
            while (inside := _in_string.search(body, at)) is not None:
                at = inside.end()
                if inside[0] == b'"':
                    break
        elif mark == b",":
            items += depth == 1
        else:
            depth += 1 if mark in b"[{" else -1
    return items
