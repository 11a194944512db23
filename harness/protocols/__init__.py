"""The protocols of hub and stack, one file each, and one vocabulary for what happens to a job in all of them.

`events`: `EventKind`, `JobEvent` (what happened), `JobState`, `JobStatus` (what the server answers when asked).
`hub`: the legacy WebSocket dialect. `stack`: HTTP and server-sent events. Both have the same functions (`Protocol`).
`sse`: the harness's one parser of event streams. `script`: the simulation script that a job's payload carries.

Everything here is pure: frames and bodies in, events out; actions in, frames or requests out.
"""

from harness.protocols import hub, script, sse, stack
from harness.protocols.events import (
    ATTEMPT_ENDS,
    ENDED_STATES,
    ENDS,
    LOG_KINDS,
    EventKind,
    HttpRequest,
    JobEvent,
    JobState,
    JobStatus,
    Mode,
    Submission,
)
from harness.protocols.protocol import Protocol

__all__ = [
    "ATTEMPT_ENDS",
    "ENDED_STATES",
    "ENDS",
    "LOG_KINDS",
    "EventKind",
    "HttpRequest",
    "JobEvent",
    "JobState",
    "JobStatus",
    "Mode",
    "Protocol",
    "Submission",
    "hub",
    "script",
    "sse",
    "stack",
]
