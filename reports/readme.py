"""Puts what runs found into docs/measured.md, and its gist into the README, between their markers:
`python -m reports.readme RUN_DIR [SELFTEST_DIR [MUTANTS_DIR]]`.

So the front door says what was measured last, on which machine, and nobody copies numbers by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.results import Criterion, Run, load
from harness.results.formatting import quantity
from reports import labels

README: Final = Path(__file__).parent.parent / "README.md"
PAGE: Final = README.parent / "docs" / "measured.md"


def verdict(run: Run) -> str:
    """The last run in a paragraph: its headline, where it was, and why it is no better."""
    about = run.about
    where = f"{about.profile}, {about.started_at:%-d %B %Y}, {about.machine.cores} cores"
    return "\n".join(
        [f"Last run ({where}): **{run.outcome}**. {run.headline}", "", *(f"- {one}" for one in run.reasons)]
    )


def figures(run: Run) -> str:
    """The criteria with their figures, as a Markdown table with the machine under it."""
    lines = ["| criterion | figure | observed | limit | verdict |", "| --- | --- | --- | --- | --- |"]
    for criterion in run.criteria:
        lines += _rows(criterion)
    machine, about = run.about.machine, run.about
    where = f"{machine.cores} cores, {machine.system}, Python {machine.python}"
    lines += ["", f"Profile {about.profile}, {about.started_at:%-d %B %Y}, {quantity(about.seconds)} s, on {where}."]
    return "\n".join(lines)


def detections(run: Run) -> str:
    """The headline and the table of seeded defects, folded up."""
    lines = [run.headline, "", "<details><summary>Which mistake is caught by which criterion</summary>", ""]
    lines += ["| mistake | caught by |", "| --- | --- |"]
    lines += [f"| {_cell(row.mistake)} | {', '.join(row.caught_by) or row.detection.value} |" for row in run.defects]
    return "\n".join([*lines, "", "</details>"])


def power(run: Run) -> str:
    """What share of mutants was caught, and when that was measured."""
    about = run.about
    return f"{run.headline} Drawn with seed {about.seed}, {about.started_at:%-d %B %Y}."


def filled(text: str, marker: str, content: str) -> str:
    """The text with `content` between `<!-- marker -->` and `<!-- /marker -->`. Raises ValueError without both."""
    opening, closing = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    before, found, rest = text.partition(opening)
    _, ended, after = rest.partition(closing)
    if not found or not ended:
        raise ValueError(f"the page has no {opening} with a {closing} after it")
    return f"{before}{opening}\n{content}\n{closing}{after}"


def _rows(criterion: Criterion) -> list[str]:
    title, verdict, rows = criterion.title, criterion.outcome, []
    for one in labels.figures(criterion):
        rows.append(f"| {title} | {_cell(one.what)} | {one.observed} | {_cell(one.limit)} | {verdict} |")
        title = verdict = ""
    return rows


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def main(arguments: Sequence[str]) -> None:
    """Fill the page from a run, a selftest, and a selftest of mutants, given by their folders in this order.

    `-` in place of a folder leaves that part as it is.
    """
    page, readme = PAGE.read_text(encoding="utf-8"), README.read_text(encoding="utf-8")
    parts = {"figures": figures, "selftest": detections, "power": power}
    for folder, (marker, told) in zip(arguments, parts.items(), strict=False):
        if folder == "-":
            continue
        run = load(Path(folder) / "run.json")
        page = filled(page, marker, told(run))
        if told is figures:
            readme = filled(readme, "verdict", verdict(run))
    PAGE.write_text(page, encoding="utf-8")
    README.write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
