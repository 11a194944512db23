"""Replay: plays a cassette against a hub or a stack and answers what was observed."""

from harness.cassettes.replay.expectations import Deadlines
from harness.cassettes.replay.player import Transcript, replay

__all__ = ["Deadlines", "Transcript", "replay"]
