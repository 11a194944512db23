"""The queue as a user's program takes it: `async with Queue("redis://…") as queue`, and jobs as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from new_stack import queue
from new_stack.queue.errors import InvalidJob
from new_stack.queue.function_caller import FunctionCaller


class NewJob(queue.NewJob, frozen=True, kw_only=True, omit_defaults=True):
    """A job as its submitter describes it: `NewJob(service_required="thumbnail", payload={"size": 64})`.

    `payload` and `extra` are JSON objects, as dicts or as `msgspec.Raw`. Raises InvalidJob, which names the field.
    """

    payload: Any = msgspec.Raw(b"{}")
    extra: Any = None

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(queue.NewJob):
            value = getattr(self, field.name)
            if field.type in {msgspec.Raw, msgspec.Raw | None}:
                msgspec.structs.force_setattr(self, field.name, _as_json(field.name, value))
                continue
            try:
                msgspec.convert(value, field.type)
            except msgspec.ValidationError as error:
                raise InvalidJob(field.name, str(error)) from error


class Queue(queue.Queue):
    """Submits, claims and reads jobs: `async with Queue("redis://127.0.0.1:6379/0") as queue`.

    Takes a URL, or QueueSettings for more. Entering raises QueueUnavailable, RedisTooOld, SettingsError.
    """

    def __init__(self, where: str | queue.QueueSettings | FunctionCaller) -> None:
        if isinstance(where, str):
            where = queue.QueueSettings(redis_url=where)
        super().__init__(where if isinstance(where, FunctionCaller) else FunctionCaller(where, install=True))

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def submit(self, job: queue.NewJob | Mapping[str, Any]) -> queue.Submission:
        """Submit one job, a dict of NewJob's fields or one. Raises InvalidJob, JobConflict, QueueUnavailable."""
        return await super().submit(_job(job))

    async def submit_many(
        self, jobs: Iterable[queue.NewJob | Mapping[str, Any]]
    ) -> list[queue.Submission | queue.QueueError]:
        """Submit many in few round trips: an answer or an error for each, in their order.

        Raises InvalidJob for a dict that is none, before anything is submitted, and QueueUnavailable.
        """
        return await super().submit_many([_job(one) for one in jobs])


def _job(job: queue.NewJob | Mapping[str, Any]) -> queue.NewJob:
    if isinstance(job, queue.NewJob):
        return job
    known = NewJob.__struct_fields__
    for name in job:
        if name not in known:
            raise InvalidJob(name, f"is no field of a job; there are {', '.join(known)}")
    return NewJob(**job)


def _as_json(name: str, value: Any) -> msgspec.Raw | None:
    if value is None or isinstance(value, msgspec.Raw):
        return value
    if not isinstance(value, Mapping):
        raise InvalidJob(name, f"must be a JSON object, not {type(value).__name__}")
    try:
        return msgspec.Raw(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidJob(name, f"cannot be written as JSON: {error}") from error
