"""What a failure is called everywhere: a connector raises it, and a client that wants the result is given it."""

from __future__ import annotations


class JobFailed(Exception):  # noqa: N818 - the outcome is the name
    """The attempt failed, or, told to a client, the job for good (`job_id`, after so many `attempts`).

    `retryable` false: another try would fail as well, so the job ends here.
    """

    def __init__(self, error: str, *, retryable: bool = True, job_id: str = "", attempts: int = 0) -> None:
        super().__init__(f"job {job_id}: {error}" if job_id else error)
        self.error = error
        self.retryable = retryable
        self.job_id = job_id
        self.attempts = attempts
