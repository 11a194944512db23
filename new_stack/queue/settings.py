"""The queue's settings: one object, built once and passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from new_stack.queue.errors import SettingsError

ENVIRONMENT_PREFIX = "HUBGATE_"
PLAIN_NAMES = {"redis_url": "REDIS_URL"}
"""Names that deployments already use."""


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the queue behaves. Times are ms, sizes bytes, lengths entries."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    prefix: str = ""
    """Put before every key; a hash tag such as `{emp}:` keeps all keys in one slot of a Redis Cluster."""
    lease_ms: int = 10_000
    """How long a worker holds a job without a word before somebody else gets it."""
    heartbeat_ttl_ms: int = 10_000
    forget_worker_ms: int = 60_000
    """How long after its last word a dead worker is still listed."""
    max_retries: int = 3
    retry_backoff_ms: int = 500
    """Delay before the first retry; it doubles with each further failure, up to `retry_backoff_max_ms`."""
    retry_backoff_max_ms: int = 60_000
    max_deliveries: int = 10
    """How often a job may lose its worker (lease expired) before it fails for good."""
    payload_limit: int = 10_000_000
    result_limit: int = 10_000_000
    inline_result_limit: int = 16_384
    """Larger results (and details of progress) do not travel with events: the streams stay small."""
    progress_stream_length: int = 1_000
    events_stream_length: int = 20_000
    finished_ttl_ms: int = 24 * 3600 * 1000
    call_timeout_ms: int = 5_000
    """How long an answer of Redis may take before the queue counts as unavailable."""

    def __post_init__(self) -> None:
        """Raises SettingsError for a number that makes no sense."""
        least = {"retry_backoff_ms": 0, "max_retries": 0, "inline_result_limit": 0}
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, int) and value < least.get(field, 1):
                raise SettingsError(f"{field} must be {least.get(field, 1)} or more, not {value}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read every field from HUBGATE_<FIELD>, and `redis_url` from REDIS_URL. Raises SettingsError."""
        known: dict[str, Any] = {}
        for field in cls.__struct_fields__:
            name = f"{ENVIRONMENT_PREFIX}{field.upper()}"
            if name not in environment:
                name = PLAIN_NAMES.get(field, name)
            if name in environment:
                known[field] = _read(name, environment[name], cls.__annotations__[field])
        return cls(**known)


def _read(name: str, text: str, kind: str) -> str | int:
    if kind == "str":
        return text
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"{name} must be a whole number, not {text!r}") from None
