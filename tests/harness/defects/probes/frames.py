"""Print the frames that a legacy client and a monitor get for each event."""

from __future__ import annotations

import json
import sys

import msgspec

from new_stack.api.legacy.hub import HUB, event_frame, monitor_text
from new_stack.queue.events import Event, EventKind
from new_stack.queue.jobs import JobState, Submission


def event(kind, **fields):
    common = {"id": "1-1", "job_id": "a", "at": 1500, "service_required": "simulation", "priority": 0}
    return Event(kind=kind, worker_id="w", **common, **fields)


def told(frame):
    return None if frame is None else json.loads(msgspec.json.encode(frame))


submission = Submission(job_id="a", state=JobState.PENDING, created=True, position=1)
progress = event(EventKind.PROGRESS, progress=10.0, client_id="client-a")
sys.stdout.write(
    json.dumps(
        {
            "accepted": told(HUB.accepted(submission, None, 1.5)),
            "claimed": told(event_frame(event(EventKind.CLAIMED))),
            "progress": told(event_frame(progress)),
            "completed": told(event_frame(event(EventKind.COMPLETED))),
            "attempt_failed": told(event_frame(event(EventKind.ATTEMPT_FAILED, error="no memory"))),
            "monitor": json.loads(monitor_text(progress)),
        }
    )
)
