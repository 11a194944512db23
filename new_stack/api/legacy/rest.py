"""The hub's REST bodies: reading them, and the words it refuses bad ones with. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from new_stack.api.legacy.messages import Fields
from new_stack.queue.jobs import PRIORITY_LIMIT, NewJob

CLIENT_ID: Final = "rest-api-client"
DOCUMENTS: Final = "https://errors.pydantic.dev/2.14/v/"
"""Part of the hub's answer: the page of the validator it uses, one for each kind of error."""

_any: Final = msgspec.json.Decoder()

Refused = dict[str, Any]


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


def read_legacy_job(fields: Fields, new_id: str) -> LegacyJob:
    """The job in a legacy body; it gets `new_id` where it names none. Raises LegacyRefusal with every error."""
    reading = _Reading(fields)
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

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self.errors: list[Refused] = []

    def _refuse(self, kind: str, name: str, message: str, found: Any) -> None:
        self.errors.append(_refused(kind, [name], message, found))

    def _missing(self, name: str) -> None:
        whole = {key: _any.decode(raw) for key, raw in self._fields.items()}
        self._refuse("missing", name, "Field required", whole)

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
            self._refuse("dict_type", "payload", "Input should be a valid dictionary", _any.decode(raw))
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
