"""Print what readers of streams get: late, resumed, framed, fanned out; and whether a wrong token holds."""

from __future__ import annotations

import asyncio
import json
import sys
from types import SimpleNamespace

from new_stack.api.http.access import token_holds
from new_stack.api.streaming.cursor import resume
from new_stack.api.streaming.fanout import FanOut
from new_stack.api.streaming.sse import event_frame
from new_stack.queue.events import Event, EventKind


def event(number, kind):
    common = {"job_id": "a", "at": 1500, "service_required": "simulation", "priority": 0, "client_id": "c"}
    return Event(id=f"{number}-0", kind=kind, progress=float(number), **common)


K = EventKind
life = [event(1, K.SUBMITTED), event(2, K.CLAIMED), event(3, K.PROGRESS), event(4, K.PROGRESS), event(5, K.COMPLETED)]


async def delivered():
    fanout = FanOut(100)
    first, second = fanout.subscriber(), fanout.subscriber()
    fanout.follow_client(first, "c")
    fanout.follow_job(first, "a")
    fanout.follow_job(second, "a")
    other = fanout.subscriber()
    fanout.follow_job(other, "a")
    fanout.publish(life)
    return [[item.event.id for item in await one.take(0.01)] for one in (first, second, other)]


request = SimpleNamespace(headers={}, query={"token": "wrong"})
sys.stdout.write(
    json.dumps(
        {
            "late": [e.id for e in resume(life, None).events],
            "resumed": [e.id for e in resume(life, "2-0").events],
            "frame": event_frame(life[2]).decode(),
            "delivered": asyncio.run(delivered()),
            "token": token_holds(request, "right"),
        }
    )
)
