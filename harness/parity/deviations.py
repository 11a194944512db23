"""Known differences between hub and stack: declared one by one, with a reason, an owner and a day of expiry."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.parity.findings import ABSENT
from harness.results import DeclaredBy, Finding, FindingKind
from harness.toml_files import UnreadableFile, read_toml

SENT: Final = "(sent)"
NOT_SENT: Final = "(not sent)"
NULL: Final = "(null)"
"""TOML has no null."""
ORDER: Final = "(order)"
"""Both values of a frame that comes out of order, with the field `order`."""
STAR: Final = "{*}"
MOST_TIMES: Final = 10
_NEEDED: Final = ("name", "scenario", "role", "message", "reason", "owner")
NONSENSE: Final = "{no value of any field 0}"


class View(StrEnum):
    """The level of a comparison."""

    FRAMES = "frames"
    FACTS = "facts"


class Each(StrEnum):
    """What a deviation is counted by."""

    RUN = ""
    JOB = "job"
    """As often for each job; of messages that name none, as often as there are jobs."""
    MESSAGE = "message"


class Deviation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One declared difference.

    `field` is empty for a whole frame, which one side sends and the other does not: `hub` and `stack` are then
    `(sent)` and `(not sent)`. Else `field` may have `*` for any part of it, and `hub` and `stack` are its values:
    `(absent)`, `(null)`, a text that begins with `~` for a regular expression that the whole value has to match as JSON
    text, one that begins with `=` for what the message itself has at that path (0 where it has nothing there), or the
    value itself.
    """

    name: str
    scenario: str
    """The cassette's name; `*` stands for any part of it."""
    role: str
    message: str
    field: str = ""
    hub: Any
    stack: Any
    where: dict[str, Any] = {}
    """Fields that the message has to have with these values, by their paths; `{*}` in one stands for what the `*` of
    `field` stood for. It is the stack's message, or the hub's where the stack sends none."""
    times: int = 1
    """How many such differences one run may have at most, or each of what `each` names."""
    each: Each = Each.RUN
    sometimes: bool = False
    """Whether it depends on timing: then it is not missed where it was not seen."""
    view: View = View.FRAMES
    """Whether it is about what old clients are told, or about the facts that clients of the other kind are told."""
    fault: int | None = None
    """The number of the hub's known fault (docs/scenarios.md) that this is a side of."""
    reason: str
    owner: str
    expires: dt.date
    """The last day on which it is valid."""

    def of(self, scenario: str, view: View) -> bool:
        """Whether it is about that scenario, seen so."""
        return self.view is view and fnmatchcase(scenario, self.scenario)

    def counted(self, finding: Finding, frame: Any, jobs: int) -> tuple[Hashable, int]:
        """What such differences are counted together by, and how many there may be."""
        match self.each:
            case Each.JOB:
                job_id = value_at(frame, "job_id")
                return (self.name, finding.actor, job_id), self.times * (jobs if job_id == ABSENT else 1)
            case Each.MESSAGE:
                return (self.name, finding.field, finding.row), self.times
        return self.name, self.times

    def covers(self, finding: Finding, frame: Any = None) -> bool:
        """Whether the finding is this difference; `frame` is the whole message that it is about."""
        if (finding.role, finding.message_type) != (self.role, self.message):
            return False
        field = re.fullmatch(re.escape(self.field).replace(r"\*", "(.*)"), finding.field)
        if field is None or not self._describes(frame, "".join(field.groups()[:1])):
            return False
        sides = (self.hub, self.stack)
        match finding.kind:
            case FindingKind.MISSING:
                return sides == (SENT, NOT_SENT)
            case FindingKind.EXTRA:
                return sides == (NOT_SENT, SENT)
            case FindingKind.REORDERED:
                return bool(self.hub == self.stack == ORDER)
        return matches(self.hub, finding.expected, frame) and matches(self.stack, finding.observed, frame)

    def _describes(self, frame: Any, star: str) -> bool:
        wanted = {path: _with_star(value, star) for path, value in self.where.items()}
        return all(matches(value, value_at(frame, path), frame) for path, value in wanted.items())

    def result(self) -> DeclaredBy:
        """As the results model shows it."""
        return DeclaredBy(
            name=self.name,
            reason=self.reason,
            owner=self.owner,
            expires=self.expires.isoformat(),
            hub=as_text(self.hub),
            stack=as_text(self.stack),
        )


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the hub's known faults, which the stack does not rebuild."""

    number: int
    hub: str
    stack: str
    not_recorded: str = ""
    """Where no recording can show it: why, and what does."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    deviation: list[Deviation] = []
    fault: list[Fault] = []


class Deviations:
    """All declared differences of the project."""

    def __init__(self, entries: Iterable[Deviation] = (), faults: Iterable[Fault] = ()) -> None:
        self.entries: Final = tuple(entries)
        self.faults: Final = tuple(faults)
        self.by_name: Final = {entry.name: entry for entry in self.entries}

    @classmethod
    def load(cls, path: Path) -> Deviations:
        """Read the file. Raises UnreadableFile with the file and the place."""
        file = read_toml(path, _File)
        if problem := _problem_of_file(file):
            raise UnreadableFile(f"{path}: {problem}")
        return cls(file.deviation, file.fault)

    def declare(
        self,
        findings: Sequence[Finding],
        scenario: str,
        today: dt.date,
        view: View = View.FRAMES,
        frames: Sequence[Any] = (),
        jobs: int = 1,
    ) -> list[Finding]:
        """The findings, each marked with the valid deviation that covers it. Noise needs none.

        `frames` are the messages that they are about; without them a finding of a whole frame has its own. `jobs` are
        the recording's, by number.
        """
        entries = [entry for entry in self.entries if entry.of(scenario, view) and entry.expires >= today]
        used: Counter[Hashable] = Counter()
        marked = []
        for finding, frame in itertools.zip_longest(findings, frames):
            about = frame or finding.observed or finding.expected
            by = None
            for entry in () if finding.noise else entries:
                unit, most = entry.counted(finding, about, jobs)
                if used[unit] + finding.times <= most and entry.covers(finding, about):
                    by = entry.result()
                    used[unit] += finding.times
                    break
            marked.append(msgspec.structs.replace(finding, declared=by))
        return marked

    def expired(self, today: dt.date) -> list[str]:
        """A sentence for each that is no longer valid."""
        return [
            f"The declared difference {entry.name} of {entry.owner} expired on {entry.expires.isoformat()}."
            for entry in self.entries
            if entry.expires < today
        ]

    def unneeded(self, played: Collection[str], findings: Iterable[Finding], view: View = View.FRAMES) -> list[str]:
        """A sentence for each whose scenarios were played and showed no such difference."""
        used = {finding.declared.name for finding in findings if finding.declared}
        return [
            f"The declared difference {entry.name} of {entry.owner} was not seen in {entry.scenario}: take it out."
            for entry in self.entries
            if entry.name not in used and not entry.sometimes and any(entry.of(name, view) for name in played)
        ]


def matches(declared: Any, value: Any, frame: Any = None) -> bool:
    """Whether a value of that message is the declared one."""
    if declared == NULL:
        return value is None
    if isinstance(declared, str) and declared.startswith("~"):
        return re.fullmatch(declared[1:], as_text(value), re.DOTALL) is not None
    if isinstance(declared, str) and declared.startswith("="):
        there = value_at(frame, declared[1:])
        return bool(value == (0 if there == ABSENT else there))
    return bool(declared == value) and isinstance(declared, bool) is isinstance(value, bool)


def value_at(frame: Any, path: str) -> Any:
    """What a message has at that path, ABSENT where it has nothing there."""
    for name in path.split("."):
        if not isinstance(frame, dict) or name not in frame:
            return ABSENT
        frame = frame[name]
    return frame


def _with_star(value: Any, star: str) -> Any:
    return value.replace(STAR, re.escape(star)) if isinstance(value, str) else value


def as_text(value: Any) -> str:
    """A text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _problem_of_file(file: _File) -> str | None:
    for entry in file.deviation:
        if problem := _problem(entry):
            return f"deviation {entry.name!r}: {problem}"
    for name, count in Counter(entry.name for entry in file.deviation).items():
        if count > 1:
            return f"{count} deviations are called {name!r}"
    shown = {entry.fault for entry in file.deviation if entry.fault is not None}
    told = Counter(fault.number for fault in file.fault)
    for number in sorted(shown - told.keys()):
        return f"a deviation is a side of fault {number}, and there is no such fault"
    for fault in file.fault:
        if told[fault.number] > 1:
            return f"fault {fault.number} is told twice"
        if (fault.number in shown) is bool(fault.not_recorded):
            return f"fault {fault.number} has to have either a deviation or `not_recorded`"
    return None


def _problem(entry: Deviation) -> str | None:
    whole = {as_text(entry.hub), as_text(entry.stack)} == {SENT, NOT_SENT}
    empty = [field for field in _NEEDED if not getattr(entry, field).strip()]
    rules = {
        f"{', '.join(empty)} is empty": bool(empty),
        f"without a field it is about a whole frame: hub and stack have to be {SENT} and {NOT_SENT}": not (
            entry.field or whole
        ),
        "with a field it is about a value and not about a whole frame": bool(entry.field) and whole,
        "a whole frame, and a `*`, need a `where` that says which messages are meant": not entry.where
        and (whole or "*" in entry.scenario + entry.field),
        "times has to be 1 or more": entry.times < 1,
        f"times is {MOST_TIMES} at most: what is a rule is counted by `each`": entry.times > MOST_TIMES,
    }
    values = (entry.hub, entry.stack, *entry.where.values())
    broken = (rule for rule, is_broken in rules.items() if is_broken)
    return next(broken, None) or next(filter(None, map(_problem_of_value, values)), None)


def _problem_of_value(value: Any) -> str | None:
    if not isinstance(value, str) or not value.startswith("~"):
        return None
    try:
        anything = STAR not in value and re.fullmatch(value[1:], NONSENSE, re.DOTALL)
    except re.error as error:
        return f"{value} is no regular expression: {error}"
    return f"{value} is true of any text: name the text that is meant" if anything else None
