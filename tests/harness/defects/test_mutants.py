"""Mutants are found, drawn the same way for the same seed, applied to a copy, and counted with an interval."""

from __future__ import annotations

import ast
import datetime as dt
from pathlib import Path

from harness.defects.defect import source_of_stack
from harness.defects.mutants import Mutant, Place, apply, load_equivalents, places, sample
from harness.defects.mutants.lua_places import lua_places
from harness.defects.mutants.mutant import other_numbers
from harness.defects.mutants.python_places import python_places

PYTHON = '''
def place(x: int | None, least: int = 3) -> bool:
    """Not 4 == 5."""
    return x is not None and x + 1 >= least
'''
UNSEEN = """
PAGE: Final = 60 * 500
TERMS: Final = {"week": 7}

@dataclass(frozen=True)
class Settings:
    port: int = 8000

def f(rows, *, other=None):
    assert len(rows) > 1
    log.info("rows", count=len(rows) + 1)
    self._log.error("rows", count=len(rows) + 1)
    return dict(zip(rows, rows, strict=True))
"""
LUA = """
local PAGE = 500
-- a == b
local function f(q, id)
  if q.now >= 2 and not known(id) then
    redis.call('ZADD', key, q.now, id)
  end
  return -1, 'a < b'
end
"""


def made(found: list[Place]) -> set[str]:
    return {make() for place in found for _, make in place.ways}


def test_python_is_changed_where_it_is_evaluated() -> None:
    texts = made(python_places("f.py", PYTHON))
    assert PYTHON.replace(">=", ">") in texts
    assert PYTHON.replace("x + 1", "x - 1") in texts
    assert PYTHON.replace(" and ", " or ") in texts
    assert all("x: int | None" in text and "Not 4 == 5" in text for text in texts)
    for text in texts:
        ast.parse(text)


def test_what_no_run_can_tell_is_not_changed() -> None:
    assert made(python_places("queue/settings.py", UNSEEN)) == {UNSEEN.replace("7", "8"), UNSEEN.replace("7", "6")}
    assert UNSEEN.replace("8000", "80000") in made(python_places("queue/other.py", UNSEEN))
    files = {place.file for place in places(rooms=("worker", "api", "matching"))}
    assert "worker/connectors/simulation.py" in files
    assert not files & {"worker/connectors/comfyui.py", "api/dashboard/__init__.py", "matching/oracle.py"}


def test_amounts_become_another_order_of_magnitude_and_counts_one_more_or_less() -> None:
    assert dict(other_numbers("1000")) == {"number x10": "10000", "number /10": "100"}
    assert dict(other_numbers("0.5")) == {"number x10": "5.0", "number /10": "0.05"}
    assert dict(other_numbers("1")) == {"number +1": "2", "number -1": "0"}
    assert dict(other_numbers("0")) == {"number +1": "1", "number -1": "(-1)"}


def test_lua_is_changed_outside_of_strings_and_comments() -> None:
    texts = made(lua_places("f.lua", LUA))
    assert LUA.replace(">= 2", "> 2") in texts
    assert LUA.replace(">= 2", ">= 3") in texts
    assert LUA.replace(" and not known", " or not known") in texts
    assert LUA.replace("redis.call('ZADD', key, q.now, id)", "do end") in texts
    assert LUA.replace("q.now, id)", "id, q.now)") in texts
    assert all("-- a == b" in text and "'a < b'" in text and "PAGE = 500" in text for text in texts)


def test_every_handler_that_is_found_can_be_changed() -> None:
    ways = [change for place in places() for operator, change in place.ways if operator == "ExceptionReplacer"]
    assert len(ways) > 20
    assert all("CosmicRayTestingException" in change() for change in ways)


def test_the_same_seed_draws_the_same_mutants_of_the_stack() -> None:
    found = places(rooms=("queue",))
    assert {Path(place.file).suffix for place in found} == {".py", ".lua"}
    once, again, other = sample(found, 12, 7), sample(found, 12, 7), sample(found, 12, 8)
    assert once == again != other
    assert len({(one.file, one.diff) for one in once}) == 12
    for mutant in once:
        assert mutant.diff
        assert mutant.text != (source_of_stack() / mutant.file).read_text()


def test_a_mutant_is_applied_to_a_copy_alone(tmp_path: Path) -> None:
    [mutant] = sample(places(rooms=("queue",)), 1, 3)
    overlay = apply(mutant, tmp_path)
    changed = [
        str(path.relative_to(overlay / "new_stack"))
        for path in (overlay / "new_stack").rglob("*")
        if path.suffix in {".py", ".lua"}
        and path.read_bytes() != (source_of_stack() / path.relative_to(overlay / "new_stack")).read_bytes()
    ]
    assert changed == [mutant.file]


def test_a_declared_equivalent_covers_its_mutant_until_it_expires(tmp_path: Path) -> None:
    file = tmp_path / "equivalents.toml"
    file.write_text('[[equivalent]]\nfile = "api/f.py"\ndiff = """\n-a\n+b"""\nreason = "r"\nexpires = 2027-01-31\n')
    [declared] = load_equivalents(file)
    mutant = Mutant(file="api/f.py", line=1, operator="o", diff="-a\n+b", text="b")
    assert declared.covers(mutant, dt.date(2027, 1, 31))
    assert not declared.covers(mutant, dt.date(2027, 2, 1))
    assert not declared.covers(
        Mutant(file="queue/f.py", line=1, operator="o", diff=mutant.diff, text="b"), dt.date(2027, 1, 1)
    )
    assert load_equivalents(tmp_path / "none.toml") == []
