"""rq finds its functions by import path: the job's body lives here, and the worker process sets where it notes."""

from __future__ import annotations

from loadtests.bench.starts import Starts

STARTS: list[Starts] = []


def bench() -> None:
    """The job."""
    from rq import get_current_job  # noqa: PLC0415 - only in the worker process

    STARTS[0].mark(get_current_job().id)
