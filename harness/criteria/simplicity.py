"""How much code the stack is, held against the hub's: lines without blank ones, comments and docstrings.

Python is counted by its tokens, so that a line of a multi-line expression counts and a docstring does not; Lua by its
lines. What counts is a rule: the whole stack, without the features that the hub does not have (limits.toml names them).
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import CodeSize
from harness.results import Evidence, Link, LinkTo, at_most
from harness.results.formatting import listed

LISTING: Final = "simplicity.txt"
"""Below the run's folder: the lines of every file, and the feature that it is counted under."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hub's lines of code, and the share of them that the stack may have for what the hub does.

    `rooms` are folders below the stack's root; a file counts in the first that holds it. `not_in_hub` names what the
    hub does not have: a folder or a file, and the feature that it is.
    """

    hub_lines: int
    ratio_to_hub: float
    rooms: tuple[str, ...]
    not_in_hub: dict[str, str]


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files that are counted."""

    files: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """The share of what the hub has, too, with the parts that the count consists of."""
    lines = collected.get(CodeSize).lines
    parts = by_part(lines, limits)
    rooms = {part: number for part, number in parts.items() if part in limits.rooms}
    features = {part: number for part, number in parts.items() if part not in limits.rooms}
    alike, counted = sum(rooms.values()), sum(part_of(path, limits) in limits.rooms for path in lines)
    what = f"what the hub does, as a share of the hub's {limits.hub_lines:,} lines"
    return Judged(
        measurements=[at_most(what, alike / limits.hub_lines, limits.ratio_to_hub)],
        evidence=[Evidence(what="files of it", had=counted, least=least.files)],
        links=[Link(to=LinkTo.FILE, ref=LISTING, label="every file")],
        explanation=f"Lines of code: {_sum(rooms)} are {alike:,}. Not counted, since the hub does not have it: "
        f"{_sum(features)}; with it, {alike + sum(features.values()):,}.",
    )


def _sum(parts: Mapping[str, int]) -> str:
    return listed([f"{part} {number:,}" for part, number in parts.items()], limit=len(parts))


def by_part(lines: Mapping[str, int], limits: Limits) -> dict[str, int]:
    """Lines by room, and by feature that the hub does not have; each file is in one part."""
    parts = dict.fromkeys((*limits.rooms, *limits.not_in_hub.values()), 0)
    for path, number in lines.items():
        parts[part_of(path, limits)] += number
    return parts


def part_of(path: str, limits: Limits) -> str:
    """The feature, or the room, that a file is counted under."""
    feature = next((what for place, what in limits.not_in_hub.items() if _below(path, place)), None)
    return feature or next(room for room in limits.rooms if _below(path, room))


def _below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def listing(lines: Mapping[str, int], limits: Limits) -> str:
    """Every file with its lines and its part, as text."""
    return "".join(f"{number:6}  {path}  ({part_of(path, limits)})\n" for path, number in lines.items())


_SILENT: Final = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(path: Path) -> int:
    """Lines of code in one Python or Lua file. Raises SyntaxError for Python that is none."""
    text = path.read_text(encoding="utf-8")
    return _lua_lines(text) if path.suffix == ".lua" else _python_lines(text)


def count(root: Path, folders: Iterable[str]) -> dict[str, int]:
    """Lines of code of each Python and Lua file under `folders` of `root`."""
    found = {path for folder in folders for path in (root / folder).rglob("*") if path.suffix in {".py", ".lua"}}
    return {str(path.relative_to(root)): code_lines(path) for path in sorted(found)}


def _python_lines(text: str) -> int:
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - _docstring_lines(ast.parse(text)))


def _docstring_lines(tree: ast.AST) -> set[int]:
    """Lines of strings that stand alone as statements: docstrings, and the ones below an attribute."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def _lua_lines(text: str) -> int:
    lines, in_comment = 0, False
    for raw in text.splitlines():
        line = raw.strip()
        if in_comment or line.startswith("--[["):
            in_comment = "]]" not in line
        elif line and not line.startswith("--"):
            lines += 1
    return lines


CRITERION: Final = CriterionSpec(
    id="simplicity",
    title="At most half the code",
    sentence="What the hub and its worker core do takes queue, API and worker at most half their code.",
    source="Plan, success criterion: simplicity",
    measured="Lines of Python and Lua but for blank ones, comments and docstrings; limits.toml says what counts.",
    needs=(CodeSize,),
    limits=Limits,
    least=Least,
    judge=judge,
)
