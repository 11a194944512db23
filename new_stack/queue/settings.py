"""The queue's settings: one object, built once and passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from new_stack.queue.acknowledgement import MEMORY, check_acknowledgement
from new_stack.settings import Settings


class QueueSettings(Settings, frozen=True, kw_only=True):
    """How the queue behaves. Times are ms, sizes bytes, lengths entries."""

    ZERO_ALLOWED: ClassVar = frozenset({"retry_backoff_ms", "max_retries", "inline_result_limit"})

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
    finished_ttl_ms: int = 3600 * 1000
    finished_limit: int = 100_000
    """Ended jobs are kept for so long, and so many of them: whichever is less."""
    events_ttl_ms: int = 600_000
    """How long the events of an ended job are kept; afterwards its record says how it ended."""
    call_timeout_ms: int = 5_000
    """How long an answer of Redis may take before the queue counts as unavailable."""
    matching: bool = False
    """Whether a job goes only to workers whose capabilities meet its `requirements` (docs/routing.md); the same for all
    processes of one queue."""
    acknowledgement: str = MEMORY
    """What a submission, an end, a cancel and a retry by hand survive once they are answered: `memory` (what Redis's
    own persistence saves), `disk` (WAITAOF: they are in the append-only file) or `replicas=N` (WAIT: N replicas have
    them)."""

    def __post_init__(self) -> None:
        """Raises SettingsError for a number that makes no sense."""
        self.check()
        check_acknowledgement(self.acknowledgement)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], options: Mapping[str, Any] | None = None) -> Self:
        """Read every field from HUBGATE_<FIELD>, `redis_url` also from REDIS_URL; options win. Raises SettingsError."""
        url = environment.get("HUBGATE_REDIS_URL") or environment.get("REDIS_URL", "")
        return super().from_environment({**environment, "HUBGATE_REDIS_URL": url}, options)
