"""Who is offered which job: one idle worker one job, by priority, then age."""

from __future__ import annotations

import json
from typing import Any

from legacy_hub_sim.core import messages
from legacy_hub_sim.core.connections import Role
from legacy_hub_sim.core.jobs import Fields, StoreError
from legacy_hub_sim.core.step_context import StepContext
from legacy_hub_sim.core.validation import Field, FieldType, PythonError, must_fit

CAPABILITY_FIELDS = (
    Field("version", FieldType.TEXT, required=False, default="1.0.0"),
    Field("supported_job_types", FieldType.ANYTHING, nullable=True, required=False),
    Field("cpu", FieldType.FLAG, nullable=True, required=False),
    Field("memory", FieldType.TEXT, nullable=True, required=False),
)


def capabilities_of(step: StepContext, worker: str) -> dict[str, Any]:
    """What a worker said it can do, with the defaults filled in; raises `PythonError` where its words do not fit."""
    given = step.state.capabilities.get(worker, {})
    known = must_fit("WorkerCapabilities", CAPABILITY_FIELDS, given)
    known["supported_job_types"] = job_types(known["supported_job_types"])
    return {**known, **{name: value for name, value in given.items() if name not in known}}


def job_types(given: Any) -> list[str]:
    """The job types a worker lists, in any of the forms the hub understands."""
    if given is None:
        return []
    if isinstance(given, str):
        try:
            decoded = json.loads(given)
        except ValueError:
            return [given]
        given = decoded if isinstance(decoded, list) else given
    return [str(item) for item in given] if isinstance(given, list) else [str(given)]


def offer_waiting(step: StepContext) -> None:
    """Offer waiting jobs to idle workers. One odd priority among them, or no store, and nobody is offered anything."""
    idle = {worker: types_of(step, worker) for worker, status in step.state.status.items() if status == "idle"}
    try:
        jobs = in_order(step, sorted(set().union(*idle.values())))
    except (ValueError, StoreError):
        return
    for job_id, fields in jobs:
        fitting = (worker for worker in idle if may_take(step, worker, idle[worker], job_id, fields))
        worker = next(fitting, None)
        if worker is None:
            continue
        try:
            offer = as_offer(step, job_id, fields)
        except PythonError:
            continue
        step.to(Role.WORKER, worker, offer)
        del idle[worker]


def in_order(step: StepContext, types: list[str]) -> list[tuple[str, Fields]]:
    """The waiting jobs of some types, the most urgent first and then the oldest; raises ValueError on an odd one."""
    jobs = [job for job_type in types for job in step.jobs.waiting(job_type)]
    return sorted(jobs, key=lambda job: (-int(job[1].get("priority", 0)), float(job[1].get("created_at", 0))))


def types_of(step: StepContext, worker: str) -> list[str]:
    """The job types a worker is offered; none where its capabilities do not fit."""
    try:
        types: list[str] = capabilities_of(step, worker)["supported_job_types"]
    except PythonError:
        return []
    return types


def may_take(step: StepContext, worker: str, types: list[str], job_id: str, fields: Fields) -> bool:
    """A worker is offered jobs of its types that it has not failed."""
    return fields.get("job_type") in types and job_id not in step.state.persisted.failed_by.get(worker, ())


def as_offer(step: StepContext, job_id: str, fields: Fields) -> messages.Message:
    """The offer of a job; raises `PythonError` where its payload is no object."""
    return messages.checked(
        "job_available",
        step.now,
        job_id=job_id,
        job_type=fields["job_type"],
        priority=fields.get("priority", 0),
        job_request_payload=json.loads(fields.get("job_request_payload", "{}")),
    )


def offer_again(step: StepContext, job_id: str, priority: int) -> None:
    """Tell every idle subscribed worker of a job whose failure history was cleared.

    The hub looks for the job's type under a name it does not store it by, finds none, and so only tells a worker
    that lists the empty type.
    """
    for worker in step.state.notified_of_jobs:
        idle = step.state.status.get(worker) == "idle"
        if not idle or job_id in step.state.persisted.failed_by.get(worker, ()):
            continue
        if "" in capabilities_of(step, worker)["supported_job_types"]:
            step.to(
                Role.WORKER,
                worker,
                messages.checked("job_available", step.now, job_id=job_id, job_type="", priority=priority),
            )
