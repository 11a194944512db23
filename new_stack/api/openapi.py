"""The OpenAPI document, generated from the types that the routes read and write."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from new_stack.api import views
from new_stack.api.problems import Problem
from new_stack.queue.events import EventKind
from new_stack.queue.jobs import JobState

Schema = dict[str, Any]

DESCRIPTION: Final = (
    "Submit jobs, follow them, cancel them. Every error is a problem document (RFC 9457). Where the server has a "
    "token, send it as `Authorization: Bearer TOKEN` or `?token=TOKEN`."
)


class LegacyJobRequest(msgspec.Struct, kw_only=True):
    """A job as clients of the hub's REST submit it."""

    job_type: str
    payload: dict[str, Any]
    priority: int | str = 0
    job_id: str | None = None
    wait: bool = False
    timeout: float = 300


class LegacyAnswer(msgspec.Struct, kw_only=True):
    """The hub's answer to a submission."""

    success: bool
    job_id: str
    message: str


TYPES: Final = (
    views.JobRequest,
    views.CancelRequest,
    views.JobView,
    views.JobsView,
    views.BatchItem,
    views.EventView,
    views.StatsView,
    views.WorkersView,
    views.HealthView,
    Problem,
    LegacyJobRequest,
    LegacyAnswer,
)


def build() -> bytes:
    """The document as JSON."""
    _, schemas = msgspec.json.schema_components(TYPES, schema_hook=_raw, ref_template="#/components/schemas/{name}")
    document = {
        "openapi": "3.1.0",
        "info": {"title": "hubgate job API", "version": "1", "description": DESCRIPTION, "license": {"name": "MIT"}},
        "paths": _paths(),
        "components": {
            "schemas": _stated_openly(schemas),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "query": {"type": "apiKey", "in": "query", "name": "token"},
            },
        },
        "security": [{}, {"bearer": []}, {"query": []}],
    }
    return msgspec.json.encode(document)


def _raw(kind: type) -> Schema:
    """Raw JSON may be anything."""
    if kind is msgspec.Raw:
        return {}
    raise NotImplementedError


def _stated_openly(schemas: dict[str, Schema]) -> dict[str, Schema]:
    """What the types cannot say: the payload is an object, and one of two names for the service has to be there."""
    schemas["JobRequest"]["properties"]["payload"] = {"type": "object", "description": "What the worker gets."}
    schemas["JobRequest"]["required"] = ["service_required"]
    schemas["JobView"]["properties"]["payload"] = {"type": "object"}
    return schemas


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _problem(description: str, *, retry: bool = False) -> Schema:
    answer = {"description": description, "content": {"application/problem+json": {"schema": _ref("Problem")}}}
    if retry:
        answer["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return answer


PROBLEMS: Final[dict[str, Schema]] = {
    "400": _problem("The body is not JSON."),
    "401": _problem("The token is missing or wrong."),
    "404": _problem("There is no such job."),
    "408": _problem("The body took too long to arrive."),
    "409": _problem("The job is in no state for this, or its id is taken by a job with other content."),
    "413": _problem("The body is larger than the server takes."),
    "422": _problem("A field is wrong; `errors` names it. For a legacy body, `detail` is the hub's list."),
    "429": _problem("This address has too many open connections.", retry=True),
    "503": _problem("Redis cannot be reached for now.", retry=True),
}


def _operation(
    summary: str,
    answers: dict[str, Schema],
    problems: str,
    *,
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    body_required: bool = True,
) -> Schema:
    operation: Schema = {
        "summary": summary,
        "responses": answers | {status: PROBLEMS[status] for status in f"401 503 {problems}".split()},
    }
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": body_required, "content": {"application/json": {"schema": body}}}
    return operation


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


JOB_ID: Final = {
    "name": "job_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
    "description": "The job's id, percent-encoded.",
}
LAST_EVENT_ID: Final = [
    {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "Go on after this event.",
    },
    _query("last_event_id", {"type": "string"}, "The same, for those who cannot set a header."),
]


def _paths() -> dict[str, Schema]:
    return _job_paths() | _stream_paths() | _other_paths()


def _job_paths() -> dict[str, Schema]:
    job = _ref("JobView")
    located = {"Location": {"description": "Where the job is.", "schema": {"type": "string"}}}
    accepted = _json(job, "The job stands in the line.") | {"headers": located}
    known = {
        "anyOf": [job, _ref("LegacyAnswer"), {"type": "array", "items": _ref("BatchItem")}],
    }
    bodies = {"anyOf": [_ref("JobRequest"), {"type": "array", "minItems": 1, "items": _ref("JobRequest")},
                        _ref("LegacyJobRequest")]}  # fmt: skip
    states = {"type": "string", "enum": [state.value for state in JobState]}
    filters = [
        _query("status", states, "Only jobs in this state."),
        _query("service", {"type": "string"}, "Only jobs of this service."),
        _query("worker_id", {"type": "string"}, "Only jobs that this worker has or had last."),
        _query("cursor", {"type": "string", "pattern": "^[0-9]{1,15}$"}, "The `cursor` of the page before."),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "How many, 50 where not said."),
    ]
    return {
        "/api/jobs": {
            "post": _operation(
                "Submit a job, or a list of them; a body with `job_type` is answered as the hub answers it.",
                {"201": accepted, "200": _json(known, "Known already; or a list's or a legacy body's answer.")},
                "400 404 408 409 413 422",
                body=bodies,
            ),
            "get": _operation(
                "List jobs, newest first.", {"200": _json(_ref("JobsView"), "A page.")}, "422", parameters=filters
            ),
        },
        "/api/jobs/{job_id}": {
            "get": _operation("A job's status and result.", {"200": _json(job, "The job.")}, "404", parameters=[JOB_ID])
        },
        "/api/jobs/{job_id}/cancel": {
            "post": _operation(
                "End a job as cancelled, pending or running.",
                {"200": _json(job, "The job, cancelled.")},
                "400 404 408 409 413 422",
                parameters=[JOB_ID],
                body=_ref("CancelRequest"),
                body_required=False,
            )
        },
        "/api/jobs/{job_id}/retry": {
            "post": _operation(
                "Put a failed or cancelled job back in the line.",
                {"200": _json(job, "The job, pending again.")},
                "404 409",
                parameters=[JOB_ID],
            )
        },
    }


def _stream_paths() -> dict[str, Schema]:
    kinds = ", ".join(f"`{kind.value}`" for kind in EventKind)
    stream = {
        "description": (
            f"Server-sent events; `event` is one of {kinds}, with an EventView as data; or `gap` (events are missing), "
            "or `disconnect` (the server breaks off: reconnect)."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    over = {"description": "The reader has had the ending: there is nothing to reconnect for."}
    filters = [
        _query("job_types", {"type": "string"}, "Only these services, separated by commas."),
        _query("kinds", {"type": "string"}, "Only these kinds, separated by commas."),
        _query("since", {"type": "integer", "minimum": 0}, "Begin at this time (ms since the epoch), not now."),
    ]
    return {
        "/api/jobs/{job_id}/progress": {
            "get": _operation(
                "Follow a job: its history, then what happens, to its end.",
                {"200": stream, "204": over},
                "404 429",
                parameters=[JOB_ID, *LAST_EVENT_ID],
            )
        },
        "/api/events": {
            "get": _operation("Follow all jobs.", {"200": stream}, "422 429", parameters=[*filters, *LAST_EVENT_ID])
        },
    }


def _other_paths() -> dict[str, Schema]:
    health = _json(_ref("HealthView"), "Yes.")
    text = {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    stats = _json(_ref("StatsView"), "The figures.")
    workers = _json(_ref("WorkersView"), "The workers.")
    live = _operation("Does the process answer?", {"200": health}, "")
    return {
        "/api/stats": {"get": _operation("The queue, the workers, the connections.", {"200": stats}, "")},
        "/api/workers": {"get": _operation("Every worker that is not forgotten.", {"200": workers}, "")},
        "/health": {"get": _operation("Can it serve?", {"200": health}, "")},
        "/health/ready": {"get": _operation("Can it serve?", {"200": health}, "")},
        "/health/live": {"get": live},
        "/metrics": {"get": _operation("Metrics.", {"200": text}, "")},
    }
