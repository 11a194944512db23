"""What a comparison finds."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from harness.parity.fields import ABSENT
from harness.results import FindingKind

_ENDING_TYPES: Final = frozenset(
    {"complete_job", "fail_job", "job_completed", "job_failed", "completed", "attempt_failed", "cancelled"}
)
_ENDING_STATES: Final = frozenset({"completed", "failed", "cancelled"})
_ACCEPTING_TYPES: Final = frozenset({"job_accepted", "job_submitted", "accepted"})
_LONGEST_SHOWN: Final = 120


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between what was expected and what was observed.

    `expected_index` and `observed_index` are places in the two lists of events. `declared_by` is the id of the
    deviation that declares it.
    """

    kind: FindingKind
    actor: str
    role: str
    message_type: str
    field: str = ""
    expected: Any = None
    observed: Any = None
    expected_index: int | None = None
    observed_index: int | None = None
    declared_by: str | None = None
    noise: bool = False

    @property
    def excused(self) -> bool:
        """Whether it is declared or noise."""
        return self.noise or self.declared_by is not None

    @property
    def signature(self) -> tuple[str, str, str, str]:
        """What makes two findings of different runs the same. A frame too few in one run is one too many in another."""
        kind = "count" if self.kind in {FindingKind.MISSING, FindingKind.EXTRA} else self.kind.value
        return self.actor, kind, self.message_type, self.field

    @property
    def grave(self) -> bool:
        """Whether it tells of a lost job, a second end or another end: noise never excuses one."""
        values = [value for value in (self.expected, self.observed) if isinstance(value, dict)]
        ends = self.message_type in _ENDING_TYPES or any(v.get("status") in _ENDING_STATES for v in values)
        if self.kind in {FindingKind.MISSING, FindingKind.EXTRA}:
            return ends or self.message_type in _ACCEPTING_TYPES
        if self.field in {"status", "type", "body.status"}:
            return True
        return self.message_type in _ENDING_TYPES and self.kind is FindingKind.CHANGED

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if self.kind is FindingKind.MISSING:
            return f"{self.actor} never got {self.message_type}."
        if self.kind is FindingKind.EXTRA:
            return f"{self.actor} got one {self.message_type} too many."
        if self.kind is FindingKind.REORDERED:
            return f"{self.actor} got {self.message_type} out of order."
        where = f"{self.field} of {self.message_type}" if self.field != "type" else "the message"
        return f"{self.actor}: {where} is {shown(self.observed)} where the reference has {shown(self.expected)}."


def shown(value: Any) -> str:
    """A value short enough for a sentence."""
    if value is ABSENT or value == ABSENT:
        return "absent"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
