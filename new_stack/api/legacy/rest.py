"""POST /api/jobs with the hub's body (`job_type`, `wait`, `timeout`), answered and refused in the hub's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Raw, UnsetType

from new_stack.api.http.http_io import answer, decoded
from new_stack.api.http.problems import FieldError, not_found, problem
from new_stack.api.legacy.messages import Fields
from new_stack.api.modern.schemas import job_view
from new_stack.api.retirement.callers import HUB_DIALECT
from new_stack.api.retirement.requests import admit_rest
from new_stack.api.services import SERVICES, Services
from new_stack.api.streaming.fanout import Item, Published
from new_stack.queue.events import ENDINGS
from new_stack.queue.jobs import PRIORITY_LIMIT, NewJob, Submission

CLIENT_ID: Final = "rest-api-client"
DOCUMENTS: Final = "https://errors.pydantic.dev/2.14/v/"
"""Part of the hub's answer: the page of the validator it uses, one for each kind of error."""

READ_SECONDS: Final = 5.0
"""How often one who waits reads the job itself, should the event of its end be lost."""

_any: Final = msgspec.json.Decoder()
_raw: Final = msgspec.json.Decoder(Raw)

Refused = dict[str, Any]

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
    "model_attributes_type": "Input should be a valid dictionary or object to extract fields from",
}
"""The hub's words for each kind of error."""


class LegacyFields(msgspec.Struct):
    """The fields that are read of a body; others cost nothing."""

    job_type: Raw | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET
    priority: Raw | UnsetType = UNSET
    job_id: Raw | UnsetType = UNSET
    wait: Raw | UnsetType = UNSET
    timeout: Raw | UnsetType = UNSET


_fields: Final = msgspec.json.Decoder(LegacyFields)


class LegacyJob(msgspec.Struct, frozen=True):
    """A legacy body, read: the job, and whether the caller waits for its end, how many seconds."""

    job: NewJob
    wait: bool
    timeout: float


class LegacyRefusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """A body with these errors, in the hub's words."""

    def __init__(self, errors: list[Refused]) -> None:
        super().__init__(", ".join(error["msg"] for error in errors))
        self.errors = errors


class _Wrong(Exception):  # noqa: N818 - as above
    """A field's value is none that it may have."""

    def __init__(self, kind: str, message: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.message = message


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise _Wrong("string_type")
    return found


def _text_or_null(found: Any) -> str | None:
    return None if found is None else _text(found)


def _object(raw: Raw) -> Raw:
    if bytes(raw).lstrip()[:1] != b"{":
        raise _Wrong("dict_type")
    return raw


def _priority(found: Any) -> int:
    if isinstance(found, str):
        try:
            found = int(found.strip())
        except ValueError:
            raise _Wrong("int_parsing") from None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise _Wrong("int_type")
    if isinstance(found, float) and not found.is_integer():
        raise _Wrong("int_from_float")
    if abs(found) > PRIORITY_LIMIT:
        raise _Wrong("less_than_equal" if found > 0 else "greater_than_equal")
    return int(found)


def _truth(found: Any) -> bool:
    if not isinstance(found, bool):
        raise _Wrong("bool_parsing")
    return found


def _seconds(found: Any) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 86_400:
        raise _Wrong("int_parsing", "Input should be a valid number of seconds, up to 86400")
    return found


FIELDS: Final[dict[str, tuple[Callable[[Any], Any], Any]]] = {
    "job_type": (_text, UNSET),
    "payload": (_object, UNSET),
    "priority": (_priority, 0),
    "job_id": (_text_or_null, None),
    "wait": (_truth, False),
    "timeout": (_seconds, 300),
}
"""How each field is read, and what it is where it is absent; without that, it is required."""


def read_legacy_job(fields: Fields, new_id: str, body: Raw) -> LegacyJob:
    """The job in a legacy body; it gets `new_id` where it names none. Raises LegacyRefusal with every error."""
    values: dict[str, Any] = {}
    errors: list[Refused] = []
    for name, (read, default) in FIELDS.items():
        raw = fields.get(name)
        if raw is None:
            values[name] = default
            if default is UNSET:
                errors.append(_refused(_Wrong("missing"), [name], body))
            continue
        found = raw if read is _object else _any.decode(raw)
        try:
            values[name] = read(found)
        except _Wrong as wrong:
            errors.append(_refused(wrong, [name], found))
    if errors:
        raise LegacyRefusal(errors)
    job = NewJob(
        payload=values["payload"],
        service_required=values["job_type"] or "unknown",
        priority=values["priority"],
        id=values["job_id"] or f"job-rest-{new_id}",
        client_id=CLIENT_ID,
    )
    return LegacyJob(job, values["wait"], values["timeout"])


def not_an_object(found: Any) -> LegacyRefusal:
    """A body that is JSON and no object."""
    return LegacyRefusal([_refused(_Wrong("model_attributes_type"), [], found)])


def _refused(wrong: _Wrong, where: list[str], found: Any) -> Refused:
    message = wrong.message or MESSAGES[wrong.kind]
    url = f"{DOCUMENTS}{wrong.kind}"
    return {"type": wrong.kind, "loc": ["body", *where], "msg": message, "input": found, "url": url}


async def submit_legacy(request: web.Request, body: bytes) -> web.Response:
    """Submit a legacy body; with `wait`, answer when the job has ended or the time is up."""
    services = request.app[SERVICES]
    try:
        wanted = _read(body, services.new_id())
    except LegacyRefusal as refusal:
        errors = [FieldError(".".join(error["loc"]), error["msg"]) for error in refusal.errors]
        raise problem(422, refusal.errors, errors=errors) from None
    admit_rest(request, HUB_DIALECT, "POST /api/jobs with wait" if wanted.wait else "POST /api/jobs")
    if wanted.wait:
        return await _submit_and_wait(services, wanted)
    job_id = (await _submit(services, wanted.job)).job_id
    message = f"Job submitted successfully with ID: {job_id}"
    return answer({"success": True, "job_id": job_id, "message": message})


def _read(body: bytes, new_id: str) -> LegacyJob:
    found = decoded(body, _raw)
    if body[:64].lstrip()[:1] != b"{":
        raise not_an_object(found)
    known = msgspec.structs.asdict(_fields.decode(body))
    fields = {name: raw for name, raw in known.items() if raw is not UNSET}
    return read_legacy_job(fields, new_id, found)


async def _submit(services: Services, job: NewJob) -> Submission:
    submission = await services.queue.submit(job)
    services.metrics.submitted["legacy_http"] += 1
    return submission


async def _submit_and_wait(services: Services, wanted: LegacyJob) -> web.Response:
    job_id = wanted.job.id or ""
    subscriber = services.fanout.subscriber()
    services.fanout.follow_job(subscriber, job_id)
    try:
        ended = (await _submit(services, wanted.job)).state.ended
        try:
            async with asyncio.timeout(wanted.timeout):
                while not ended:
                    items = await subscriber.take(READ_SECONDS)
                    if subscriber.closed is not None:
                        return await _so_far(services, job_id, subscriber.closed)
                    ended = await _ended(services, job_id, items)
        except TimeoutError:
            late = f"Timeout: Job did not complete within {wanted.timeout} seconds"
            return await _so_far(services, job_id, late)
        return await _so_far(services, job_id, None)
    finally:
        services.fanout.remove(subscriber, jobs=(job_id,))


async def _ended(services: Services, job_id: str, items: list[Item]) -> bool:
    """Whether the job has ended, by its events; it is read only where there are none, or some were missed."""
    if items and all(isinstance(item, Published) for item in items):
        return any(isinstance(item, Published) and item.event.kind in ENDINGS for item in items)
    job = await services.queue.job(job_id, bodies=False)
    return job is None or job.state.ended


async def _so_far(services: Services, job_id: str, error: str | None) -> web.Response:
    job, position = await services.job_and_position(job_id)
    if job is None:
        raise not_found(job_id)
    view = job_view(job, position) | {"payload": None}  # as the hub answers those who wait
    return answer(view if error is None else view | {"error": error})
