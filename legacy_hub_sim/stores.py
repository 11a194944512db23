"""Where the hub keeps its jobs: in this process's memory, or in Redis as the hub does.

In Redis a job is a hash, and one sorted set is the queue. The client blocks the whole process, and jobs are read with
one command after another: that is what fault `linear-cost` costs, and nothing here sleeps.
"""
# ruff: noqa: D102 - the methods are documented once, in `core.jobs.JobStore`

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import redis

from legacy_hub_sim.core.jobs import Fields, StoreError

JOB = "job:"
QUEUE = "job_priority_queue"
WAITING = "jobs_waiting:"
STATE = "hub_memory"
TIMEOUT_SECONDS = 30


class MemoryStore:
    """Jobs in this process's memory: for tests, and for a hub that needs no Redis."""

    def __init__(self) -> None:
        self._records: dict[str, Fields] = {}
        self._scores: dict[str, float] = {}
        self._waiting: dict[str, dict[str, None]] = {}
        self._state: bytes | None = None

    def exists(self, job_id: str) -> bool:
        return job_id in self._records

    def read(self, job_id: str) -> Fields:
        return dict(self._records.get(job_id, {}))

    def write(self, job_id: str, fields: Mapping[str, str]) -> None:
        self._records.setdefault(job_id, {}).update(fields)

    def erase(self, job_id: str, names: Sequence[str]) -> None:
        record = self._records.get(job_id, {})
        for name in names:
            record.pop(name, None)

    def every(self) -> Iterator[tuple[str, Fields]]:
        for job_id in list(self._records):
            yield job_id, self.read(job_id)

    def queue(self) -> list[str]:
        # Equal scores are ordered as in Redis, by name from the end.
        return sorted(self._scores, key=lambda job_id: (self._scores[job_id], job_id.encode()), reverse=True)

    def peek(self, job_id: str) -> tuple[str | None, str | None]:
        record = self._records.get(job_id, {})
        return record.get("status"), record.get("job_type")

    def enqueue(self, job_id: str, score: float) -> None:
        self._scores[job_id] = score

    def rank(self, job_id: str) -> int | None:
        return self.queue().index(job_id) if job_id in self._scores else None

    def queued(self) -> int:
        return len(self._scores)

    def index(self, job_id: str, job_type: str) -> None:
        self._waiting.setdefault(job_type, {})[job_id] = None

    def unindex(self, job_id: str, job_type: str) -> None:
        self._waiting.get(job_type, {}).pop(job_id, None)

    def indexed(self, job_type: str) -> list[tuple[str, Fields]]:
        return [(job_id, self.read(job_id)) for job_id in self._waiting.get(job_type, {})]

    def save_state(self, state: bytes) -> None:
        self._state = state

    def load_state(self) -> bytes | None:
        return self._state


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Turn the Redis client's errors into `StoreError`, with its text."""
    try:
        yield
    except redis.RedisError as error:
        raise StoreError(str(error)) from error


class Connection(redis.Redis):
    """A Redis connection whose commands raise `StoreError`."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with store_errors():
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis has no types here


class RedisStore:
    """Jobs in Redis over one connection; raises `StoreError` when it does not answer."""

    def __init__(self, url: str) -> None:
        try:
            self._redis: Any = Connection.from_url(url, decode_responses=True, socket_timeout=TIMEOUT_SECONDS)
            self._raw: Any = Connection.from_url(url, socket_timeout=TIMEOUT_SECONDS)
        except ValueError as error:
            raise StoreError(str(error)) from error

    def ping(self) -> None:
        """Ask whether Redis is there."""
        self._redis.ping()

    def exists(self, job_id: str) -> bool:
        return bool(self._redis.exists(JOB + job_id))

    def read(self, job_id: str) -> Fields:
        return cast("Fields", self._redis.hgetall(JOB + job_id))

    def write(self, job_id: str, fields: Mapping[str, str]) -> None:
        self._redis.hset(JOB + job_id, mapping=dict(fields))

    def erase(self, job_id: str, names: Sequence[str]) -> None:
        self._redis.hdel(JOB + job_id, *names)

    def every(self) -> Iterator[tuple[str, Fields]]:
        for key in self._redis.keys(JOB + "*"):
            job_id = key.removeprefix(JOB)
            if fields := self.read(job_id):
                yield job_id, fields

    def queue(self) -> list[str]:
        return cast("list[str]", self._redis.zrange(QUEUE, 0, -1, desc=True))

    def peek(self, job_id: str) -> tuple[str | None, str | None]:
        pipe = self._redis.pipeline()  # in a transaction, as the hub asks for them
        pipe.hget(JOB + job_id, "status")
        pipe.hget(JOB + job_id, "job_type")
        with store_errors():
            status, job_type = pipe.execute()
        return status, job_type

    def enqueue(self, job_id: str, score: float) -> None:
        self._redis.zadd(QUEUE, {job_id: score})

    def rank(self, job_id: str) -> int | None:
        return cast("int | None", self._redis.zrevrank(QUEUE, job_id))

    def queued(self) -> int:
        return int(self._redis.zcard(QUEUE))

    def index(self, job_id: str, job_type: str) -> None:
        self._redis.sadd(WAITING + job_type, job_id)

    def unindex(self, job_id: str, job_type: str) -> None:
        self._redis.srem(WAITING + job_type, job_id)

    def indexed(self, job_type: str) -> list[tuple[str, Fields]]:
        ids: list[str] = list(self._redis.smembers(WAITING + job_type))
        pipe = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipe.hgetall(JOB + job_id)
        with store_errors():
            return list(zip(ids, pipe.execute() if ids else [], strict=True))

    def save_state(self, state: bytes) -> None:
        self._raw.set(STATE, state)

    def load_state(self) -> bytes | None:
        return cast("bytes | None", self._raw.get(STATE))
