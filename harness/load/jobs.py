"""What the users of a load submit."""

from __future__ import annotations

from typing import Any, Final

import msgspec


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What the users of a load submit."""

    service: str = "simulation"
    priority: int = 0
    payload: dict[str, Any] = {}

    @property
    def succeeds(self) -> bool:
        """Whether the script ends well whenever nobody interferes."""
        return not any("fail" in step for step in self.payload.get("simulate", ()))


SCRIPT: Final = (
    {"progress": 10, "stamp": True},
    {"sleep_ms": 50},
    {"progress": 55, "stamp": True},
    {"sleep_ms": 50},
    {"progress": 100, "stamp": True},
)
"""A tenth of a second of work, with three updates that carry their send time (`wire.stamp`)."""

DEFAULT_JOB: Final = JobSpec(payload={"simulate": list(SCRIPT)})
