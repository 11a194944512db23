"""The one reader of the stream `events` in a process: it feeds the fan-out and survives Redis being away."""

from __future__ import annotations

import asyncio
from typing import Final

from new_stack.api.streaming.cursor import parse_id
from new_stack.api.streaming.fanout import FanOut
from new_stack.backoff import Backoff
from new_stack.log import log
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.queue import Queue

BLOCK_MS: Final = 2_000
PAGE: Final = 500
PAUSE_SECONDS: Final = 0.004
"""The least time between two reads: under load, many events share one read; alone, an event does not wait."""
LONGEST_PAUSE_SECONDS: Final = 1.0


async def read_events(queue: Queue, fanout: FanOut) -> None:
    """Publish every event from now on, until cancelled."""
    loop = asyncio.get_running_loop()
    after: str | None = None
    backoff = Backoff(first_s=0.1, longest_s=LONGEST_PAUSE_SECONDS)
    while True:
        began = loop.time()
        try:
            if after is None:
                after = await queue.last_event_id()
                fanout.read_to(parse_id(after) or (0, 0))
            if backoff.tries:
                if await _trimmed(queue, after):
                    fanout.missed()
                log.info("events_resumed", after=after)
            events = await queue.events(after, block_ms=BLOCK_MS, count=PAGE)
            if len(events) == PAGE and await _trimmed(queue, after):
                log.warning("events_missed", after=after)  # this process was behind by more than the stream keeps
                fanout.missed()
            backoff.succeeded()
        except QueueUnavailable as error:
            if not backoff.tries:
                log.warning("events_unavailable", error=str(error))
            await backoff.pause()
            continue
        if events:
            after = events[-1].id
            fanout.publish(events)
        await asyncio.sleep(max(0.0, PAUSE_SECONDS - (loop.time() - began)))


async def _trimmed(queue: Queue, after: str) -> bool:
    """Whether entries after this id have left the stream unread."""
    first, last = parse_id(await queue.first_event_id()), parse_id(await queue.last_event_id())
    at = parse_id(after) or (0, 0)
    lost = at != (0, 0) and first is not None and first > at
    return lost or (last is not None and last < at)
