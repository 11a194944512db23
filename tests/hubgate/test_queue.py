"""The queue as a user's program takes it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.processes import Valkey
from hubgate import InvalidJob, NewJob, Queue, QueueSettings


async def test_jobs_are_plain_values_and_the_queue_a_context(valkey: Valkey) -> None:
    async with Queue(valkey.url) as queue:
        one = await queue.submit(NewJob(id="front-1", service_required="s", payload={"size": 64}))
        two, three = await queue.submit_many(
            [{"id": "front-2", "service_required": "s", "payload": {"size": 1}}, NewJob(id="front-3", extra={"a": 1})]
        )
        job = await queue.job("front-1")
    assert (one.job_id, bytes(job.payload) if job else None) == ("front-1", b'{"size":64}')
    assert [answer.job_id for answer in (two, three)] == ["front-2", "front-3"]  # type: ignore[union-attr]
    async with Queue(QueueSettings(redis_url=valkey.url, prefix="other:")) as elsewhere:
        assert await elsewhere.job("front-1") is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"payload": "a cat"}, "payload: must be a JSON object, not str"),
        ({"payload": {"a": object()}}, "payload: cannot be written as JSON: "),
        ({"priority": "high"}, "priority: Expected `int`, got `str`"),
        ({"extra": [1]}, "extra: must be a JSON object, not list"),
    ],
)
def test_an_error_names_the_field(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidJob, match=re.escape(says)):
        NewJob(**fields)


async def test_a_dict_with_an_unknown_field_names_it_and_those_that_there_are(valkey: Valkey) -> None:
    async with Queue(valkey.url) as queue:
        with pytest.raises(InvalidJob, match="service: is no field of a job; there are payload, service_required"):
            await queue.submit({"service": "s"})
