"""Print what readers of streams get: late, resumed, framed, fanned out; and whether a wrong token holds."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from types import SimpleNamespace

from new_stack.api.http.access import Access, access_of
from new_stack.api.sse.follow import Follower
from new_stack.api.sse.stream import event_frame
from new_stack.api.streaming.fanout import FanOut, Published
from new_stack.queue.errors import JobNotFound
from new_stack.queue.events import Event, EventKind, parse_id


def event(number, kind):
    common = {"job_id": "a", "at": 1500, "service_required": "simulation", "priority": 0, "client_id": "c"}
    return Event(id=f"{number}-0", kind=kind, progress=float(number), **common)


K = EventKind
life = [event(1, K.SUBMITTED), event(2, K.CLAIMED), event(3, K.PROGRESS), event(4, K.PROGRESS), event(5, K.COMPLETED)]


async def delivered():
    fanout = FanOut(100)
    first, second = fanout.subscriber(), fanout.subscriber()
    fanout.follow(first, ("client", "c"))
    fanout.follow(first, ("job", "a"))
    fanout.follow(second, ("job", "a"))
    other = fanout.subscriber()
    fanout.follow(other, ("job", "a"))
    fanout.publish(life)
    return [[item.event.id for item in await one.take(0.01)] for one in (first, second, other)]


class History:
    """A job's history as the queue reads it."""

    async def history(self, job_id, after, *, count):
        return [e for e in life if parse_id(e.id) > (parse_id(after) or (0, 0))][:count]

    async def job(self, job_id, *, bodies=True):
        return None


class Writer:
    """Keeps what is sent."""

    def __init__(self):
        self.frames = []

    async def write_all(self, parts):
        self.frames += parts


async def followed(cursor):
    queue = History()
    services = SimpleNamespace(
        queue=queue,
        large_results=SimpleNamespace(published=Published),
        settings=SimpleNamespace(keepalive_ms=10),
        job_once_ended=queue.job,
    )
    follower = Follower(services, "a", cursor, FanOut(100).subscriber())
    writer = Writer()
    with suppress(JobNotFound):
        await follower.prepare()
        await follower.run(writer)
    return [json.loads(part.decode().partition("data: ")[2]).get("progress") for part in writer.frames]


request = SimpleNamespace(headers={}, cookies={}, query={"token": "wrong"})
sys.stdout.write(
    json.dumps(
        {
            "late": asyncio.run(followed(None)),
            "resumed": asyncio.run(followed("2-0")),
            "frame": event_frame(life[2]).decode(),
            "delivered": asyncio.run(delivered()),
            "token": access_of(request, SimpleNamespace(token="right", read_token=""), 0) is not Access.NONE,
        }
    )
)
