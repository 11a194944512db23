"""The one reader of the stream `events` in a process: it feeds the fan-out and survives Redis being away."""

from __future__ import annotations

import asyncio
from typing import Final

from new_stack.api.streaming.fanout import FanOut
from new_stack.backoff import Backoff
from new_stack.log import log
from new_stack.queue.errors import QueueError
from new_stack.queue.events import parse_id
from new_stack.queue.queue import Queue

BLOCK_MS: Final = 2_000
PAGE: Final = 500
PAUSE_SECONDS: Final = 0.004
"""The least time between two reads: under load, many events share one read; alone, an event does not wait."""
LONGEST_PAUSE_SECONDS: Final = 1.0


async def read_events(queue: Queue, fanout: FanOut, after: str) -> None:
    """Publish every event after that id, until cancelled."""
    loop = asyncio.get_running_loop()
    fanout.read_to(parse_id(after) or (0, 0))
    backoff = Backoff(first_s=0.1, longest_s=LONGEST_PAUSE_SECONDS)
    while True:
        began = loop.time()
        try:
            if backoff.tries:
                after = await _begin_anew_after(queue, fanout, after) or after
                log.info("events_resumed", after=after)
            events, end = await queue.events(after, block_ms=BLOCK_MS, count=PAGE)
            if end == after or len(events) == PAGE:
                end = await _begin_anew_after(queue, fanout, after) or end
            backoff.succeeded()
        except QueueError as error:  # of whatever kind: the process serves on, and says why it hears nothing
            if not backoff.tries:
                log.warning("events_unavailable", error=error.detail)
            await backoff.pause()
            continue
        after = end  # entries of a kind that only a newer version knows are passed over
        fanout.publish(events)
        fanout.read_to(parse_id(end) or (0, 0))
        await asyncio.sleep(max(0.0, PAUSE_SECONDS - (loop.time() - began)))


async def _begin_anew_after(queue: Queue, fanout: FanOut, after: str) -> str:
    """Where to begin, should the stream be a new one; empty where it goes on. Where events have left the stream unread,
    every subscriber is told that it missed some.

    This process was behind by more than the stream keeps, or the stream began anew (FLUSHDB, a Redis that lost its
    data), perhaps with a clock that was set back: then all that it holds is new.
    """
    first, last = parse_id(await queue.first_event_id()), parse_id(await queue.last_event_id())
    at = parse_id(after) or (0, 0)
    restarted = last is not None and last < at
    if restarted or (at != (0, 0) and first is not None and first > at):
        log.warning("events_missed", after=after)
        fanout.missed()
    return "0-0" if restarted else ""
