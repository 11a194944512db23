"""junit.xml: criteria, comparisons, seeded defects and mutants as test cases, for a CI server to list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from harness.results import (
    Cell,
    CellVerdict,
    Criterion,
    DefectRow,
    Detection,
    Fate,
    MutantRow,
    Run,
    ScenarioRow,
    Verdict,
)

FINDINGS_TOLD: Final = 20
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry, not even escaped."""


def junit(run: Run) -> bytes:
    """The file's bytes. A failure is a fail, an error is inconclusive, a skip is not applicable or waived."""
    suites = [_suite("criteria", [_criterion(criterion) for criterion in run.criteria])]
    suites.append(_suite("comparisons", [_cell(row, cell) for row in run.matrix for cell in row.cells]))
    suites.append(_suite("seeded defects", [_defect(defect) for defect in run.defects]))
    suites.append(_suite("mutants", [_mutant(mutant) for mutant in run.mutants]))
    suites.append(_suite("results", [_result(run)]))
    root = ET.Element("testsuites", name=f"hubgate {run.about.id}", time=f"{run.about.seconds:.3f}")
    root.extend(suite for suite in suites if len(suite))
    for kind in ("tests", "failures", "errors", "skipped"):
        root.set(kind, str(sum(int(suite.get(kind, "0")) for suite in suites)))
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()


def _suite(name: str, cases: Sequence[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", name=name, tests=str(len(cases)))
    for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(kind, str(sum(case.find(tag) is not None for case in cases)))
    suite.extend(cases)
    return suite


def _case(group: str, name: str, seconds: float | None) -> ET.Element:
    return ET.Element("testcase", classname=_clean(f"hubgate.{group}"), name=_clean(name), time=f"{seconds or 0:.3f}")


def _add(case: ET.Element, tag: str, message: str, lines: Iterable[str] = ()) -> None:
    ET.SubElement(case, tag, message=_clean(message)).text = _clean("\n".join(lines))


def _criterion(criterion: Criterion) -> ET.Element:
    case = _case("criteria", f"{criterion.id}: {criterion.title}", criterion.seconds)
    lines = [criterion.sentence, f"Measured: {criterion.measured}", f"Source: {criterion.source}"]
    lines += [measured.describe() for measured in criterion.measurements]
    lines += [f"Seen: {part.describe()}" for part in criterion.evidence]
    if criterion.waiver:
        waiver = criterion.waiver
        _add(case, "skipped", f"waived until {waiver.expires} by {waiver.owner}: {waiver.reason}", lines)
    elif criterion.left_out:
        _add(case, "skipped", f"not judged: {criterion.explanation}", lines)
    elif criterion.verdict is Verdict.PASS:
        _add_output(case, [criterion.explanation, *lines])
    else:
        _add(case, "failure" if criterion.verdict is Verdict.FAIL else "error", criterion.explanation, lines)
    return case


def _cell(row: ScenarioRow, cell: Cell) -> ET.Element:
    case = _case(f"comparisons.{row.name}", cell.column.value, cell.seconds)
    found = [finding for finding in cell.findings if not finding.excused]
    lines = [f"{finding.kind.value}: {finding.sentence}" for finding in found[:FINDINGS_TOLD]]
    if len(found) > FINDINGS_TOLD:
        lines.append(f"and {len(found) - FINDINGS_TOLD:,} more")
    if cell.verdict is CellVerdict.DIFFERENT:
        _add(case, "failure", cell.sentence, lines)
    elif cell.verdict is CellVerdict.INCONCLUSIVE:
        _add(case, "error", cell.sentence)
    elif cell.verdict is CellVerdict.NOT_APPLICABLE:
        _add(case, "skipped", cell.sentence)
    elif cell.verdict is CellVerdict.DECLARED:
        _add_output(case, [f"declared: {f.sentence} {f.declared.reason}" for f in cell.findings if f.declared])
    return case


def _defect(defect: DefectRow) -> ET.Element:
    case = _case("defects", defect.id, defect.seconds)
    caught_by = ", ".join(defect.caught_by) or "nothing"
    told = f"{defect.mistake} To be caught by {', '.join(defect.expected_by)}; caught by {caught_by}."
    if defect.detection is Detection.NOT_RUN:
        _add(case, "skipped", defect.explanation or told)
    elif defect.detection is not Detection.CAUGHT:
        _add(case, "failure", f"{defect.detection.value}: {told}", [defect.explanation])
    return case


def _mutant(mutant: MutantRow) -> ET.Element:
    case = _case("mutants", mutant.id, mutant.seconds)
    told = f"{mutant.fate.value}: {mutant.file}:{mutant.line}, {mutant.operator}"
    if mutant.fate is Fate.EQUIVALENT:
        _add(case, "skipped", f"{told}. {mutant.explanation}")
    elif mutant.fate is not Fate.CAUGHT:
        _add(case, "failure", told, [mutant.diff, mutant.explanation])
    return case


def _result(run: Run) -> ET.Element:
    case = _case("results", "the results agree with themselves", None)
    if run.problems:
        _add(case, "error", run.problems[0], run.problems)
    elif not run.criteria:
        _add(case, "error", run.headline)
    return case


def _add_output(case: ET.Element, lines: Iterable[str]) -> None:
    ET.SubElement(case, "system-out").text = _clean("\n".join(lines))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
