"""Targets: a hub or a stack, started by us or given by URL, and how it is started."""

from harness.targets.deployment import Crew, Deployment, Namespace, Setup
from harness.targets.pool import REPLAYED, GivenPool, HubPool, Needs, StackPool, TargetPool
from harness.targets.target import LEASE_MS, LOOPBACK, HubTarget, Side, StackTarget, Target

__all__ = [
    "LEASE_MS",
    "LOOPBACK",
    "REPLAYED",
    "Crew",
    "Deployment",
    "GivenPool",
    "HubPool",
    "HubTarget",
    "Namespace",
    "Needs",
    "Setup",
    "Side",
    "StackPool",
    "StackTarget",
    "Target",
    "TargetPool",
]
