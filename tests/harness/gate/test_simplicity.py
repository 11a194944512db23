from __future__ import annotations

from pathlib import Path

from harness.gate.simplicity import code_lines, count

PYTHON = '''"""A module's docstring
of two lines."""

# a comment
import os  # with a comment behind it


class Thing:
    """What it is."""

    field: int = 1
    """What the field is."""

    def method(self) -> str:
        text = """two
lines"""
        return (
            text
        )
'''

LUA = """#!lua name=x
-- a comment
--[[ a long
comment ]]

local a = 1 -- behind code
return a
"""


def test_docstrings_comments_and_blank_lines_are_no_code(tmp_path: Path) -> None:
    file = tmp_path / "thing.py"
    file.write_text(PYTHON)
    assert code_lines(file) == 9  # import, class, field, def, 2 of the string, 3 of the return


def test_lua_counts_what_is_not_comment(tmp_path: Path) -> None:
    file = tmp_path / "thing.lua"
    file.write_text(LUA)
    assert code_lines(file) == 3


def test_folders_are_counted_without_what_is_left_out(tmp_path: Path) -> None:
    for name in ("queue/a.py", "worker/b.py", "worker/connectors/c.py", "worker/notes.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    assert count(tmp_path, ["queue", "worker"], ["worker/connectors"]) == {"queue/a.py": 1, "worker/b.py": 1}
