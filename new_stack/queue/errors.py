"""What can go wrong with the queue, each with a sentence for the person who reads it."""

from __future__ import annotations


class QueueError(Exception):
    """The root of the queue's own errors. Their text is fit for clients; `detail` is for operators."""

    def __init__(self, sentence: str, detail: str = "") -> None:
        super().__init__(sentence)
        self.detail = detail or sentence
        """The text, with what only the log should say: which Redis, and why."""


class QueueUnavailable(QueueError):  # noqa: N818 - the state is the name
    """Redis cannot be reached, is loading, is out of memory, or refused the call for now; trying again may help."""


class RefusedForNow(QueueUnavailable):
    """Redis is there, and refused the call for now: it loads, is full, follows another, or a right is missing."""


class RedisRefused(QueueError):  # noqa: N818
    """Redis answered with an error that trying again will not cure."""


class RedisTooOld(QueueError):  # noqa: N818
    """The server has no Redis Functions: it needs Redis 7 or Valkey 7.2, or newer."""


class InvalidJob(QueueError):  # noqa: N818
    """A submission that cannot be a job. `field` names the part that is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class JobConflict(QueueError):  # noqa: N818
    """The id is taken by a job with other content."""


class JobNotFound(QueueError):  # noqa: N818
    """No job has this id, or it ended so long ago that it has expired."""


class InvalidTransition(QueueError):  # noqa: N818
    """The job is not in a state from which this can be done (docs/queue.md has the table)."""


class LeaseLost(QueueError):  # noqa: N818
    """The job is no longer this worker's: its lease ran out, or somebody cancelled it. `cancelled` tells which."""

    def __init__(self, job_id: str, *, cancelled: bool) -> None:
        why = "it was cancelled" if cancelled else "its lease ran out and it became pending again"
        super().__init__(f"job {job_id} is no longer held by this worker: {why}")
        self.job_id = job_id
        self.cancelled = cancelled
