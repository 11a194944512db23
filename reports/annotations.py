"""What failed as annotations of a pull request, in the workflow commands that GitHub Actions reads off the output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.results import Finding, Run, ScenarioRow, Verdict
from reports.labels import COLUMN, differing

MOST: Final = 40
"""GitHub shows no more than fifty of one run."""
CASSETTES: Final = "scenarios/cassettes"
DEVIATIONS: Final = "scenarios/deviations.toml"
_LEVELS: Final = {Verdict.FAIL: "error", Verdict.INCONCLUSIVE: "warning"}


def workflow_commands(run: Run, root: Path) -> list[str]:
    """A line for each criterion that does not pass, each problem, and each undeclared difference.

    A difference stands at its frame's line of the cassette, a problem of a declaration at its line, where the files
    are below `root`.
    """
    lines = [*_criteria(run), *_problems(run, root), *_differences(run, root)]
    return lines[:MOST]


def _criteria(run: Run) -> Iterator[str]:
    for criterion in run.criteria:
        level = "notice" if criterion.waiver else _LEVELS.get(criterion.verdict)
        if level:
            yield _command(level, criterion.explanation, title=f"{criterion.verdict.value}: {criterion.title}")


def _problems(run: Run, root: Path) -> Iterator[str]:
    file = root / DEVIATIONS
    declared = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for problem in run.problems:
        line = next((number for number, text in enumerate(declared, 1) if _name_in(text, problem)), None)
        place = {"file": DEVIATIONS, "line": str(line)} if line else {}
        yield _command("warning", problem, title="hubgate", **place)


def _name_in(line: str, problem: str) -> bool:
    key, _, value = line.partition("=")
    return key.strip() == "name" and value.strip().strip('"') in problem


def _differences(run: Run, root: Path) -> Iterator[str]:
    for row, cell in differing(run):
        for finding in cell.findings:
            if not finding.excused:
                title = f"{row.name}, {COLUMN[cell.column]}"
                yield _command("error", finding.sentence, title=title, **_place(row, finding, root))


def _place(row: ScenarioRow, finding: Finding, root: Path) -> dict[str, str]:
    """The recorded frame that the finding is about: the first of its type that its actor received."""
    name = f"{CASSETTES}/{row.name}.jsonl"
    if not (root / name).exists():
        return {}
    for number, text in enumerate((root / name).read_text(encoding="utf-8").splitlines(), 1):
        event = json.loads(text)
        message = event.get("message")
        kind = message.get("type") if isinstance(message, dict) else event.get("event")
        if event.get("actor") == finding.actor and kind == finding.message_type:
            return {"file": name, "line": str(number)}
    return {"file": name, "line": "1"}


def _command(level: str, text: str, **properties: str) -> str:
    """Data and properties escaped as the runner's own toolkit does."""
    data = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    fields = ",".join(
        f"{name}={_command_value(value)}" for name, value in sorted(properties.items(), key=lambda item: item[0])
    )
    return f"::{level} {fields}::{data}"


def _command_value(value: str) -> str:
    for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C")):
        value = value.replace(character, code)
    return value
