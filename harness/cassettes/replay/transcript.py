"""What was observed when a cassette was played."""

from __future__ import annotations

import msgspec

from harness.cassettes import Event


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """All events of a replay in the order they happened, their ids exchanged for those of the cassette."""

    scenario: str
    target: str
    """`hub` or `stack`."""
    events: tuple[Event, ...]
    bindings: dict[str, str] = {}
    """The cassette's ids to those that the target really gave."""
    incidents: tuple[str, ...] = ()
    """What did not go as recorded, in sentences: a frame waited for in vain, a send on a closed connection."""
    cut_short: str = ""
    """A sentence where a recorded wait was not waited out: then a difference proves nothing."""
    took_s: float = 0.0
