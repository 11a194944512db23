"""The REST side: requests as data in, answers as data out."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from legacy_hub_sim.core import validation
from legacy_hub_sim.core.clients import already_there, refused
from legacy_hub_sim.core.jobs import Submission
from legacy_hub_sim.core.offers import offer_waiting
from legacy_hub_sim.core.step_context import StepContext
from legacy_hub_sim.core.validation import Field, FieldType, Problem, PythonError

CLIENT = "rest-api-client"
JOB_FIELDS = (
    Field("job_type", FieldType.TEXT),
    Field("payload", FieldType.OBJECT),
    Field("priority", FieldType.WHOLE, required=False, default=0),
    Field("job_id", FieldType.TEXT, nullable=True, required=False),
    Field("wait", FieldType.FLAG, required=False, default=False),
    Field("timeout", FieldType.WHOLE, required=False, default=300),
)
METHODS = {"/": "GET", "/api/jobs": "POST"}
JOB_PATH = "/api/jobs/"


class Request(msgspec.Struct, frozen=True):
    """One request; `path` with its escapes resolved."""

    method: str
    path: str
    body: bytes = b""
    content_type: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """One answer; `location` where it sends elsewhere, `allow` where the method was wrong."""

    status: int
    body: Any
    allow: str | None = None
    location: str | None = None


class Waiting(msgspec.Struct, frozen=True):
    """A submission with `wait`: to be asked about again until the job ended or the time is up."""

    job_id: str
    until: float
    timeout: int


def answer(step: StepContext, request: Request) -> Answer | Waiting:
    """What a request is answered; what it sets off goes out after the answer."""
    job_id = request.path.removeprefix(JOB_PATH)
    is_job = request.path.startswith(JOB_PATH) and job_id and "/" not in job_id
    allowed = "GET" if is_job else METHODS.get(request.path)
    if allowed is None:
        return missing_page(request.path)
    if request.method != allowed:
        return Answer(405, {"detail": "Method Not Allowed"}, allow=allowed)
    if is_job:
        return show(step, job_id)
    if request.path == "/":
        return Answer(200, {"status": "ok", "message": "WebSocket Queue API is running"})
    return submit(step, request)


def missing_page(path: str) -> Answer:
    """No such page; one slash too many is sent to the page without it."""
    bare = path.rstrip("/")
    if path != bare and (bare in METHODS or (bare.startswith(JOB_PATH) and "/" not in bare.removeprefix(JOB_PATH))):
        return Answer(307, None, location=bare)
    return Answer(404, {"detail": "Not Found"})


def show(step: StepContext, job_id: str) -> Answer:
    """`GET /api/jobs/{id}`."""
    try:
        job = step.jobs.status(job_id)
        if job is None:
            return Answer(404, {"detail": f"Job with ID {job_id} not found"})
        return Answer(200, status_object(job_id, job))
    except PythonError as error:
        return Answer(500, {"detail": error.text})


def status_object(job_id: str, job: dict[str, Any]) -> dict[str, Any]:
    """A job as REST shows it."""
    position = job.get("position")
    payload = job.get("job_request_payload")
    validation.must_fit("JobStatusResponse", (Field("payload", FieldType.OBJECT, nullable=True),), {"payload": payload})
    return {
        "job_id": job_id,
        "status": job.get("status", "unknown"),
        "job_type": job.get("job_type"),
        "client_id": job.get("client_id"),
        "worker_id": job.get("worker_id"),
        "created_at": job.get("created_at"),
        "claimed_at": job.get("claimed_at"),
        "completed_at": job.get("completed_at"),
        "position": position,
        "display_position": None if position is None else position + 1,
        "progress": float(job["progress"]) if "progress" in job else None,
        "result": job.get("result"),
        "error": job.get("error"),
        "position_description": described(position),
        "payload": payload,
        "failures": None,
    }


def described(position: int | None) -> str | None:
    """A place in the queue in words."""
    if position is None:
        return None
    if position == 0:
        return "Next in queue"
    return "1 job ahead in queue" if position == 1 else f"{position} jobs ahead in queue"


def submit(step: StepContext, request: Request) -> Answer | Waiting:
    """`POST /api/jobs`."""
    body, unread = read_body(request)
    if unread is not None:
        return Answer(422, {"detail": [unread]})
    given, problems = validation.fit(JOB_FIELDS, body)
    if problems:
        return Answer(422, {"detail": validation.detail(problems, "body")})
    job_id = given["job_id"] or f"job-rest-{step.new_id()}"
    job = Submission(job_id, given["job_type"], given["priority"], given["payload"], CLIENT)
    try:
        if refusal := refused(step, job):
            return Answer(409, {"detail": refusal})
        if not already_there(step, job):
            step.jobs.add(job, step.now)
    except PythonError as error:
        return Answer(500, {"detail": error.text})
    offer_waiting(step)
    if given["wait"]:
        return Waiting(job_id, step.now + given["timeout"], given["timeout"])
    return Answer(200, {"success": True, "job_id": job_id, "message": f"Job submitted successfully with ID: {job_id}"})


def read_body(request: Request) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The body as an object, or why it is none. Without a content type it is taken for JSON."""
    body: Any = request.body.decode(errors="replace")
    if request.body and is_json(request.content_type):
        try:
            body = json.loads(request.body.decode(errors="replace"))
        except json.JSONDecodeError as error:
            return {}, {
                "type": "json_invalid",
                "loc": ["body", error.pos],
                "msg": "JSON decode error",
                "input": {},
                "ctx": {"error": error.msg},
            }
    if isinstance(body, dict):
        return body, None
    if not request.body or body is None:
        return {}, validation.detail([Problem("missing", (), "Field required", None)], "body")[0]
    sentence = "Input should be a valid dictionary or object to extract fields from"
    return {}, validation.detail([Problem("model_attributes_type", (), sentence, body)], "body")[0]


def is_json(content_type: str | None) -> bool:
    """Whether a content type says JSON; none at all does."""
    if content_type is None:
        return True
    main = content_type.split(";")[0].strip().lower()
    return main == "application/json" or (main.startswith("application/") and main.endswith("+json"))


def awaited(step: StepContext, waiting: Waiting) -> Answer | None:
    """The answer of a waiting submission: when the job completed or failed, or with the status so far at the end.

    Its `payload` is null, unlike that of `GET /api/jobs/{id}`. Once the time is up it says so, even
    of a job that completed since it last looked.
    """
    try:
        job = step.jobs.status(waiting.job_id) or {}
        shown = {**status_object(waiting.job_id, job), "payload": None}
        if step.now >= waiting.until:
            late = f"Timeout: Job did not complete within {waiting.timeout} seconds"
            return Answer(200, {**shown, "error": late})
        return Answer(200, shown) if job.get("status") in ("completed", "failed") else None
    except PythonError as error:
        return Answer(500, {"detail": error.text})
