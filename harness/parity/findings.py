"""What a comparison finds: in words, and what makes two findings the same or one of them critical."""

from __future__ import annotations

import json
from typing import Any, Final

from harness.parity.fields import ABSENT
from harness.results import Finding, FindingKind

_ENDING_TYPES: Final = frozenset(
    {"complete_job", "fail_job", "job_completed", "job_failed", "completed", "attempt_failed", "cancelled"}
)
_ENDING_STATES: Final = frozenset({"completed", "failed", "cancelled"})
_ACCEPTING_TYPES: Final = frozenset({"job_accepted", "job_submitted", "accepted"})
_LONGEST_SHOWN: Final = 120

Signature = tuple[str, str, str, str]


def signature(finding: Finding) -> Signature:
    """What makes two findings of different runs the same. A frame too few in one run is one too many in another."""
    kind = "count" if finding.kind in {FindingKind.MISSING, FindingKind.EXTRA} else finding.kind.value
    return finding.actor, kind, finding.message_type, finding.field


def is_critical(finding: Finding) -> bool:
    """Whether it tells of a lost job, a second end or another end: noise never excuses one."""
    values = [value for value in (finding.expected, finding.observed) if isinstance(value, dict)]
    ends = finding.message_type in _ENDING_TYPES or any(v.get("status") in _ENDING_STATES for v in values)
    if finding.kind in {FindingKind.MISSING, FindingKind.EXTRA}:
        return ends or finding.message_type in _ACCEPTING_TYPES
    if finding.field in {"status", "type", "body.status"}:
        return True
    return finding.message_type in _ENDING_TYPES and finding.kind is FindingKind.CHANGED


def sentence_of(kind: FindingKind, actor: str, message_type: str, field: str, values: tuple[Any, Any]) -> str:
    """A finding in words; `values` are the expected and the observed one."""
    if kind is FindingKind.MISSING:
        return f"{actor} never got {message_type}."
    if kind is FindingKind.EXTRA:
        return f"{actor} got one {message_type} too many."
    if kind is FindingKind.REORDERED:
        return f"{actor} got {message_type} out of order."
    where = f"{field} of {message_type}" if field != "type" else "the message"
    return f"{actor}: {where} is {_shown(values[1])} where the reference has {_shown(values[0])}."


def _shown(value: Any) -> str:
    if value is ABSENT or value == ABSENT:
        return "absent"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
