"""The queue's settings: one object, built once and passed in."""

from __future__ import annotations

import msgspec


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the queue behaves. Times are ms, sizes bytes, lengths entries."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    prefix: str = ""
    """Put before every key; a hash tag such as `{emp}:` keeps all keys in one slot of a Redis Cluster."""
    lease_ms: int = 15_000
    heartbeat_ttl_ms: int = 15_000
    max_retries: int = 3
    retry_backoff_ms: int = 500
    """Delay before the first retry; it doubles with each further failure, up to `retry_backoff_max_ms`."""
    retry_backoff_max_ms: int = 60_000
    max_deliveries: int = 10
    """How often a job may lose its worker (lease expired) before it fails for good."""
    payload_limit: int = 10_000_000
    result_limit: int = 10_000_000
    inline_result_limit: int = 65_536
    progress_stream_length: int = 1_000
    events_stream_length: int = 20_000
    finished_ttl_ms: int = 24 * 3600 * 1000
