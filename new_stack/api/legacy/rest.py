"""POST /api/jobs with the hub's body (`job_type`, `wait`, `timeout`), answered and refused in the hub's words."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Raw, UnsetType

from new_stack.api.http.http_io import answer, decoded
from new_stack.api.http.problems import FieldError, not_found, problem
from new_stack.api.http.schemas import job_view
from new_stack.api.legacy.messages import Fields
from new_stack.api.services import Services
from new_stack.api.streaming.fanout import Item, Published
from new_stack.queue.events import ENDINGS
from new_stack.queue.jobs import PRIORITY_LIMIT, NewJob, Submission

CLIENT_ID: Final = "rest-api-client"
DOCUMENTS: Final = "https://errors.pydantic.dev/2.14/v/"
"""Part of the hub's answer: the page of the validator it uses, one for each kind of error."""

_any: Final = msgspec.json.Decoder()
_raw: Final = msgspec.json.Decoder(Raw)
READ_SECONDS: Final = 5.0
"""How often one who waits reads the job itself, should the event of its end be lost."""

Refused = dict[str, Any]


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


def read_legacy_job(fields: Fields, new_id: str, body: Raw) -> LegacyJob:
    """The job in a legacy body; it gets `new_id` where it names none. Raises LegacyRefusal with every error."""
    reading = _Reading(fields, body)
    job_type = reading.text("job_type", required=True)
    payload = reading.payload()
    priority = reading.whole("priority", 0, PRIORITY_LIMIT)
    job_id = reading.text("job_id")
    wait = reading.truth("wait")
    timeout = reading.seconds("timeout", 300)
    if reading.errors:
        raise LegacyRefusal(reading.errors)
    job = NewJob(
        payload=payload,
        service_required=job_type or "unknown",
        priority=priority,
        id=job_id or f"job-rest-{new_id}",
        client_id=CLIENT_ID,
    )
    return LegacyJob(job, wait, timeout)


def not_an_object(found: Any) -> LegacyRefusal:
    """A body that is JSON and no object."""
    message = "Input should be a valid dictionary or object to extract fields from"
    return LegacyRefusal([_refused("model_attributes_type", [], message, found)])


def _refused(kind: str, where: list[str], message: str, found: Any) -> Refused:
    return {"type": kind, "loc": ["body", *where], "msg": message, "input": found, "url": f"{DOCUMENTS}{kind}"}


class _Reading:
    """Reads fields one after the other and collects what is wrong with them, as the hub does."""

    def __init__(self, fields: Fields, body: Raw) -> None:
        self._fields = fields
        self._body = body
        self.errors: list[Refused] = []

    def _refuse(self, kind: str, name: str, message: str, found: Any) -> None:
        self.errors.append(_refused(kind, [name], message, found))

    def _missing(self, name: str) -> None:
        self._refuse("missing", name, "Field required", self._body)

    def text(self, name: str, *, required: bool = False) -> str | None:
        raw = self._fields.get(name)
        if raw is None:
            if required:
                self._missing(name)
            return None
        found = _any.decode(raw)
        if found is None and not required:
            return None
        if not isinstance(found, str):
            self._refuse("string_type", name, "Input should be a valid string", found)
            return None
        return found

    def payload(self) -> Raw:
        raw = self._fields.get("payload")
        if raw is None:
            self._missing("payload")
        elif bytes(raw).lstrip()[:1] != b"{":
            self._refuse("dict_type", "payload", "Input should be a valid dictionary", raw)
        else:
            return raw
        return Raw(b"{}")

    def whole(self, name: str, default: int, limit: int) -> int:
        raw = self._fields.get(name)
        if raw is None:
            return default
        found = _any.decode(raw)
        number = self._number(name, found)
        if number is not None and number > limit:
            message = f"Input should be less than or equal to {limit}"
            self._refuse("less_than_equal", name, message, found)
        if number is not None and number < -limit:
            message = f"Input should be greater than or equal to {-limit}"
            self._refuse("greater_than_equal", name, message, found)
        return default if number is None else number

    def _number(self, name: str, found: Any) -> int | None:
        if isinstance(found, str):
            try:
                return int(found.strip())
            except ValueError:
                message = "Input should be a valid integer, unable to parse string as an integer"
                self._refuse("int_parsing", name, message, found)
                return None
        if isinstance(found, float) and not found.is_integer():
            message = "Input should be a valid integer, got a number with a fractional part"
            self._refuse("int_from_float", name, message, found)
            return None
        if isinstance(found, bool) or not isinstance(found, int | float):
            self._refuse("int_type", name, "Input should be a valid integer", found)
            return None
        return int(found)

    def truth(self, name: str) -> bool:
        raw = self._fields.get(name)
        found = False if raw is None else _any.decode(raw)
        if not isinstance(found, bool):
            self._refuse("bool_parsing", name, "Input should be a valid boolean", found)
            return False
        return found

    def seconds(self, name: str, default: float) -> float:
        raw = self._fields.get(name)
        found = default if raw is None else _any.decode(raw)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 86_400:
            self._refuse("int_parsing", name, "Input should be a valid number of seconds, up to 86400", found)
            return default
        return found


async def submit_legacy(services: Services, body: bytes) -> web.Response:
    """Submit a legacy body; with `wait`, answer when the job has ended or the time is up."""
    try:
        wanted = _read(body, services.new_id())
    except LegacyRefusal as refusal:
        errors = [FieldError(".".join(error["loc"]), error["msg"]) for error in refusal.errors]
        raise problem(422, refusal.errors, errors=errors) from None
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
    job = await services.queue.job(job_id)
    return job is None or job.state.ended


async def _so_far(services: Services, job_id: str, error: str | None) -> web.Response:
    job, position = await services.job_and_position(job_id)
    if job is None:
        raise not_found(job_id)
    return answer(job_view(job, position, error) | {"payload": None})  # as the hub answers those who wait
