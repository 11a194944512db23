"""The run as a table in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.results import CellVerdict, Criterion, Run, Verdict
from harness.results.formatting import plural, quantity
from reports.labels import COLUMN, GLYPH
from reports.run_summary import describe_defects, describe_matrix

STYLE: Final = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.INCONCLUSIVE: "yellow"}
DIFFERENCES_TOLD: Final = 8
WIDE: Final = 100


def print_run(run: Run, console: Console, page: Path | None = None) -> None:
    """Print the criteria, what differs, and last the verdict; `page` is where the report is."""
    console.print(terminal(run, wide=console.width >= WIDE))
    if page is not None:
        console.print(Text.assemble("Report: ", (str(page), "underline")), soft_wrap=True)


def terminal(run: Run, *, wide: bool = True) -> RenderableType:
    """The same as something that rich can draw; `wide` says whether there is room for how much was seen.

    No text of others is taken for markup or for control codes.
    """
    parts: list[RenderableType] = []
    if run.criteria:
        parts.append(_criteria(run, wide=wide))
    if run.matrix:
        parts += [Text(describe_matrix(run)), *_differences(run)]
    if run.defects:
        parts.append(Text(f"Seeded defects: {describe_defects(run)}"))
    parts.append(Text())
    verdict = f"{GLYPH[run.verdict]} {run.outcome}"
    parts.append(Text.assemble((verdict, STYLE[run.verdict]), "  ", (plain(run.headline), "bold")))
    parts += [Text(f"  {plain(reason)}") for reason in run.reasons]
    return Group(*parts)


def plain(text: str) -> str:
    """Without the control codes that would move the cursor or colour the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _criteria(run: Run, *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("Verdict", no_wrap=True)
    table.add_column("Criterion", min_width=16)
    table.add_column("Figure", min_width=16)
    table.add_column("Observed", justify="right", no_wrap=True)
    table.add_column("Limit", no_wrap=True)
    if wide:
        table.add_column("Seen", min_width=16)
    for criterion in run.criteria:
        for row in _rows(criterion):
            table.add_row(*row[: len(table.columns)])
    return table


def _rows(criterion: Criterion) -> Iterator[tuple[Text, ...]]:
    verdict = Text(f"{GLYPH[criterion.verdict]} {criterion.outcome}", STYLE[criterion.verdict])
    seen = Text(", ".join(f"{quantity(part.had, part.unit)} {plain(part.what)}" for part in criterion.evidence))
    title = Text(plain(criterion.title))
    for measured in criterion.measurements:
        observed = Text(quantity(measured.observed, measured.unit), STYLE[measured.verdict])
        limit = Text(measured.threshold.describe(measured.unit))
        yield verdict, title, Text(plain(measured.what)), observed, limit, seen
        verdict, title, seen = Text(), Text(), Text()
    if not criterion.measurements:
        yield verdict, title, Text(plain(criterion.explanation)), Text(), Text(), seen


def _differences(run: Run) -> list[Text]:
    cells = [(row, cell) for row in run.matrix for cell in row.cells if cell.verdict is CellVerdict.DIFFERENT]
    told = [
        Text.assemble(("  ✗ ", "red"), f"{plain(row.name)}, {COLUMN[cell.column]}: {plain(cell.sentence)}")
        for row, cell in cells[:DIFFERENCES_TOLD]
    ]
    if len(cells) > DIFFERENCES_TOLD:
        told.append(Text(f"    and {plural(len(cells) - DIFFERENCES_TOLD, 'more comparison')}"))
    return told
