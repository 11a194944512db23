"""The hub's rules: messages in, messages out. No socket, no clock, no randomness, no Redis."""

from legacy_hub_sim.core.connections import Close, Frame, Outgoing, Peer, Role, Style
from legacy_hub_sim.core.hub import Hub
from legacy_hub_sim.core.rest import Answer, Request, Waiting
from legacy_hub_sim.core.store import JobStore, StoreError

__all__ = [
    "Answer",
    "Close",
    "Frame",
    "Hub",
    "JobStore",
    "Outgoing",
    "Peer",
    "Request",
    "Role",
    "StoreError",
    "Style",
    "Waiting",
]
