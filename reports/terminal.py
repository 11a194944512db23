"""The run as a table in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.results import Criterion, Run, Verdict
from harness.results.formatting import plural
from reports.labels import COLUMN, describe_defects, describe_matrix, differing, figures, outcome, seen

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
    parts += [Text(f"{score.room}: {score.describe()}") for score in run.power]
    parts += [Text(f"Left behind: {plain(sentence)}") for sentence in run.left_behind]
    parts.append(Text())
    parts.append(Text.assemble((outcome(run), STYLE[run.verdict]), "  ", (plain(run.headline), "bold")))
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
    first = Text(outcome(criterion), STYLE[criterion.verdict]), Text(plain(criterion.title))
    evidence = Text(plain(seen(criterion)))
    for one in figures(criterion):
        observed = Text(one.observed, STYLE[one.verdict])
        yield *first, Text(plain(one.what)), observed, Text(one.limit), evidence
        first, evidence = (Text(), Text()), Text()


def _differences(run: Run) -> list[Text]:
    cells = differing(run)
    told = [
        Text.assemble(("  ✗ ", "red"), f"{plain(row.name)}, {COLUMN[cell.column]}: {plain(cell.sentence)}")
        for row, cell in cells[:DIFFERENCES_TOLD]
    ]
    if len(cells) > DIFFERENCES_TOLD:
        told.append(Text(f"    and {plural(len(cells) - DIFFERENCES_TOLD, 'more comparison')}"))
    return told
