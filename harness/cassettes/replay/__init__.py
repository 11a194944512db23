"""Replay: plays a cassette against a hub or a stack and answers what was observed."""

from harness.cassettes.replay.pace import Pace
from harness.cassettes.replay.player import replay
from harness.cassettes.replay.transcript import Transcript

__all__ = ["Pace", "Transcript", "replay"]
