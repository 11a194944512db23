"""Who is told about a job. Fault `one-subscriber` is decided here and nowhere else."""

from __future__ import annotations

from typing import Any

from legacy_hub_sim.core.leaks import Leak
from legacy_hub_sim.core.messages import Message
from legacy_hub_sim.core.outgoing import Style
from legacy_hub_sim.core.peers import Role
from legacy_hub_sim.core.turn import Turn
from legacy_hub_sim.faults import Fault


def subscribe_submitter(turn: Turn, client: str, job_id: str) -> None:
    """Who submits a job is told about it; in the hub, instead of whoever was before."""
    if client not in turn.memory.connections[Role.CLIENT]:
        return
    if Fault.ONE_SUBSCRIBER in turn.faults:
        turn.memory.kept.subscribers[job_id] = [client]
    else:
        add(turn, client, job_id)


def subscribe_asker(turn: Turn, client: str, job_id: Any) -> None:
    """Who subscribes to a job, or asks for its status, would be told about it.

    The hub mistakes the job's id for the client's here, so that only a client connected under the job's very id
    comes to be subscribed, to a job with the asker's name.
    """
    if isinstance(job_id, list | dict):
        raise Leak(f"unhashable type: '{type(job_id).__name__}'")
    if Fault.ONE_SUBSCRIBER not in turn.faults:
        add(turn, client, str(job_id))
    elif job_id in turn.memory.connections[Role.CLIENT]:
        turn.memory.kept.subscribers[client] = [job_id]


def add(turn: Turn, client: str, job_id: str) -> None:
    """One more subscriber."""
    subscribers = turn.memory.kept.subscribers.setdefault(job_id, [])
    if client not in subscribers:
        subscribers.append(client)


def forget_client(turn: Turn, client: str) -> None:
    """The hub drops a client's subscriptions when it goes."""
    if Fault.ONE_SUBSCRIBER not in turn.faults:
        return
    subscribers = turn.memory.kept.subscribers
    for job_id in [job_id for job_id, names in subscribers.items() if names == [client]]:
        del subscribers[job_id]


def tell(turn: Turn, job_id: str, message: Message, style: Style = Style.COMPACT) -> str | None:
    """Send to the job's subscribers; returns the one whose id monitors are shown."""
    names = turn.memory.kept.subscribers.get(job_id, [])
    for name in names:
        turn.to(Role.CLIENT, name, message, style)
    return names[0] if names else None


def tell_all(turn: Turn, job_id: str, message: Message, style: Style = Style.COMPACT) -> None:
    """Send to the job's subscribers, then with the client's id added to every monitor."""
    turn.to_monitors({**message, "client_id": tell(turn, job_id, message, style)})


def shown(turn: Turn) -> dict[str, str]:
    """Job id to client id, as monitors are shown it."""
    return {job_id: names[0] for job_id, names in turn.memory.kept.subscribers.items() if names}
