"""What failed, at the lines of the files that it is about: for GitHub Actions, and as GitLab's code quality report."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from harness.results import Finding, Run, ScenarioRow, Verdict
from reports.labels import COLUMN, differing

MOST: Final = 40
"""GitHub shows no more than fifty of one run."""
CASSETTES: Final = "scenarios/cassettes"
DEVIATIONS: Final = "scenarios/deviations.toml"
_LEVELS: Final = {Verdict.FAIL: "error", Verdict.INCONCLUSIVE: "warning"}
_SEVERITIES: Final = {"error": "major", "warning": "minor", "notice": "info"}


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence, and the line that it is about, where there is one."""

    level: str
    title: str
    text: str
    file: str | None = None
    line: int = 1


def workflow_commands(run: Run, root: Path) -> list[str]:
    """The annotations in the commands that GitHub Actions reads off the output."""
    return [_command(one) for one in annotated(run, root)]


def code_quality(run: Run, root: Path) -> str:
    """The annotations as GitLab's code quality report, a JSON file. What is about no line stands at the CI file's."""
    return json.dumps(
        [
            {
                "description": f"{one.title}: {one.text}",
                "check_name": "hubgate",
                "fingerprint": hashlib.blake2b(repr(one).encode(), digest_size=16).hexdigest(),
                "severity": _SEVERITIES[one.level],
                "location": {"path": one.file or ".gitlab-ci.yml", "lines": {"begin": one.line}},
            }
            for one in annotated(run, root)
        ],
        indent=2,
    )


def annotated(run: Run, root: Path) -> list[Annotation]:
    """One for each criterion that does not pass, each problem, and each undeclared difference; at most MOST.

    A difference stands at its frame's line of the cassette, a problem of a declaration at its line, where the files
    are below `root`.
    """
    found = itertools.chain(_criteria(run), _problems(run, root), _differences(run, root))
    return [*itertools.islice(found, MOST)]


def _criteria(run: Run) -> Iterator[Annotation]:
    for criterion in run.criteria:
        level = "notice" if criterion.waiver else _LEVELS.get(criterion.verdict)
        if level:
            title = f"{criterion.verdict.value}: {criterion.title}"
            yield Annotation(level=level, title=title, text=criterion.explanation)


def _problems(run: Run, root: Path) -> Iterator[Annotation]:
    file = root / DEVIATIONS
    declared = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for problem in run.problems:
        line = next((number for number, text in enumerate(declared, 1) if _name_in(text, problem)), None)
        place = DEVIATIONS if line else None
        yield Annotation(level="warning", title="hubgate", text=problem, file=place, line=line or 1)


def _name_in(line: str, problem: str) -> bool:
    key, _, value = line.partition("=")
    return key.strip() == "name" and value.strip().strip('"') in problem


def _differences(run: Run, root: Path) -> Iterator[Annotation]:
    for row, cell in differing(run):
        for finding in cell.findings:
            if not finding.excused:
                file, line = _place(row, finding, root)
                title = f"{row.name}, {COLUMN[cell.column]}"
                yield Annotation(level="error", title=title, text=finding.sentence, file=file, line=line)


def _place(row: ScenarioRow, finding: Finding, root: Path) -> tuple[str | None, int]:
    """The recorded frame that the finding is about: the first of its type that its actor received."""
    name = f"{CASSETTES}/{row.name}.jsonl"
    if not (root / name).exists():
        return None, 1
    for number, text in enumerate((root / name).read_text(encoding="utf-8").splitlines(), 1):
        event = json.loads(text)
        message = event.get("message")
        kind = message.get("type") if isinstance(message, dict) else event.get("event")
        if event.get("actor") == finding.actor and kind == finding.message_type:
            return name, number
    return name, 1


def _command(one: Annotation) -> str:
    """Data and properties escaped as the runner's own toolkit does."""
    place = {"file": one.file, "line": str(one.line)} if one.file else {}
    fields = ",".join(f"{name}={_command_value(value)}" for name, value in {**place, "title": one.title}.items())
    data = one.text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{one.level} {fields}::{data}"


def _command_value(value: str) -> str:
    for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C")):
        value = value.replace(character, code)
    return value
