"""The time at which a worker sent a progress message, as it travels inside the message.

A script step `{"progress": 50, "stamp": true}` makes a worker write it: seconds since the epoch under `STAMP`, in the
details of the progress (`connector_details` on the legacy wire, `details` of an event).
"""

from __future__ import annotations

from typing import Final

STAMP: Final = "sent_at"


def told_at(details: object) -> float | None:
    """The worker's send time in those details, if it is there."""
    if not isinstance(details, dict):
        return None
    stamp = details.get(STAMP)
    return float(stamp) if isinstance(stamp, int | float) and not isinstance(stamp, bool) else None
