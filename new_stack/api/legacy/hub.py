"""The hub's dialect of clients: where a submission has what, and its frames with their exact fields.

Monitors get the same frames of jobs, with `client_id` added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from new_stack.api.http.http_io import encode
from new_stack.api.http.schemas import CLEARED, plain_number
from new_stack.api.legacy.messages import Fields, new_job
from new_stack.api.modern.more_fields import with_more_fields
from new_stack.api.retirement.callers import REST, UNNAMED
from new_stack.queue.events import Event, EventKind
from new_stack.queue.jobs import Job, JobState, NewJob, Submission

Frame = dict[str, Any]

UNLESS_SAID: Final[dict[str, Frame]] = {
    "job_accepted": {"estimated_start": None, "notified_workers": 0},
    "response_job_status": dict.fromkeys(("progress", "worker_id", "started_at", "completed_at", "result", "message")),
    "subscription_confirmed": {"monitor_id": None, "channels": None},
    "error": {"details": None},
    "worker_status": {"capabilities": None, "connector_statuses": None},
}
"""The fields that a frame of the hub has even where it says nothing in them."""

INVALID_TOKEN: Final = {"type": "error", "error": "Authentication failed: Invalid token"}


def frame(kind: str, now: float, **fields: Any) -> Frame:
    """A message of the hub; `now` is in seconds since the epoch."""
    return {"type": kind, "timestamp": now} | UNLESS_SAID.get(kind, {}) | fields


def _progress(event: Event) -> Frame:
    return {
        "worker_id": event.worker_id,
        "progress": plain_number(event.progress) or 0,
        "status": event.status or "processing",
        "message": event.message,
        "connector_details": event.details,
    }


def _failure(event: Event) -> Frame:
    return {"worker_id": event.worker_id, "error": event.error or "unknown error"}


def _cancellation(reason: str | None) -> Frame:
    return {"status": "cancelled", "message": f"Job cancelled: {reason or ''}"}


TOLD: Final[dict[EventKind, tuple[str, Callable[[Event], Frame]]]] = {
    EventKind.CLAIMED: ("response_job_status", lambda event: {"status": "processing", "worker_id": event.worker_id}),
    EventKind.PROGRESS: ("update_job_progress", _progress),
    EventKind.COMPLETED: ("complete_job", lambda event: {"worker_id": event.worker_id, "result": event.result}),
    EventKind.ATTEMPT_FAILED: ("fail_job", _failure),
    EventKind.FAILED: ("fail_job", _failure),
    EventKind.CANCELLED: ("response_job_status", lambda event: _cancellation(event.message)),
    EventKind.RETRIED: ("response_job_status", lambda _: {"status": "pending", "message": CLEARED}),
}
"""The events that the hub tells, each as one frame: its type and its fields."""


def event_frame(event: Event) -> Frame | None:
    """The one frame that a subscriber gets for an event; None for what the hub keeps to itself."""
    told = TOLD.get(event.kind)
    return None if told is None else frame(told[0], event.at / 1000, job_id=event.job_id, **told[1](event))


def monitor_text(event: Event) -> str:
    """The same frame as monitors see it, with the client whose job it is; empty where there is none."""
    found = event_frame(event)
    client_id = None if event.client_id == UNNAMED[REST] else event.client_id  # to such a job nobody has subscribed
    return "" if found is None else encode(found | {"client_id": client_id}).decode()


class HubDialect:
    """The words of the hub: what was done, each as the frame that says it. `now` is in seconds since the epoch.

    The sessions do what is asked for and know no dialect's words; another dialect overrides them with its own.
    """

    id_field = "message_id"
    """Where a submission has the job's id."""
    follows_own_jobs = True
    """Whether a client hears of its own jobs without a subscription."""
    answers: ClassVar[Mapping[str, Callable[[float], Frame]]] = {
        "stay_alive": lambda now: frame(
            "response_job_status", now, job_id="keep-alive", status="acknowledged", message="Connection is alive"
        ),
        "subscribe_stats": lambda now: frame("subscription_confirmed", now, job_id="stats", channels=["stats"]),
        "request_stats": lambda now: frame("error", now, error="Stats requests are restricted to monitors only"),
    }
    """The messages that nothing is done for but to answer them."""
    event_frame = staticmethod(event_frame)
    """The one frame that a subscriber gets for an event; None for what clients are not sent."""

    def job(self, fields: Fields, client_id: str) -> NewJob:
        """The job in a submission. Raises Refusal, naming the field."""
        return with_more_fields(new_job(fields, client_id, id_field=self.id_field), fields)

    def text(self, event: Event) -> str:
        """An event's frame as JSON, empty where there is none."""
        found = self.event_frame(event)
        return "" if found is None else encode(found).decode()

    def greeting(self, name: str, now: float, role: str = "Client") -> Frame:
        """The welcome; `role` is Client or Monitor."""
        return frame("connection_established", now, message=f"Welcome {role} {name}! Connected to Redis Hub")

    def accepted(self, said: Submission, _message_id: Any, now: float) -> Frame:
        """A submission was taken; the client calls its message so."""
        return frame("job_accepted", now, job_id=said.job_id, status=said.state, position=said.position)

    def status(self, job: Job, now: float) -> Frame:
        """How a job stands."""
        completed = job.state is JobState.COMPLETED
        return frame(
            "response_job_status",
            now,
            job_id=job.id,
            status=job.state,
            progress=plain_number(job.progress),
            worker_id=job.worker_id,
            completed_at=job.ended_at / 1000 if completed and job.ended_at is not None else None,
            result=job.result,
            message=f"Job cancelled: {job.cancel_reason}" if job.state is JobState.CANCELLED else job.status_message,
        )

    def subscribed(self, job_id: str, now: float) -> Frame:
        """The client follows a job."""
        return frame("subscription_confirmed", now, job_id=job_id)

    def cancelled(self, job: Job, now: float) -> Frame:
        """The job is cancelled."""
        return frame("response_job_status", now, job_id=job.id, **_cancellation(job.cancel_reason))

    def retried(self, job: Job, changed: bool, now: float) -> Frame:  # noqa: FBT001 - the answer's own word
        """A retry was asked for, and has `changed` something or not: a job that has not failed is left as it is.

        A job that failed before runs again by itself: its history keeps no worker from it, so the hub's text holds.
        """
        message = CLEARED if changed or job.failures else "Job has no failure history to clear."
        about = {"job_id": job.id, "status": job.state, "worker_id": job.worker_id, "message": message}
        return frame("response_job_status", now, **about)

    def error(self, sentence: str, _message_id: Any, now: float) -> Frame:
        """A message could not be served; the client calls it so. The connection stays open."""
        return frame("error", now, error=sentence)


HUB: Final = HubDialect()
