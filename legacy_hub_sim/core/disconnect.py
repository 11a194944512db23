"""How a connection ends: what the hub forgets then, and whom it closes."""

from __future__ import annotations

from legacy_hub_sim.core import subscriptions
from legacy_hub_sim.core.connections import Peer, Role
from legacy_hub_sim.core.step_context import StepContext


def leave(step: StepContext, peer: Peer) -> None:
    """A connection ended, or is no longer read.

    The hub looks its name up to clean up after it: where the name has a newer connection, that is the one it closes.
    """
    current = step.state.connections[peer.role].pop(peer.name, None)
    match peer.role:
        case Role.CLIENT if current is not None:
            step.state.stats_subscribers.pop(peer.name, None)
            subscriptions.forget_client(step, peer.name)
        case Role.WORKER:
            forget_worker(step, peer.name)
        case Role.MONITOR if current is not None:
            step.state.filters.pop(peer.name, None)
    if current not in (None, peer.connection):
        step.close(current, reason(peer.role, peer.name))


def forget_worker(step: StepContext, worker: str) -> None:
    """What goes with a worker's connection; its record, its job and what it failed stay."""
    memory = step.state
    memory.status.pop(worker, None)
    memory.capabilities.pop(worker, None)
    memory.heartbeat_at.pop(worker, None)
    memory.notified_of_jobs.pop(worker, None)


def reason(role: Role, name: str) -> str:
    """What the hub closes with."""
    return f"{role.spoken} {name} disconnected"


def drop_silent(step: StepContext, limit: float) -> None:
    """Close the first worker that said nothing of itself for too long.

    The hub's round breaks after the first one, when it goes to reassign that worker's jobs.
    """
    for worker, heard in step.state.heartbeat_at.items():
        if step.now - heard > limit:
            connection = step.state.connections[Role.WORKER].pop(worker, None)
            if connection is not None:
                step.close(connection, reason(Role.WORKER, worker))
            forget_worker(step, worker)
            return
