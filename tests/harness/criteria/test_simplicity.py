from __future__ import annotations

from pathlib import Path

from harness.criteria.definition import Collected, discover
from harness.criteria.evidence import CodeSize
from harness.criteria.limits import load_limits
from harness.criteria.simplicity import CRITERION, Least, Limits, by_part, code_lines, count
from harness.results import Verdict

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


LIMITS = Limits(
    hub_lines=100,
    ratio_to_hub=0.5,
    rooms=("queue", "worker"),
    not_in_hub={"worker/connectors": "connectors"},
)


def test_code_is_counted_by_room_and_by_feature_that_the_hub_does_not_have(tmp_path: Path) -> None:
    for name in ("queue/a.py", "worker/b.py", "worker/connectors/c.py", "worker/notes.md", "elsewhere/d.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    lines = count(tmp_path, LIMITS.rooms)
    assert lines == {"queue/a.py": 1, "worker/b.py": 1, "worker/connectors/c.py": 1}
    assert by_part(lines, LIMITS) == {"queue": 1, "worker": 1, "connectors": 1}


def test_a_feature_of_its_own_does_not_count_and_everything_else_does() -> None:
    def verdict(**lines: int) -> Verdict:
        collected = Collected()
        collected.add(CodeSize(lines={"queue/a.py": 10, **{f"worker/{name}": size for name, size in lines.items()}}))
        return CRITERION.judged(collected, LIMITS, Least(files=1)).verdict

    assert verdict(**{"connectors/c.py": 5_000, "b.py": 40}) is Verdict.PASS
    assert verdict(**{"connectors/c.py": 5_000, "b.py": 41}) is Verdict.FAIL


def test_what_does_not_count_is_there_and_within_the_rooms() -> None:
    limits = load_limits(discover()).limits(CRITERION)
    root = Path(__file__).parents[3]
    for place in limits.not_in_hub:
        assert (root / place).exists(), f"{place} has moved: limits.toml counts it as something that the hub does"
        assert place.startswith(tuple(f"{room}/" for room in limits.rooms))


def test_what_the_rooms_share_counts_and_each_file_once(tmp_path: Path) -> None:
    limits = Limits(hub_lines=10, ratio_to_hub=0.5, rooms=("s/queue", "s"), not_in_hub={"s/client": "a client"})
    for name in ("s/queue/a.py", "s/client/b.py", "s/shared.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    assert by_part(count(tmp_path, limits.rooms), limits) == {"s/queue": 1, "s": 1, "a client": 1}


def test_a_file_whose_name_only_begins_like_a_feature_counts() -> None:
    assert by_part({"worker/connectors_of_old.py": 3}, LIMITS) == {"queue": 0, "worker": 3, "connectors": 0}
