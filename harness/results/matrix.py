"""The matrix of scenarios and sides, with the transcripts that each cell was judged by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, Self

import msgspec

STRING_LIMIT: Final = 2_000
"""Longer strings in a frame are cut, visibly."""
KEPT: Final = 200
"""What is kept of a long string's beginning and of its end."""
LENGTH_LIMIT: Final = 200
"""Longer lists and objects are cut, visibly."""
DEPTH_LIMIT: Final = 24
BITS_LIMIT: Final = 4_096


class Column(StrEnum):
    """The sides of a scenario. The hub is held against the recording, everything else against the hub."""

    HUB = "hub"
    HUB_AGAIN = "hub-again"
    STACK_WEBSOCKET = "stack-websocket"
    STACK_SSE = "stack-sse"


class CellVerdict(StrEnum):
    """How a side came out against its reference."""

    SAME = "same"
    DECLARED = "declared"
    """It differs, and every difference is declared."""
    DIFFERENT = "different"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not applicable"


class FindingKind(StrEnum):
    """What kind of difference."""

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"
    REORDERED = "reordered"


class DeclaredBy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A known difference from `scenarios/deviations.toml`, as far as a reader needs it."""

    name: str
    reason: str
    owner: str
    expires: str
    """The day after which it is no excuse any more, as `YYYY-MM-DD`."""
    hub: str = ""
    stack: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One difference in what an actor was told. `row` is its row in the cell's transcript.

    `field` is a path such as `result.images[0]`, empty where it is about a whole message.
    """

    kind: FindingKind
    actor: str
    role: str = ""
    sentence: str = ""
    message_type: str = ""
    field: str = ""
    expected: Any = None
    observed: Any = None
    row: int | None = None
    declared: DeclaredBy | None = None
    noise: bool = False
    follows: int | None = None
    """The place, among the cell's findings, of the one that this follows from: then that one is told."""
    times: int = 1
    """How often it was seen, where one stands for others that are not shown."""

    @property
    def excused(self) -> bool:
        """Whether it is declared or noise: then it is no reason to fail."""
        return self.noise or self.declared is not None


class TranscriptEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a transcript, in the cassette's words: `event` is open, send, receive, request, … `at` ms."""

    at: float
    event: str
    message: Any = None
    text: str | None = None
    """Where the frame was no JSON."""

    @classmethod
    def of(cls, at: float, event: str, message: object = None, *, text: str | None = None) -> Self:
        """A frame with its long parts cut (`elided`), so that a report stays small whatever was sent."""
        return cls(at=at, event=event, message=elided(message), text=None if text is None else _cut(text))


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the aligned transcripts: what the reference has and what this side has, either may be absent."""

    actor: str
    expected: TranscriptEvent | None = None
    observed: TranscriptEvent | None = None


class Cell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One scenario on one side. `expected_name` and `observed_name` head the two sides of the transcript."""

    column: Column
    verdict: CellVerdict
    sentence: str = ""
    findings: tuple[Finding, ...] = ()
    rows: tuple[Row, ...] = ()
    expected_name: str = ""
    observed_name: str = ""
    seconds: float | None = None

    @classmethod
    def judged(
        cls,
        column: Column,
        *,
        findings: Sequence[Finding],
        rows: Sequence[Row],
        expected_name: str,
        observed_name: str,
        seconds: float | None = None,
    ) -> Self:
        """A cell with the verdict that its findings come to. No rows at all is inconclusive."""
        findings = [_bounded(finding) for finding in findings]
        verdict = judge_cell(findings, anything_seen=any(row.observed is not None for row in rows))
        return cls(
            column=column,
            verdict=verdict,
            sentence=_cell_sentence(verdict, findings),
            findings=tuple(findings),
            rows=tuple(rows),
            expected_name=expected_name,
            observed_name=observed_name,
            seconds=seconds,
        )

    @property
    def causes(self) -> list[Finding]:
        """The differences that nothing excuses and that follow from no other."""
        return [finding for finding in self.findings if not finding.excused and finding.follows is None]

    @classmethod
    def inconclusive(cls, column: Column, why: str, *, rows: Sequence[Row] = ()) -> Self:
        """A cell that could not be played to its end; `why` is a sentence."""
        return cls(column=column, verdict=CellVerdict.INCONCLUSIVE, sentence=why, rows=tuple(rows))

    @classmethod
    def not_applicable(cls, column: Column, why: str) -> Self:
        """A scenario that has no meaning on this side; `why` is a sentence."""
        return cls(column=column, verdict=CellVerdict.NOT_APPLICABLE, sentence=why)


class ScenarioRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One scenario with its cells. Its name is its id."""

    name: str
    about: str
    cells: tuple[Cell, ...]

    def cell(self, column: Column) -> Cell | None:
        """The cell of that column, or None where it was not played."""
        return next((cell for cell in self.cells if cell.column is column), None)


def judge_cell(findings: Iterable[Finding], *, anything_seen: bool) -> CellVerdict:
    """Different outranks everything; declared needs at least one declared difference; silence is inconclusive."""
    found = list(findings)
    if any(not finding.excused for finding in found):
        return CellVerdict.DIFFERENT
    if not anything_seen:
        return CellVerdict.INCONCLUSIVE
    return CellVerdict.DECLARED if any(finding.declared for finding in found) else CellVerdict.SAME


def _cell_sentence(verdict: CellVerdict, findings: Sequence[Finding]) -> str:
    if verdict is CellVerdict.INCONCLUSIVE:
        return "Nothing was seen on this side."
    if verdict is CellVerdict.SAME:
        return "Nothing a client could notice is different."
    decisive = [finding for finding in findings if finding.excused is (verdict is CellVerdict.DECLARED)]
    causes = [finding for finding in decisive if finding.follows is None]
    shown = next((finding for finding in decisive if finding.declared), causes[0])
    more, following = len(causes) - 1, len(decisive) - len(causes)
    rest = [f"And {more:,} more."] if more else []
    rest += [f"{following:,} more follow from what is told."] if following else []
    return " ".join([shown.sentence, *rest])


def elided(value: object, depth: int = 0) -> Any:
    """The same JSON value with long strings, lists and objects cut, each cut saying so in its place."""
    if isinstance(value, str):
        return _cut(value)
    if depth >= DEPTH_LIMIT and isinstance(value, dict | list):
        return {"$elided": {"depth": depth}}
    if isinstance(value, dict):
        kept = {_cut(str(key)): elided(part, depth + 1) for key, part in list(value.items())[:LENGTH_LIMIT]}
        return kept | {"$elided": {"entries": len(value) - LENGTH_LIMIT}} if len(value) > LENGTH_LIMIT else kept
    if isinstance(value, list | tuple):
        items = [elided(part, depth + 1) for part in value[:LENGTH_LIMIT]]
        return [*items, {"$elided": {"items": len(value) - LENGTH_LIMIT}}] if len(value) > LENGTH_LIMIT else items
    if isinstance(value, int) and value.bit_length() > BITS_LIMIT:
        return f"an integer of {value.bit_length():,} bits"
    return value


def _bounded(finding: Finding) -> Finding:
    return msgspec.structs.replace(
        finding,
        sentence=_cut(finding.sentence),
        expected=elided(finding.expected),
        observed=elided(finding.observed),
    )


def _cut(text: str) -> str:
    """At most about STRING_LIMIT characters, and none that UTF-8 cannot carry (half of a surrogate pair)."""
    if len(text) <= STRING_LIMIT:
        return text.encode("utf-8", "replace").decode()
    return _cut(f"{text[:KEPT]} … {len(text) - 2 * KEPT:,} characters left out … {text[-KEPT:]}")
