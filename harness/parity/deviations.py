"""Known differences between hub and stack: declared one by one, with a reason, an owner and a day of expiry."""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.errors import CouldNotRun
from harness.results import DeclaredBy, Finding, FindingKind

SENT: Final = "(sent)"
NOT_SENT: Final = "(not sent)"
NULL: Final = "(null)"
"""TOML has no null."""


class BadDeviations(CouldNotRun):
    """The file of declared differences is malformed."""


class View(StrEnum):
    """The level of a comparison."""

    FRAMES = "frames"
    FACTS = "facts"


class Deviation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One declared difference.

    `field` is empty for a whole frame, which one side sends and the other does not: `hub` and `stack` are then
    `(sent)` and `(not sent)`. Else `field` may have `*` for any part of it, and `hub` and `stack` are its values:
    `(absent)`, `(null)`, a text that begins with `~` for a regular expression that the whole value has to match as JSON
    text, or the value itself.
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
    """Fields that the frame has to have with these values, for the deviation of a whole frame."""
    times: int = 1
    """How many such differences one run may have at most."""
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

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is this difference."""
        if (finding.role, finding.message_type) != (self.role, self.message):
            return False
        if not fnmatchcase(finding.field, self.field.replace("[", "[[]")):
            return False
        if finding.kind is FindingKind.MISSING:
            return (self.hub, self.stack) == (SENT, NOT_SENT) and self._describes(finding.expected)
        if finding.kind is FindingKind.EXTRA:
            return (self.hub, self.stack) == (NOT_SENT, SENT) and self._describes(finding.observed)
        if finding.kind is FindingKind.REORDERED:
            return True
        return matches(self.hub, finding.expected) and matches(self.stack, finding.observed)

    def _describes(self, body: Any) -> bool:
        has = body if isinstance(body, dict) else {}
        return all(key in has and matches(value, has[key]) for key, value in self.where.items())

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
        """Read the file. Raises BadDeviations with the file and the place."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            file = msgspec.convert(content, _File)
        except OSError as error:
            raise BadDeviations(f"{path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise BadDeviations(f"{path}: {error}") from error
        if problem := _problem_of_file(file):
            raise BadDeviations(f"{path}: {problem}")
        return cls(file.deviation, file.fault)

    def declare(
        self, findings: Sequence[Finding], scenario: str, today: dt.date, view: View = View.FRAMES
    ) -> list[Finding]:
        """The findings, each marked with the valid deviation that covers it. Noise needs none."""
        left = {entry.name: entry.times for entry in self.entries if entry.of(scenario, view)}
        marked = []
        for finding in findings:
            name = None if finding.noise else self._covering(finding, left, today)
            if name is not None:
                left[name] -= 1
            marked.append(msgspec.structs.replace(finding, declared=self.by_name[name].result() if name else None))
        return marked

    def _covering(self, finding: Finding, left: dict[str, int], today: dt.date) -> str | None:
        return next(
            (
                name
                for name, times in left.items()
                if times > 0 and self.by_name[name].expires >= today and self.by_name[name].covers(finding)
            ),
            None,
        )

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


def matches(declared: Any, value: Any) -> bool:
    """Whether a value is the declared one."""
    if declared == NULL:
        return value is None
    if isinstance(declared, str) and declared.startswith("~"):
        return re.fullmatch(declared[1:], as_text(value), re.DOTALL) is not None
    return bool(declared == value) and isinstance(declared, bool) is isinstance(value, bool)


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
    for field in ("name", "scenario", "role", "message", "reason", "owner"):
        if not getattr(entry, field).strip():
            return f"{field} is empty"
    whole = {as_text(entry.hub), as_text(entry.stack)} == {SENT, NOT_SENT}
    if not entry.field and not whole:
        return f"without a field it is about a whole frame: hub and stack have to be {SENT} and {NOT_SENT}"
    if entry.field and (whole or entry.where):
        return "with a field it is about a value: neither a whole frame nor `where` belongs there"
    if entry.times < 1:
        return "times has to be 1 or more"
    for side in (entry.hub, entry.stack):
        if isinstance(side, str) and side.startswith("~"):
            try:
                re.compile(side[1:])
            except re.error as error:
                return f"{side} is no regular expression: {error}"
    return None
