"""Replay: plays a cassette against a hub or a stack and answers what was observed."""

from harness.replay.pace import Pace
from harness.replay.player import replay
from harness.replay.transcript import Transcript

__all__ = ["Pace", "Transcript", "replay"]
