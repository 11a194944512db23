"""The protocols of hub and stack, one file each, and one vocabulary for what happens to a job in all of them.

`events`: `EventKind`, `JobEvent` (what happened), `JobState`, `JobStatus` (what the server answers when asked).
`hub`: the legacy WebSocket dialect. `stack`: HTTP and server-sent events. Both have the same functions, those of
`description.Described`.
`sse`: the harness's one parser of event streams. `script`: the simulation script that a job's payload carries.

Everything here is pure: frames and bodies in, events out; actions in, frames or requests out.
"""

from harness.protocols import hub as hub
from harness.protocols import script as script
from harness.protocols import sse as sse
from harness.protocols import stack as stack
from harness.protocols.events import ATTEMPT_ENDS as ATTEMPT_ENDS
from harness.protocols.events import ENDED_STATES as ENDED_STATES
from harness.protocols.events import ENDS as ENDS
from harness.protocols.events import LOG_KINDS as LOG_KINDS
from harness.protocols.events import EventKind as EventKind
from harness.protocols.events import HttpRequest as HttpRequest
from harness.protocols.events import JobEvent as JobEvent
from harness.protocols.events import JobState as JobState
from harness.protocols.events import JobStatus as JobStatus
from harness.protocols.events import Mode as Mode
from harness.protocols.events import Submission as Submission
