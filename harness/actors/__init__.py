"""Scripted actors for scenarios: clients and monitors of both kinds, workers of the hub. They speak only the wire."""

from harness.actors.conversation import Conversation, Heard, NotHeard
from harness.actors.hub_worker import HubWorker
from harness.actors.legacy import LegacyClient, Monitor
from harness.actors.modern import ModernClient, Refused, Told

__all__ = [
    "Conversation",
    "Heard",
    "HubWorker",
    "LegacyClient",
    "ModernClient",
    "Monitor",
    "NotHeard",
    "Refused",
    "Told",
]
