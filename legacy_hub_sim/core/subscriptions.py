"""Who is notified of a job. Fault `one-subscriber` is decided here and nowhere else."""

from __future__ import annotations

from typing import Any

from legacy_hub_sim.core.connections import Role, Style
from legacy_hub_sim.core.messages import Message
from legacy_hub_sim.core.step_context import StepContext
from legacy_hub_sim.core.validation import PythonError
from legacy_hub_sim.faults import Fault


def subscribe_submitter(step: StepContext, client: str, job_id: str) -> None:
    """Who submits a job is notified of it; in the hub, instead of whoever was before."""
    if client not in step.state.connections[Role.CLIENT]:
        return
    if Fault.ONE_SUBSCRIBER in step.faults:
        step.state.persisted.subscribers[job_id] = [client]
    else:
        add(step, client, job_id)


def subscribe_asker(step: StepContext, client: str, job_id: Any) -> None:
    """Who subscribes to a job, or asks for its status, would be notified of it.

    The hub mistakes the job's id for the client's here, so that only a client connected under the job's very id
    comes to be subscribed, to a job with the asker's name.
    """
    if isinstance(job_id, list | dict):
        raise PythonError(f"unhashable type: '{type(job_id).__name__}'")
    if Fault.ONE_SUBSCRIBER not in step.faults:
        add(step, client, str(job_id))
    elif job_id in step.state.connections[Role.CLIENT]:
        step.state.persisted.subscribers[client] = [job_id]


def add(step: StepContext, client: str, job_id: str) -> None:
    """One more subscriber."""
    subscribers = step.state.persisted.subscribers.setdefault(job_id, [])
    if client not in subscribers:
        subscribers.append(client)


def forget_client(step: StepContext, client: str) -> None:
    """The hub drops a client's subscriptions when it goes."""
    if Fault.ONE_SUBSCRIBER not in step.faults:
        return
    subscribers = step.state.persisted.subscribers
    for job_id in [job_id for job_id, names in subscribers.items() if names == [client]]:
        del subscribers[job_id]


def notify_subscribers(step: StepContext, job_id: str, message: Message, style: Style = Style.COMPACT) -> str | None:
    """Send to the job's subscribers; returns the one whose id monitors are shown."""
    names = step.state.persisted.subscribers.get(job_id, [])
    for name in names:
        step.to(Role.CLIENT, name, message, style)
    return names[0] if names else None


def notify_all(step: StepContext, job_id: str, message: Message, style: Style = Style.COMPACT) -> None:
    """Send to the job's subscribers, then with the client's id added to every monitor."""
    step.to_monitors({**message, "client_id": notify_subscribers(step, job_id, message, style)})


def shown(step: StepContext) -> dict[str, str]:
    """Job id to client id, as monitors are shown it."""
    return {job_id: names[0] for job_id, names in step.state.persisted.subscribers.items() if names}
