"""Tasks as a user writes them."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from hubgate import JobContext, task


@dataclass
class Thumbnail:
    width: int
    label: str


@task(service="thumbnail", retries=3)
async def thumbnail(job: JobContext, size: int, label: str = "small") -> Thumbnail:
    await job.progress(50, f"scaling to {size}")
    return Thumbnail(size, label)


@task()
def blocking(tags: list[str] = []) -> dict[str, object]:  # noqa: B006 - each run has to get its own
    tags.append("seen")
    return {"tags": tags, "in_loop": threading.current_thread() is threading.main_thread()}


@task(service="broken")
async def broken() -> None:
    raise ValueError("the model is gone")
