"""How long a replay waits, and for what. It never sleeps through a recorded gap."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from harness.cassettes import Note

_WITHIN: Final = re.compile(r"within ([0-9.]+) s\b")


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds throughout."""

    deadline_s: float = 3.0
    """For a frame that the recording has, beyond what the recording itself took for it."""
    patience_s: float = 40.0
    """The most that a recorded wait adds to the deadline."""
    hurried_deadline_s: float = 0.5
    """The deadline for kinds of frames that did not come before, and for all once `hurry_after` have not come."""
    hurry_after: int = 3
    settle_s: float = 75.0
    """The most that is waited where the recording notes a wait in which nothing came. Shorter is quicker, and makes a
    difference that is found after it inconclusive."""
    quiet_s: float = 0.15
    """Before an actor leaves that had lingered in the recording: nothing may come for so long."""
    linger_gap_s: float = 0.2
    """A recorded gap before leaving that counts as lingering."""
    connect_s: float = 10.0
    request_s: float = 60.0
    whole_s: float = 300.0
    """A cassette that takes longer is inconclusive."""


def noted_wait_s(note: Note) -> float:
    """The seconds of a deliberate wait in a note, else 0."""
    found = _WITHIN.search(note.text)
    return float(found[1]) if found else 0.0
