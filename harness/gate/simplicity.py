"""How much code a side is: lines that say something, without blank lines, comments and docstrings.

The plan's success criterion is half the hub's code at most. Python is counted by its tokens, so that a line of a
multi-line expression counts and a docstring does not; Lua by its lines.
"""

from __future__ import annotations

import ast
import io
import tokenize
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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


def count(root: Path, folders: Iterable[str], without: Iterable[str] = ()) -> dict[str, int]:
    """Lines of code of each Python and Lua file under `folders` of `root`, but for paths that begin with `without`."""
    skipped = tuple(without)
    files = sorted(
        path
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.suffix in {".py", ".lua"} and not str(path.relative_to(root)).startswith(skipped)
    )
    return {str(path.relative_to(root)): code_lines(path) for path in files}


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
