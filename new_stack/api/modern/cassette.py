"""GET /api/jobs/{job_id}/cassette: one job's life as a recording, which a hub or a stack can be taken through again.

The file's form is the contract (docs/scenarios.md): JSON Lines, a client and a worker for each attempt in the hub's
protocol, which both sides are played by. Actors have names of their own, so that none is taken for a live worker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from new_stack.api.http.http_io import encode
from new_stack.api.http.problems import ProblemError, not_found
from new_stack.api.legacy.hub import HUB, event_frame, frame
from new_stack.api.services import SERVICES
from new_stack.api.sse.follow import ending_of
from new_stack.api.streaming.fanout import Published
from new_stack.queue.events import Event, EventKind
from new_stack.queue.jobs import Job

VERSION: Final = 1
CLIENT: Final = "client-a"
BODY_LIMIT: Final = 900_000
"""Bytes. The hub sends a worker in pieces what is larger, and no client says such a thing in one line of a cassette."""

_PROGRESS: Final = ("progress", "status", "message")


async def export(request: web.Request) -> web.Response:
    """The job as a file of its own. 409 where its payload or result is too large for one."""
    job_id = request.match_info["job_id"]
    services = request.app[SERVICES]
    job = await services.queue.job(job_id)
    if job is None:
        raise not_found(job_id)
    if max(len(memoryview(job.payload)), len(memoryview(job.result or b""))) > BODY_LIMIT:
        raise ProblemError(
            409, f"Job {job_id} is too large for a cassette: its payload or result has over {BODY_LIMIT:,} bytes."
        )
    items = [Published(event) for event in await services.queue.history(job_id)]
    for item in items:
        await item.complete(services.queue)
    headers = {"Content-Disposition": f'attachment; filename="{_name(job)}.jsonl"'}
    return web.Response(
        body=cassette_of(job, [item.event for item in items]), content_type="application/jsonl", headers=headers
    )


def cassette_of(job: Job, events: Sequence[Event]) -> bytes:
    """The lines of a job's cassette. Where its first events are no longer kept, its record tells the last attempt."""
    whole = bool(events) and events[0].kind is EventKind.SUBMITTED
    tape = _Tape(job)
    for event in events if whole else _remembered(job):
        tape.add(event)
    tape.end()
    about = f"Job {job.id} of service {job.service_required}: {job.state.value}"
    if not whole:
        about += "; only its last attempt, the events before were no longer kept"
    day = datetime.fromtimestamp(job.created_at / 1000, UTC).date().isoformat()
    header = {"cassette": VERSION, "scenario": _name(job), "about": about, "target": "stack", "recorded": day}
    return b"".join(encode(line) + b"\n" for line in (header, *tape.lines))


def _name(job: Job) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", job.id).strip(".-")[:100] or "job"


def _remembered(job: Job) -> list[Event]:
    """What a record alone tells of its job's life."""
    moments = {EventKind.SUBMITTED: job.created_at, EventKind.CLAIMED: job.claimed_at}
    about: dict[str, Any] = {"job_id": job.id, "service_required": job.service_required, "priority": job.priority}
    told = [Event(id="0-0", kind=kind, at=at, **about) for kind, at in moments.items() if at is not None]
    return [*told, ending_of(job)] if job.state.ended else told


class _Tape:
    """The lines so far, and the worker that holds the job."""

    def __init__(self, job: Job) -> None:
        self.lines: list[dict[str, Any]] = []
        self._job = job
        self._at = job.created_at
        self._workers = 0
        self._holder: str | None = None

    def add(self, event: Event) -> None:
        """What the actors say and are told with an event."""
        self._at = max(self._at, event.at)
        if event.progress is not None:
            event = msgspec.structs.replace(event, progress=round(event.progress))  # the hub takes whole ones alone
        match event.kind:
            case EventKind.SUBMITTED:
                self._submitted(event)
            case EventKind.CLAIMED:
                self._leave("close")
                self._claimed(event)
            case EventKind.CANCELLED:
                self._ask(event, "cancel_job", reason=event.message or "")
                self._leave("close")
            case EventKind.RETRIED:
                self._ask(event, "force_retry_job")
            case EventKind.RELEASED:
                self._leave("close")
            case EventKind.LEASE_EXPIRED:
                self._leave("drop")
            case EventKind.PROGRESS | EventKind.COMPLETED | EventKind.ATTEMPT_FAILED | EventKind.FAILED:
                self._worked(event)

    def end(self) -> None:
        """Everybody leaves."""
        self._leave("close")
        self._part(CLIENT, "close")

    def _put(self, actor: str, event: str, **fields: Any) -> None:
        self.lines.append({"at": self._at - self._job.created_at, "actor": actor, "event": event, **fields})

    def _receive(self, actor: str, kind: str, **fields: Any) -> None:
        self._put(actor, "receive", message=frame(kind, self._at / 1000, **fields))

    def _tell_client(self, event: Event) -> None:
        told = event_frame(msgspec.structs.replace(event, worker_id=self._holder))
        self._put(CLIENT, "receive", message=told)

    def _submitted(self, event: Event) -> None:
        job = self._job
        self._put(CLIENT, "open", role="client", path=f"/ws/client/{CLIENT}")
        self._put(CLIENT, "receive", message=HUB.greeting(CLIENT, self._at / 1000))
        own: dict[str, Any] = msgspec.json.decode(job.extra) if job.extra else {}
        known = {"type": "submit_job", "message_id": job.id, "job_type": job.service_required, "priority": job.priority}
        more = {"max_retries": job.max_retries, "payload": job.payload, "timestamp": event.at / 1000}
        self._put(CLIENT, "send", message=own | known | more)
        self._receive(CLIENT, "job_accepted", job_id=job.id, status="pending", position=1)

    def _claimed(self, event: Event) -> None:
        job = self._job
        self._workers += 1
        worker = self._holder = f"worker-{self._workers}"
        self._put(worker, "open", role="worker", path=f"/ws/worker/{worker}")
        welcome = f"Welcome Worker {worker}! Connected to Redis Hub"
        self._put(worker, "receive", message={"type": "connection_established", "message": welcome})
        offers = {"version": "1.0.0", "supported_job_types": [job.service_required]}
        self._say(worker, "register_worker", capabilities=offers, status="idle")
        self._receive(worker, "worker_registered", worker_id=worker, status="active")
        self._receive(worker, "job_notifications_subscribed", worker_id=worker)
        about = {"job_id": job.id, "job_type": job.service_required, "priority": job.priority}
        self._receive(worker, "job_available", **about, job_request_payload=job.payload)
        self._say(worker, "claim_job", job_id=job.id)
        self._receive(worker, "job_assigned", **about, worker_id=worker, params=job.payload)
        self._tell_client(event)

    def _worked(self, event: Event) -> None:
        """A step or an end of the attempt. What ended the job without a worker no actor can do again."""
        worker, about = self._holder, {"job_id": self._job.id}
        if worker is None:
            self._put(CLIENT, "note", text=f"{event.kind.value} with no worker: {event.error or ''}")
            return
        match event.kind:
            case EventKind.PROGRESS:
                said = {name: value for name in _PROGRESS if (value := getattr(event, name)) is not None}
                details = {} if event.details is None else {"connector_details": event.details}
                self._say(worker, "update_job_progress", **about, **said, **details)
                self._tell_client(event)
                return
            case EventKind.COMPLETED:
                self._say(worker, "complete_job", **about, result=event.result)
                ack, more = "job_completed_ack", {}
            case _:
                more = {"error": event.error or "unknown error"}
                self._say(worker, "fail_job", **about, **more)
                ack = "job_failed_ack"
        self._tell_client(event)
        self._receive(worker, ack, **about, worker_id=worker, **more)
        self._leave("close")

    def _say(self, worker: str, kind: str, **fields: Any) -> None:
        self._put(worker, "send", message={"type": kind, "worker_id": worker, **fields})

    def _ask(self, event: Event, kind: str, **fields: Any) -> None:
        """The client asks for what happened; it is told twice, as asker and as the one who hears of its job."""
        self._put(CLIENT, "send", message={"type": kind, "job_id": self._job.id, **fields})
        for _ in range(2):
            self._put(CLIENT, "receive", message=event_frame(msgspec.structs.replace(event, worker_id=None)))

    def _leave(self, how: str) -> None:
        """The worker goes: in order, or cut off."""
        if self._holder is not None:
            self._part(self._holder, how)
            self._holder = None

    def _part(self, actor: str, how: str) -> None:
        self._put(actor, how)
        self._put(actor, "closed", code=1000 if how == "close" else 1006, reason="")


ROUTES: Final = (("GET", "/api/jobs/{job_id:[^/]+}/cassette", export),)
