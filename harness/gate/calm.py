"""Whether the machine is ours: a latency over its limit says nothing where others were using the processors."""

from __future__ import annotations

import asyncio
from typing import Final

import psutil

from harness.results import Evidence

LOOK_S: Final = 1.0
LEAST_FREE: Final = 85.0
"""Percent of all processor time, while nothing of the run is at work."""


async def free_percent() -> float:
    """How much of the processors is free, in percent over a second. Asked while nothing of ours is at work."""
    busy: float = await asyncio.to_thread(psutil.cpu_percent, LOOK_S)
    return 100 - busy


def machine_was_free(percent: float) -> list[Evidence]:
    """The evidence that a latency was not somebody else's doing. Noise only ever adds, so a good figure needs none."""
    return [Evidence(what="of the processors free before", unit="%", had=round(percent, 1), least=LEAST_FREE)]
