"""What legacy clients ask for, and what HTTP and server-sent events have instead."""

from __future__ import annotations

from typing import Final

OTHER: Final = "other"
"""What no dialect knows is counted together, so that nobody can invent words without end."""
CONNECT: Final = "connect"

_JOB, _EVENTS, _STATS = "GET /api/jobs/{job_id}", "GET /api/events", "GET /api/stats"
_FOLLOW: Final = "GET /api/jobs/{job_id}/progress"
_ALIVE: Final = "not needed: streams have keep-alives"

INSTEAD: Final[dict[str, str | None]] = {
    CONNECT: "not needed: requests need no connection of their own",
    "submit_job": "POST /api/jobs",
    "request_job_status": _JOB,
    "get_job_status": _JOB,
    "subscribe_job": _FOLLOW,
    "subscribe_progress": _FOLLOW,
    "follow_job": _FOLLOW,
    "unsubscribe_progress": "not needed: the stream is closed",
    "cancel_job": "POST /api/jobs/{job_id}/cancel",
    "force_retry_job": "POST /api/jobs/{job_id}/retry",
    "retry_job": "POST /api/jobs/{job_id}/retry",
    "stay_alive": _ALIVE,
    "ping": _ALIVE,
    "heartbeat": _ALIVE,
    "subscribe_stats": _STATS,
    "request_stats": _STATS,
    "get_system_status": _STATS,
    "subscribe": _EVENTS,
    "monitor_connect": f"{_EVENTS} and {_STATS}",
    "resync_request": f"{_EVENTS} with Last-Event-ID or ?since=",
    "sync_job_state": None,
    "POST /api/jobs": "POST /api/jobs with service_required",
    "POST /api/jobs with wait": f"POST /api/jobs, then {_FOLLOW}",
    "POST /jobs": "POST /api/jobs",
    "GET /jobs": f"GET /api/jobs, its bodies by {_JOB}",
    "GET /jobs/{job_id}": _JOB,
    "GET /workers": "GET /api/workers",
    "GET /queue/{what}": _STATS,
    "GET /system/status": _STATS,
}
"""Each message, and each legacy route, with what there is instead; None where there is nothing."""


SUBMISSIONS: Final = frozenset({"submit_job", "submit", "POST /api/jobs", "POST /api/jobs with wait", "POST /jobs"})
"""What of all this submits a job."""


def counted_as(message: object) -> str:
    """The name under which a message is counted."""
    return message if isinstance(message, str) and message in INSTEAD else OTHER
