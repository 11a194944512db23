"""The hub's dialect of clients: messages in as actions, what was done out as frames."""

from __future__ import annotations

from typing import Final

from new_stack.api.legacy import events
from new_stack.api.legacy.actions import (
    Action,
    AskStatus,
    Cancel,
    ForceRetry,
    StayAlive,
    Submit,
    Subscribe,
    SubscribeStats,
)
from new_stack.api.legacy.frames import Error, Frame, JobAccepted, JobStatus, SubscriptionConfirmed
from new_stack.api.legacy.messages import Fields, Refusal, job_id_of, text_field, value
from new_stack.api.legacy.submission import new_job
from new_stack.queue.events import Event
from new_stack.queue.jobs import Job, Submission

MANUALLY: Final = "Manually cancelled"


def read_action(fields: Fields, client_id: str) -> Action:  # noqa: PLR0911 - one line for each message
    """What a client's message asks for. Raises Refusal in the hub's words where it has any."""
    kind = value(fields, "type")
    match kind:
        case "submit_job":
            return Submit(new_job(fields, client_id, id_field="message_id"))
        case "request_job_status":
            return AskStatus(job_id_of(fields, kind))
        case "subscribe_job":
            return Subscribe(job_id_of(fields, kind))
        case "cancel_job":
            return Cancel(job_id_of(fields, kind), text_field(fields, "reason") or MANUALLY)
        case "force_retry_job":
            return ForceRetry(job_id_of(fields, kind))
        case "stay_alive":
            return StayAlive()
        case "subscribe_stats":
            return SubscribeStats()
        case "request_stats":
            raise Refusal("Stats requests are restricted to monitors only")
    raise Refusal(f"Unsupported message type: {kind}")


def stats_subscribed(now: float) -> Frame:
    """The answer to `subscribe_stats`; nothing is ever sent for it."""
    return SubscriptionConfirmed(timestamp=now, job_id="stats", channels=["stats"])


class HubDialect:
    """How the hub words its answers to clients."""

    follows_own_jobs = True
    read = staticmethod(read_action)

    @staticmethod
    def accepted(submission: Submission, _message_id: str | None, now: float) -> Frame:
        """The job stands in the line, or is known already."""
        return JobAccepted(
            timestamp=now,
            job_id=submission.job_id,
            status=submission.state.value,
            position=submission.position,
        )

    @staticmethod
    def status(job: Job, now: float) -> Frame:
        """How a job stands."""
        return events.status_frame(job, now)

    @staticmethod
    def subscribed(job_id: str, now: float) -> Frame:
        """The subscription is in force."""
        return SubscriptionConfirmed(timestamp=now, job_id=job_id)

    @staticmethod
    def cancelled(job: Job, now: float) -> Frame:
        """The job is cancelled."""
        return events.cancelled_frame(job.id, job.cancel_reason, now)

    @staticmethod
    def retried(job: Job, *, cleared: bool, now: float) -> Frame:
        """The job may run again, or there was nothing to forget."""
        message = events.CLEARED if cleared else events.nothing_to_clear(job)
        return JobStatus(timestamp=now, job_id=job.id, status=job.state.value, worker_id=job.worker_id, message=message)

    @staticmethod
    def alive(now: float) -> Frame:
        """The connection is alive."""
        return JobStatus(timestamp=now, job_id="keep-alive", status="acknowledged", message="Connection is alive")

    @staticmethod
    def error(sentence: str, _message_id: str | None, now: float) -> Frame:
        """The message could not be served."""
        return Error(timestamp=now, error=sentence)

    @staticmethod
    def event(event: Event) -> Frame | None:
        """What a subscriber gets for an event."""
        return events.event_frame(event)

    @staticmethod
    def ending(job: Job) -> Frame | None:
        """The ending, for one who came too late to hear it."""
        return events.ending_frame(job)
