"""Jobs in Redis as the hub keeps them: a hash each, one sorted set, and a client that blocks the whole process.

The hub reads its jobs with one command after another; that is what fault `linear-cost` costs, and nothing here sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import redis

from legacy_hub_sim.core import StoreError

JOB = "job:"
QUEUE = "job_priority_queue"
WAITING = "jobs_waiting:"
MEMORY = "hub_memory"
TIMEOUT_SECONDS = 30

Command = TypeVar("Command", bound=Callable[..., Any])


def in_our_words(command: Command) -> Command:
    """A command whose failure is a `StoreError` with the Redis client's text."""

    @wraps(command)
    def asked(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except redis.RedisError as error:
            raise StoreError(str(error)) from error

    return cast("Command", asked)


class RedisStore:
    """A `JobStore` over one connection; raises `StoreError` when Redis does not answer."""

    def __init__(self, url: str) -> None:
        try:
            self._redis: Any = redis.Redis.from_url(url, decode_responses=True, socket_timeout=TIMEOUT_SECONDS)
            self._raw: Any = redis.Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS)
        except ValueError as error:
            raise StoreError(str(error)) from error

    @in_our_words
    def ping(self) -> None:
        """Ask whether Redis is there."""
        self._redis.ping()

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()
        self._raw.close()

    @in_our_words
    def exists(self, job_id: str) -> bool:
        """Whether there is a record."""
        return bool(self._redis.exists(JOB + job_id))

    @in_our_words
    def read(self, job_id: str) -> dict[str, str]:
        """The record, empty if there is none."""
        return cast("dict[str, str]", self._redis.hgetall(JOB + job_id))

    @in_our_words
    def write(self, job_id: str, fields: Mapping[str, str]) -> None:
        """Set fields of a record, made if need be."""
        self._redis.hset(JOB + job_id, mapping=dict(fields))

    @in_our_words
    def erase(self, job_id: str, names: Sequence[str]) -> None:
        """Remove fields of a record."""
        self._redis.hdel(JOB + job_id, *names)

    def every(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Every record there is: the keys, then one command for each."""
        for job_id in self._ids():
            if fields := self.read(job_id):
                yield job_id, fields

    @in_our_words
    def _ids(self) -> list[str]:
        return [key.removeprefix(JOB) for key in self._redis.keys(JOB + "*")]

    @in_our_words
    def queue(self) -> list[str]:
        """The queued ids, highest score first."""
        return cast("list[str]", self._redis.zrange(QUEUE, 0, -1, desc=True))

    @in_our_words
    def peek(self, job_id: str) -> tuple[str | None, str | None]:
        """Status and type of one record, in a transaction of their own, as the hub asks for them."""
        pipe = self._redis.pipeline()
        pipe.hget(JOB + job_id, "status")
        pipe.hget(JOB + job_id, "job_type")
        status, job_type = pipe.execute()
        return status, job_type

    @in_our_words
    def enqueue(self, job_id: str, score: float) -> None:
        """Put an id into the queue, or move it there."""
        self._redis.zadd(QUEUE, {job_id: score})

    @in_our_words
    def dequeue(self, job_id: str) -> None:
        """Take an id out of the queue."""
        self._redis.zrem(QUEUE, job_id)

    @in_our_words
    def rank(self, job_id: str) -> int | None:
        """The place in the queue from 0, None if not queued."""
        return cast("int | None", self._redis.zrevrank(QUEUE, job_id))

    @in_our_words
    def queued(self) -> int:
        """How many ids are queued."""
        return int(self._redis.zcard(QUEUE))

    @in_our_words
    def index(self, job_id: str, job_type: str) -> None:
        """Note a waiting job in the index."""
        self._redis.sadd(WAITING + job_type, job_id)

    @in_our_words
    def unindex(self, job_id: str, job_type: str) -> None:
        """Strike a job from the index."""
        self._redis.srem(WAITING + job_type, job_id)

    @in_our_words
    def indexed(self, job_type: str) -> list[tuple[str, dict[str, str]]]:
        """The indexed jobs of a type: their ids, then all of them in one round trip."""
        ids: list[str] = list(self._redis.smembers(WAITING + job_type))
        pipe = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipe.hgetall(JOB + job_id)
        return list(zip(ids, pipe.execute() if ids else [], strict=True))

    @in_our_words
    def remember(self, memory: bytes) -> None:
        """Keep what the hub's process knows besides the jobs."""
        self._raw.set(MEMORY, memory)

    @in_our_words
    def recall(self) -> bytes | None:
        """What `remember` kept last."""
        return cast("bytes | None", self._raw.get(MEMORY))
