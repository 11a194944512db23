"""Plain functions that the stack's `tasks` connector runs as jobs: with a context, without `async`, failing."""

from __future__ import annotations

import dataclasses
import threading

from new_stack.worker import JobContext
from new_stack.worker.connectors.tasks import task


@dataclasses.dataclass
class Sheet:
    """What a task makes."""

    width: int
    label: str


@task(service="sheet", retries=1)
async def sheet(job: JobContext, size: int, label: str = "small") -> Sheet:
    """Told of its job, and with a parameter that may be missing."""
    await job.progress(50, f"scaling to {size}")
    return Sheet(size, label)


@task()
def stack(tags: list[str] = []) -> dict[str, object]:  # noqa: B006 - each run has to get its own
    """Changes its argument, in a thread."""
    tags.append("seen")
    return {"tags": tags, "in the loop": threading.current_thread() is threading.main_thread()}


@task(service="torn")
async def torn() -> None:
    """Fails."""
    raise ValueError("no paper")
