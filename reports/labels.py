"""What every writer of a run says in the same words: signs, names, figures, counts, and addresses within the page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from harness.results import (
    Cell,
    CellVerdict,
    Column,
    Criterion,
    Detection,
    Fate,
    FigureTrend,
    Link,
    LinkTo,
    Run,
    ScenarioRow,
    Standing,
    SuiteOutcome,
    Verdict,
)
from harness.results.formatting import plural, quantity

_LOOK: Final[dict[str, tuple[str, str]]] = {
    Verdict.PASS: ("✓", "good"),
    Verdict.FAIL: ("✗", "bad"),
    Verdict.INCONCLUSIVE: ("?", "unsure"),
    CellVerdict.SAME: ("✓", "good"),
    CellVerdict.DECLARED: ("≈", "declared"),
    CellVerdict.DIFFERENT: ("✗", "bad"),
    CellVerdict.NOT_APPLICABLE: ("—", "none"),
    Standing.WORSE: ("▼", "bad"),
    Standing.SAME: ("✓", "good"),
    Standing.BETTER: ("▲", "good"),
    Standing.ALONE: ("—", "none"),
    SuiteOutcome.PASSED: ("✓", "good"),
    SuiteOutcome.FAILED: ("✗", "bad"),
    SuiteOutcome.UNDECIDED: ("?", "unsure"),
    SuiteOutcome.SKIPPED: ("—", "none"),
    Standing.NEW: ("—", "none"),
    Standing.ELSEWHERE: ("—", "none"),
    Detection.CAUGHT: ("✓", "good"),
    Detection.ELSEWHERE: ("✗", "bad"),
    Detection.MISSED: ("✗", "bad"),
    Detection.NOT_RUN: ("—", "none"),
    Fate.SURVIVED: ("✗", "bad"),
    Fate.UNDECIDED: ("?", "unsure"),
    Fate.EQUIVALENT: ("—", "none"),
}
"""Sign and tone: colour alone tells some readers nothing. (`inconclusive` is one word for all.)"""

CHANGES_SHOWN: Final = 3
COLUMN: Final = {
    Column.HUB: "Hub",
    Column.HUB_AGAIN: "Hub again",
    Column.STACK_WEBSOCKET: "Stack by WebSocket",
    Column.STACK_SSE: "Stack by SSE",
}

COLUMN_ABOUT: Final = {
    Column.HUB: "the hub against the recording",
    Column.HUB_AGAIN: "the hub against itself: what differs is noise",
    Column.STACK_WEBSOCKET: "the stack against the hub, for old clients",
    Column.STACK_SSE: "the stack against the hub, for new clients",
}


class Figure(NamedTuple):
    """One line of a criterion, as every report shows it; without an observed value it says why nothing was measured."""

    what: str
    observed: str
    limit: str
    verdict: Verdict


def glyph(word: str) -> str:
    """The sign of a verdict, a standing or a detection."""
    return _LOOK[word][0]


def tone(word: str) -> str:
    """Its class in the page's style sheet."""
    return _LOOK[word][1]


def outcome(judged: Run | Criterion, before: str = "") -> str:
    """`✗ fail, waived`; `before` stands in front of the word."""
    left_out = isinstance(judged, Criterion) and judged.left_out
    return f"{glyph(CellVerdict.NOT_APPLICABLE if left_out else judged.verdict)} {before}{judged.outcome}"


def figures(criterion: Criterion) -> list[Figure]:
    """What was measured for it, at least one line."""
    return [
        Figure(one.what, quantity(one.observed, one.unit), one.threshold.describe(one.unit), one.verdict)
        for one in criterion.measurements
    ] or [Figure(criterion.explanation, "", "", criterion.verdict)]


def seen(criterion: Criterion) -> str:
    """How much was seen for it: `1,204 jobs, 48 workers`."""
    return ", ".join(f"{quantity(part.had, part.unit)} {part.what}" for part in criterion.evidence)


def differing(run: Run) -> list[tuple[ScenarioRow, Cell]]:
    """The comparisons that have an undeclared difference."""
    return [(row, cell) for row in run.matrix for cell in row.cells if cell.verdict is CellVerdict.DIFFERENT]


def anchor(kind: str, ref: str) -> str:
    """The id in the page of what a link points to; distinct refs keep distinct ids."""
    plain = re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_" if found[0] != "/" else "__", ref)
    return f"{kind}-{plain}"


def address(link: Link) -> str:
    """Where a link leads: a place in the page, or a file beside it."""
    if link.to is not LinkTo.FILE:
        return f"#{anchor(link.to, link.ref)}"
    return relative(link.ref)


def relative(path: str) -> str:
    """A file's address below the run's folder; what would lead elsewhere (a scheme, `..`) leads nowhere."""
    plain = path.replace("\\", "/")
    if plain.startswith("/") or ".." in plain.split("/") or ":" in plain:
        return "#"
    return "./" + re.sub(r"[^A-Za-z0-9_./-]", lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), plain)


def when(moment: datetime) -> str:
    """`24 November 2026, 20:31 UTC`."""
    return f"{moment.day} {moment:%B %Y, %H:%M %Z}".strip()


def lasted(seconds: float) -> str:
    """`42 s`, `13 min 33 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def run_facts(run: Run) -> list[str]:
    """Short facts, the weightiest first: criteria, scenarios, jobs, defects, when and for how long."""
    facts = []
    if run.criteria:
        passed = sum(criterion.verdict is Verdict.PASS for criterion in run.criteria)
        verb = "passes" if passed == 1 or len(run.criteria) == 1 else "pass"
        waived = f", {len(run.waived)} waived" if run.waived else ""
        facts.append(f"{passed} of {plural(len(run.criteria), 'criterion', 'criteria')} {verb}{waived}")
    if run.matrix:
        facts.append(f"{plural(len(run.matrix), 'scenario')} compared")
    facts += [f"{tally.total:,} {tally.total_label}" for tally in run.tallies[:1]]
    if run.defects:
        facts.append(f"{caught(run)} of {plural(len(run.defects), 'seeded defect')} caught")
    return [*facts, f"profile {run.about.profile}", when(run.about.started_at), lasted(run.about.seconds)]


def describe_criteria(criteria: Sequence[Criterion]) -> str:
    """`22 criteria: 1 fail, 19 pass, 2 not judged.`"""
    counted = Counter("not judged" if one.left_out else one.verdict.value for one in criteria)
    told = [f"{counted[word]} {word}" for word in ("fail", "inconclusive", "pass", "not judged") if counted[word]]
    return f"{plural(len(criteria), 'criterion', 'criteria')}: {', '.join(told)}."


def describe_matrix(run: Run) -> str:
    """`32 scenarios, 120 comparisons: 117 same, 3 declared.`"""
    counted = Counter(cell.verdict for row in run.matrix for cell in row.cells)
    played = sum(count for verdict, count in counted.items() if verdict is not CellVerdict.NOT_APPLICABLE)
    order = (CellVerdict.DIFFERENT, CellVerdict.INCONCLUSIVE, CellVerdict.DECLARED, CellVerdict.SAME)
    parts = [f"{counted[verdict]:,} {verdict.value}" for verdict in order if counted[verdict]]
    return f"{plural(len(run.matrix), 'scenario')}, {plural(played, 'comparison')}: {', '.join(parts)}."


def caught(run: Run) -> int:
    """How many seeded defects were caught by the criterion that should."""
    return sum(defect.detection is Detection.CAUGHT for defect in run.defects)


def changed_most(run: Run) -> list[FigureTrend]:
    """What changed most since the baseline: what is worse first, then by its share; without a baseline nothing."""
    order = (Standing.WORSE, Standing.BETTER, Standing.SAME)
    compared = [one for one in run.changes if one.change in order and one.before]
    return sorted(compared, key=lambda one: (order.index(one.change), -abs(one.share)))[:CHANGES_SHOWN]


def describe_changes(run: Run) -> str:
    """`2 worse, 20 the same, 1 better`, of the figures that both have."""
    counted = Counter(one.change for one in run.changes)
    words = {Standing.WORSE: "worse", Standing.SAME: "the same", Standing.BETTER: "better", Standing.NEW: "new"}
    return ", ".join(f"{counted[change]} {word}" for change, word in words.items() if counted[change])


def describe_defects(run: Run) -> str:
    """`24 of 25 caught by the criterion that should; 1 missed.`"""
    counted = Counter(defect.detection for defect in run.defects)
    rest = [f"{counted[kind]} {kind.value}" for kind in Detection if kind is not Detection.CAUGHT and counted[kind]]
    return f"{caught(run)} of {len(run.defects)} caught by the criterion that should{'; ' if rest else ''}" + (
        ", ".join(rest) + "."
    )
