"""Targets: a hub or a stack, started by us or given by URL."""

from harness.targets.stages import GivenStage, HubStage, Needs, StackStage, Stage
from harness.targets.targets import HubTarget, Kind, StackTarget, Target

__all__ = ["GivenStage", "HubStage", "HubTarget", "Kind", "Needs", "StackStage", "StackTarget", "Stage", "Target"]
