"""What a run comes to in a few words, for the first lines of every report."""

from __future__ import annotations

from collections import Counter

from harness.results import CellVerdict, Detection, Run, Verdict
from harness.results.formatting import plural
from reports.labels import lasted, when


def run_facts(run: Run) -> list[str]:
    """Short facts, the weightiest first: criteria, scenarios, jobs, defects, when and for how long."""
    facts = []
    if run.criteria:
        passed = sum(criterion.verdict is Verdict.PASS for criterion in run.criteria)
        verb = "passes" if passed == 1 else "pass"
        waived = f", {len(run.waived)} waived" if run.waived else ""
        facts.append(f"{passed} of {plural(len(run.criteria), 'criterion', 'criteria')} {verb}{waived}")
    if run.matrix:
        facts.append(f"{plural(len(run.matrix), 'scenario')} compared")
    facts += [f"{tally.total:,} {tally.total_label}" for tally in run.tallies[:1]]
    if run.defects:
        facts.append(f"{caught(run)} of {plural(len(run.defects), 'seeded defect')} caught")
    return [*facts, f"profile {run.about.profile}", when(run.about.started_at), lasted(run.about.seconds)]


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


def describe_defects(run: Run) -> str:
    """`24 of 25 caught by the criterion that should; 1 missed.`"""
    counted = Counter(defect.detection for defect in run.defects)
    rest = [f"{counted[kind]} {kind.value}" for kind in Detection if kind is not Detection.CAUGHT and counted[kind]]
    return f"{caught(run)} of {len(run.defects)} caught by the criterion that should{'; ' if rest else ''}" + (
        ", ".join(rest) + "."
    )
