"""The rooms import one way only; DESIGN's table of rooms, as a test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("new_stack", "legacy_hub_sim", "harness", "reports", "scenarios", "loadtests", "hubgate")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "new_stack": (),
    "legacy_hub_sim": (),
    "harness": (),
    "reports": ("harness.results",),
    "scenarios": ("harness",),
    "loadtests": ("harness",),
    "hubgate": ("new_stack", "legacy_hub_sim", "harness", "reports", "scenarios", "loadtests"),
}
"""What each room may import besides itself."""

EXCEPTIONS: dict[str, tuple[str, ...]] = {
    "harness/cassettes/replay/puppets.py": ("new_stack.queue", "new_stack.worker"),
    "loadtests/bench": ("new_stack.queue", "new_stack.worker"),
}
"""The doors: the adapter that puppets the stack's workers, the gate's way to the project's one load generator, the
command line, the benchmarks."""


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name for name in names if name.split(".")[0] in ROOMS}


def allowed(room: str, file: str) -> tuple[str, ...]:
    doors = tuple(name for door, names in EXCEPTIONS.items() if file.startswith(door) for name in names)
    return (room, *MAY_IMPORT[room], *doors)


def trespasses(room: str, file: str, names: set[str]) -> list[str]:
    roots = allowed(room, file)
    return sorted(n for n in names if not any(n == root or n.startswith(f"{root}.") for root in roots))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_its_neighbours(room: str) -> None:
    found = {
        str(path.relative_to(ROOT)): bad
        for path in (ROOT / room).rglob("*.py")
        if (bad := trespasses(room, str(path.relative_to(ROOT)), imported(path)))
    }
    assert not found


def test_the_rule_sees_a_trespass() -> None:
    assert trespasses("new_stack", "new_stack/api/app.py", {"harness.parity", "new_stack.queue"}) == ["harness.parity"]
    assert trespasses("harness", "harness/gate/run.py", {"new_stack.queue"}) == ["new_stack.queue"]
