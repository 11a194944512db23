"""Somebody else's job on the small foreign stack, which nobody may touch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis


@contextmanager
def beside_a_bystander(url: str) -> Iterator[redis.Redis]:
    """Empty the database but for one job of others that waits; at the end it still does, and all others have ended."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.flushdb()
        client.hset("job:theirs", mapping={"id": "theirs", "service_required": "theirs", "status": "pending"})
        client.zadd("jobs:pending:theirs", {"theirs": 1})
        yield client
        assert client.hget("job:theirs", "status") == "pending"
        assert {client.hget(key, "status") for key in others(client)} <= {"completed", "failed", "cancelled"}


def others(client: redis.Redis) -> list[str]:
    """The keys of all jobs but that one."""
    return [key for key in client.keys("job:*") if not key.endswith(":events") and key != "job:theirs"]
