"""The hub's REST: jobs are submitted and read.

A body of the hub's (`job_type`, `wait`, `timeout`) is answered and refused in the hub's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import NoneType
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Raw, UnsetType

from new_stack.api.guard.bodies import received
from new_stack.api.http.http_io import answer, decoded
from new_stack.api.http.problems import FieldError, ProblemError, not_found
from new_stack.api.legacy.v2.universal import universal_job
from new_stack.api.modern.jobs import submit_modern
from new_stack.api.modern.schemas import job_view
from new_stack.api.retirement.callers import HUB_DIALECT
from new_stack.api.retirement.requests import admit_rest
from new_stack.api.services import SERVICES, Services
from new_stack.api.sse.follow import following
from new_stack.queue.jobs import PRIORITY_LIMIT, Job, NewJob

DOCUMENTS: Final = "https://errors.pydantic.dev/2.14/v/"
"""Part of the hub's answer: the page of the validator it uses, one for each kind of error."""

_raw: Final = msgspec.json.Decoder(Raw)

MESSAGES: Final = {
    "missing": "Field required",
    "string_type": "Input should be a valid string",
    "dict_type": "Input should be a valid dictionary",
    "int_type": "Input should be a valid integer",
    "int_from_float": "Input should be a valid integer, got a number with a fractional part",
    "int_parsing": "Input should be a valid integer, unable to parse string as an integer",
    "less_than_equal": f"Input should be less than or equal to {PRIORITY_LIMIT}",
    "greater_than_equal": f"Input should be greater than or equal to {-PRIORITY_LIMIT}",
    "bool_parsing": "Input should be a valid boolean",
    "float_type": "Input should be a valid number of seconds, up to 86400",
    "model_attributes_type": "Input should be a valid dictionary or object to extract fields from",
}
"""The hub's words for each kind of error."""


def _unless(kind: str, *types: type) -> Callable[[Any], str | None]:
    """The kind of error of a value that is of none of these types."""
    return lambda found: None if isinstance(found, types) else kind


def _wrong_priority(found: Any) -> str | None:
    if isinstance(found, str):
        try:
            found = int(found.strip())
        except ValueError:
            return "int_parsing"
    if isinstance(found, bool) or not isinstance(found, int | float):
        return "int_type"
    if isinstance(found, float) and not found.is_integer():
        return "int_from_float"
    if abs(found) > PRIORITY_LIMIT:
        return "less_than_equal" if found > 0 else "greater_than_equal"
    return None


def _wrong_seconds(found: Any) -> str | None:
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return None if is_number and 0 <= found <= 86_400 else "float_type"


FIELDS: Final[dict[str, tuple[Callable[[Any], str | None], Raw | UnsetType]]] = {
    "job_type": (_unless("string_type", str), UNSET),
    "payload": (lambda found: None if bytes(found).lstrip()[:1] == b"{" else "dict_type", UNSET),
    "priority": (_wrong_priority, Raw(b"0")),
    "job_id": (_unless("string_type", str, NoneType), Raw(b"null")),
    "wait": (_unless("bool_parsing", bool), Raw(b"false")),
    "timeout": (_wrong_seconds, Raw(b"300")),
}
"""How each field is judged, and what it is where it is absent; without that, it is required. A payload stays raw."""

_fields: Final = msgspec.json.Decoder(
    msgspec.defstruct("LegacyFields", [(name, Raw | UnsetType, default) for name, (_, default) in FIELDS.items()])
)
"""Reads these fields of a body; others cost nothing."""


def read_legacy_job(body: bytes, new_id: str) -> tuple[NewJob, float | None]:
    """The job in a legacy body, and how many seconds the caller waits for its end, if it does.

    The job gets `new_id` where it names none. Raises a 422 problem with every error, 400 for what is no JSON.
    """
    whole = decoded(body, _raw)
    if body[:64].lstrip()[:1] != b"{":
        raise _refusal([_refused("model_attributes_type", [], whole)])
    fields = _fields.decode(body)
    values: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    for name, (wrong, _) in FIELDS.items():
        raw = getattr(fields, name)
        found = values[name] = raw if raw is UNSET or name == "payload" else msgspec.json.decode(raw)
        if raw is UNSET:
            errors.append(_refused("missing", [name], whole))
        elif kind := wrong(found):
            errors.append(_refused(kind, [name], found))
    if errors:
        raise _refusal(errors)
    job = NewJob(
        payload=values["payload"],
        service_required=values["job_type"] or "unknown",
        priority=int(values["priority"]),
        id=values["job_id"] or f"job-rest-{new_id}",
    )
    return job, values["timeout"] if values["wait"] else None


def _refused(kind: str, where: list[str], found: Any) -> dict[str, Any]:
    return {"type": kind, "loc": ["body", *where], "msg": MESSAGES[kind], "input": found, "url": f"{DOCUMENTS}{kind}"}


def _refusal(errors: list[dict[str, Any]]) -> ProblemError:
    return ProblemError(422, errors, errors=[FieldError(".".join(error["loc"]), error["msg"]) for error in errors])


async def submit(request: web.Request) -> web.Response:
    """POST /api/jobs: the hub's body, or a modern job or a list of them, told apart by what they hold.

    Who waits for the end of the job is one of the long-lived connections of its address, and keeps no body.
    """
    services = request.app[SERVICES]
    with ExitStack() as place:
        async with received(request) as body:
            if (answered := await submit_modern(services, body)) is not None:
                return answered
            job, seconds = read_legacy_job(body, services.new_id())
            waits = seconds is not None
            caller = admit_rest(request, HUB_DIALECT, "POST /api/jobs with wait" if waits else "POST /api/jobs")
            if waits:
                place.enter_context(services.limiter.connection(request))
            job_id = (await services.queue.submit(msgspec.structs.replace(job, client_id=caller.client))).job_id
            services.metrics.submitted["legacy_http"] += 1
        del body, job
        if seconds is not None:
            return await _answer_at_end(services, job_id, seconds)
    return answer({"success": True, "job_id": job_id, "message": f"Job submitted successfully with ID: {job_id}"})


async def _answer_at_end(services: Services, job_id: str, seconds: float) -> web.Response:
    try:
        async with asyncio.timeout(seconds):
            with following(services, job_id, None) as follower:
                await follower.prepare()
                error = None if await follower.run(_Unheard()) else follower.closed
    except TimeoutError:
        error = f"Timeout: Job did not complete within {seconds} seconds"
    view = job_view(await _job(services, job_id)) | {"payload": None}  # as the hub answers those who wait
    return answer(view if error is None else view | {"error": error})


class _Unheard:
    """Who waits for the end of a job only hears nothing of what leads to it."""

    async def write_all(self, parts: Iterable[bytes]) -> None:
        pass


async def status(request: web.Request) -> web.Response:
    """GET /api/jobs/{job_id}."""
    job = await _job(request.app[SERVICES], request.match_info["job_id"])
    return answer(job_view(job) | {"job": universal_job(job)})


async def _job(services: Services, job_id: str) -> Job:
    job = await services.queue.job(job_id)
    if job is None:
        raise not_found(job_id)
    return job


ROUTES: Final = (
    ("POST", "/api/jobs", submit),
    ("GET", "/api/jobs/{job_id:[^/]+}", status),
)
