"""The hub's rules: messages in, messages out. No socket, no clock, no randomness, no Redis."""

from legacy_hub_sim.core.hub import Hub
from legacy_hub_sim.core.outgoing import Close, Frame, Outgoing, Style
from legacy_hub_sim.core.peers import Peer, Role
from legacy_hub_sim.core.rest import Answer, Request, Waiting
from legacy_hub_sim.core.store import JobStore, MemoryStore, StoreError

__all__ = [
    "Answer",
    "Close",
    "Frame",
    "Hub",
    "JobStore",
    "MemoryStore",
    "Outgoing",
    "Peer",
    "Request",
    "Role",
    "StoreError",
    "Style",
    "Waiting",
]
