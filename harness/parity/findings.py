"""Where two messages differ, field by field, and what is found by that: in words, how much it matters, what follows."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

import msgspec

from harness.parity.normalize import BY_ID, USER_DATA
from harness.results import Finding, FindingKind

ABSENT: Final = "(absent)"
_ENDING_TYPES: Final = frozenset(
    {"complete_job", "fail_job", "job_completed", "job_failed", "completed", "attempt_failed", "cancelled"}
)
_ENDING_STATES: Final = frozenset({"completed", "failed", "cancelled"})
_ACCEPTING_TYPES: Final = frozenset({"job_accepted", "job_submitted", "accepted"})
_TOLD_TYPES: Final = frozenset({"update_job_progress", "job_progress", "progress", "error"})
_LONGEST_SHOWN: Final = 120


class FieldDifference(msgspec.Struct, frozen=True):
    """One field with both its values; a side without the field has ABSENT."""

    path: str
    expected: Any
    observed: Any


def differences(expected: Any, observed: Any, path: str = "", *, user_data: bool = False) -> Iterator[FieldDifference]:
    """Every field in which the observed value is not the expected one."""
    if isinstance(expected, dict) and isinstance(observed, dict):
        for key, part in expected.items():
            inner = _inside(path, key)
            if key in observed:
                yield from differences(part, observed[key], inner, user_data=user_data or key in USER_DATA)
            else:
                yield FieldDifference(inner, part, ABSENT)
        if user_data or path.rpartition(".")[2] in BY_ID:
            added = (key for key in observed if key not in expected)
            yield from (FieldDifference(_inside(path, key), ABSENT, observed[key]) for key in added)
    elif isinstance(expected, list) and isinstance(observed, list) and len(expected) == len(observed):
        for place, (one, other) in enumerate(zip(expected, observed, strict=True)):
            yield from differences(one, other, f"{path}[{place}]", user_data=user_data)
    elif not same_scalar(expected, observed):
        yield FieldDifference(path, expected, observed)


def same_scalar(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, and neither is true."""
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _inside(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


Signature = tuple[str, str, str, str]


def signature(finding: Finding) -> Signature:
    """What makes two findings of different runs the same. A frame too few in one run is one too many in another."""
    kind = "count" if finding.kind in {FindingKind.MISSING, FindingKind.EXTRA} else finding.kind.value
    return finding.actor, kind, finding.message_type, finding.field


def is_critical(finding: Finding) -> bool:
    """Whether it tells of a lost job, a second end or another end, or of progress or an error that one run alone tells:
    noise never excuses one.
    """
    values = [value for value in (finding.expected, finding.observed) if isinstance(value, dict)]
    ends = finding.message_type in _ENDING_TYPES or any(v.get("status") in _ENDING_STATES for v in values)
    if finding.kind in {FindingKind.MISSING, FindingKind.EXTRA}:
        return ends or finding.message_type in _ACCEPTING_TYPES | _TOLD_TYPES
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


def folded(findings: Sequence[Finding], frames: Sequence[Any]) -> list[Finding]:
    """The findings, each that follows from an earlier one marked with that one's place. Excused ones cause nothing.

    A job's later findings follow from its first. After a worker was given another job than before, all that is
    different about any job follows from that. What is different in one way about many jobs is told once, and an
    acknowledgement that is missing follows from the message that it would acknowledge.
    """
    causes: dict[Hashable, int] = {}
    marked = []
    for place, (finding, frame) in enumerate(zip(findings, frames, strict=True)):
        follows = None
        if not finding.excused:
            fields = frame if isinstance(frame, dict) else {}
            job, acknowledged = fields.get("job_id"), fields.get("original_type")
            kind = (finding.role, finding.kind, finding.message_type, finding.field)
            names: list[Hashable] = [("way", *kind)]
            if isinstance(job, str):
                names += [("job", job), "order of work"]
            if acknowledged:
                names.append(("way", finding.role, finding.kind, acknowledged, finding.field))
            follows = min((causes[name] for name in names if name in causes), default=None)
            root = place if follows is None else follows
            for name in names:
                if name != "order of work" or finding.message_type == "job_assigned":
                    causes.setdefault(name, root)
        marked.append(msgspec.structs.replace(finding, follows=follows))
    return marked
