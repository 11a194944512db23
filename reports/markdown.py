"""summary.md: the run in one comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from harness.results import Cell, Criterion, Detection, Fate, Finding, Run, ScenarioRow, Verdict
from harness.results.formatting import shortened
from reports.labels import (
    COLUMN,
    describe_defects,
    describe_matrix,
    differing,
    figures,
    glyph,
    outcome,
    run_facts,
    seen,
)

LENGTH_LIMIT: Final = 60_000
"""Characters; a comment may have 65,536."""
DIFFERENCES_TOLD: Final = 30
TEXT_LIMIT: Final = 400
_SPECIAL: Final = re.compile(r"[\\`*_\[\]<>|~$#]")
_JOINER: Final = "\u2060"
"""A word joiner: invisible, and after it `@name` and `#12` are no mention and no reference any more."""


def summary(run: Run) -> str:
    """Verdict, reasons, criteria with their figures, what differs, defects; where it is too long, cut and said so."""
    parts = [
        *_opening(run),
        *_criteria(run.criteria),
        *_matrix(run),
        *_faults(run),
        *_defects(run),
        *_mutants(run),
        *_targets(run),
        *_closing(run),
    ]
    text = "\n".join(parts) + "\n"
    if len(text) <= LENGTH_LIMIT:
        return text
    cut = text[:LENGTH_LIMIT].rpartition("\n")[0]
    closing = "\n</details>" * (cut.count("<details>") - cut.count("</details>"))
    return f"{cut}{closing}\n\nThe rest is left out here: report.html has it all.\n"


def plain(text: str) -> str:
    """Text of others as text: no markup, no mention, no link, no HTML, on one line, cut where it is long."""
    line = shortened(" ".join(text.split()), TEXT_LIMIT)
    escaped = _SPECIAL.sub(lambda found: f"\\{found[0]}", line.replace("&", "&amp;"))
    return escaped.replace("@", f"@{_JOINER}").replace("\\#", f"\\#{_JOINER}").replace("://", "&#58;//")


def _opening(run: Run) -> list[str]:
    facts = " · ".join(plain(fact) for fact in run_facts(run))
    reasons = [f"- {plain(reason)}" for reason in run.reasons]
    return [
        f"## {outcome(run, 'hubgate: ')}",
        "",
        f"**{plain(run.headline)}**",
        "",
        *reasons,
        "",
        f"<sub>{facts}</sub>",
        "",
    ]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _criteria(criteria: Iterable[Criterion]) -> list[str]:
    rows = []
    for criterion in criteria:
        measured = figures(criterion)
        observed = [f": **{one.observed}**" if one.observed else "" for one in measured]
        figure = "<br>".join(plain(one.what) + said for one, said in zip(measured, observed, strict=True))
        limits = "<br>".join(plain(one.limit) for one in measured)
        rows.append((outcome(criterion), plain(criterion.title), figure, limits, plain(seen(criterion))))
    return _table(("", "What has to hold", "Observed", "Limit", "Seen"), rows) if rows else []


def _matrix(run: Run) -> list[str]:
    if not run.matrix:
        return []
    rows = [(row, cell, one) for row, cell in differing(run) for one in cell.causes]
    lines = [describe_matrix(run), ""]
    if rows:
        lines += ["<details open><summary>What differs, undeclared</summary>", ""]
        lines += _table(("Scenario", "Side", "Difference"), [_difference(*row) for row in rows[:DIFFERENCES_TOLD]])
        if len(rows) > DIFFERENCES_TOLD:
            lines += [f"and {len(rows) - DIFFERENCES_TOLD:,} more", ""]
        lines += ["</details>", ""]
    return lines


def _difference(row: ScenarioRow, cell: Cell, finding: Finding) -> tuple[str, str, str]:
    return plain(row.name), COLUMN[cell.column], f"{finding.kind.value}: {plain(finding.sentence)}"


def _faults(run: Run) -> list[str]:
    rows = [(f"{glyph(fault.standing)} {fault.standing.beside('the hub')}", plain(fault.title)) for fault in run.faults]
    return ["<details><summary>Faults</summary>", "", *_table(("", "Fault"), rows), "</details>", ""] if rows else []


def _defects(run: Run) -> list[str]:
    if not run.defects:
        return []
    missed = [defect for defect in run.defects if defect.detection in {Detection.MISSED, Detection.ELSEWHERE}]
    lines = [f"Seeded defects: {describe_defects(run)}", ""]
    return [*lines, *(f"- {defect.detection.value}: {plain(defect.mistake)}" for defect in missed), ""]


def _mutants(run: Run) -> list[str]:
    if not run.mutants:
        return []
    missed = [mutant for mutant in run.mutants if mutant.fate in {Fate.SURVIVED, Fate.UNDECIDED}]
    lines = _table(("Room", "Mutants"), [(plain(score.room), plain(score.describe())) for score in run.power])
    return [*lines, *(f"- {one.fate.value}: {plain(f'{one.file}:{one.line}: {one.diff}')}" for one in missed), ""]


def _targets(run: Run) -> list[str]:
    if not run.preflight:
        return []
    rows = [(row.target, plain(row.what), plain(row.found), plain(row.note)) for row in run.preflight]
    table = _table(("Target", "Looked at", "Found", "What follows"), rows)
    left = [f"- left behind: {plain(sentence)}" for sentence in run.left_behind]
    return [
        "<details><summary>What was looked at before anything was sent</summary>",
        "",
        *table,
        "</details>",
        "",
        *left,
        "",
    ]


def _closing(run: Run) -> list[str]:
    ending = "" if run.verdict is Verdict.PASS else " It shows the transcripts side by side and the jobs in trouble."
    return [f"The whole report is report.html in the run's artifacts.{ending}"]
