"""The rooms import one way only: DESIGN's table of rooms, as a test."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("new_stack", "legacy_hub_sim", "harness", "reports", "scenarios", "loadtests", "hubgate")

SHARED = (
    *("new_stack.settings", "new_stack.log", "new_stack.backoff", "new_stack.failure"),
    "new_stack.__version__",
)
GROUND = ("harness.errors", "harness.tasks", "harness.toml_files", "harness.machine_time", "harness.protocols")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "new_stack": (),
    **dict.fromkeys(SHARED, ()),
    "new_stack.matching": SHARED,
    "new_stack.queue": ("new_stack.matching", *SHARED),
    "new_stack.process": ("new_stack.queue", *SHARED),
    "new_stack.api": ("new_stack.queue", "new_stack.process", *SHARED),
    "new_stack.worker": ("new_stack.matching", "new_stack.queue", "new_stack.process", *SHARED),
    "new_stack.client": SHARED,
    "legacy_hub_sim": (),
    "harness": (),
    "harness.errors": (),
    "harness.tasks": (),
    "harness.toml_files": ("harness.errors",),
    "harness.machine_time": (),
    "harness.protocols": ("harness.errors",),
    "harness.results": ("harness.errors",),
    "harness.processes": ("harness.errors", "harness.tasks", "harness.machine_time"),
    "harness.targets": ("harness.errors", "harness.processes"),
    "harness.workers": GROUND,
    "harness.history": (*GROUND, "harness.results", "harness.workers"),
    "harness.clients": (*GROUND, "harness.processes", "harness.targets", "harness.workers", "harness.history"),
    "harness.faults": (*GROUND, "harness.processes", "harness.targets", "harness.history"),
    "harness.defects": ("harness.errors", "harness.toml_files"),
    "harness.cassettes": (*GROUND, "harness.results", "harness.clients", "harness.targets"),
    "harness.parity": (*GROUND, "harness.results", "harness.cassettes"),
    "harness.cassettes.replay": (
        *GROUND,
        *("harness.results", "harness.targets", "harness.clients", "harness.cassettes", "harness.parity"),
    ),
    "harness.shadow": (
        *GROUND,
        *("harness.results", "harness.processes", "harness.targets", "harness.clients", "harness.cassettes"),
        *("harness.parity", "harness.cassettes.replay"),
    ),
    "harness.load": (
        *GROUND,
        *("harness.results", "harness.processes", "harness.targets", "harness.workers", "harness.history"),
        *("harness.clients", "harness.faults"),
    ),
    "harness.criteria": (
        *GROUND,
        *("harness.results", "harness.history", "harness.parity", "harness.cassettes.replay", "harness.load"),
    ),
    "harness.testing": (
        *GROUND,
        *("harness.results", "harness.processes", "harness.targets", "harness.history", "harness.clients"),
        *("harness.faults", "harness.cassettes", "harness.cassettes.replay", "harness.parity"),
    ),
    "harness.gate": ("harness",),
    "reports": ("harness.results",),
    "scenarios": ("harness",),
    "loadtests": ("harness",),
    "hubgate": ("new_stack", "legacy_hub_sim", "harness", "reports", "scenarios", "loadtests"),
}
"""What each room may import besides itself, lowest rooms first. Most of `harness.cassettes` is the format, which parity
compares; a replay says how it compares, so it stands above parity.
"""

EXCEPTIONS: dict[str, tuple[str, ...]] = {
    "harness/clients/puppet.py": ("new_stack.queue",),
    "harness/workers/queue_puppet.py": ("new_stack.queue", "new_stack.matching"),
    "harness/workers/client_puppet.py": ("new_stack.client",),
    "harness/workers/odd_connector.py": ("new_stack.worker",),
    "harness/workers/plain_tasks.py": ("new_stack.worker",),
    "harness/workers/scripted_connector.py": ("new_stack.worker",),
    "loadtests/bench": ("new_stack.queue", "new_stack.worker"),
}
"""The doors: puppets play the stack's workers by the queue's public API, and the programs of others by its client;
connectors of ours write down what its workers run or do what few connectors do; and the benchmarks measure the product.
"""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from harness import defects` is an import of that room
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def room_of(name: str) -> str | None:
    """The innermost room that a module, or a name in it, belongs to; None where it is not ours."""
    return max((room for room in MAY_IMPORT if is_in(name, room)), key=len, default=None)


def may(mine: str, theirs: str, file: str) -> bool:
    """A whole folder in the table means all of its rooms; else a room means itself and not those inside it."""
    doors = [name for door, names in EXCEPTIONS.items() if file.startswith(door) for name in names]
    roots = (mine, *MAY_IMPORT[mine], *doors)
    return any(theirs == root or (root in FOLDERS and is_in(theirs, root)) for root in roots)


def trespasses(file: str, names: Iterable[str]) -> list[str]:
    """What of these names the file may not import."""
    mine = room_of(file.removesuffix(".py").replace("/", "."))
    assert mine, f"{file} is in no room of the table"
    return sorted(name for name in names if (theirs := room_of(name)) and not may(mine, theirs, file))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_room_imports_only_what_the_table_says(folder: str) -> None:
    found = {
        file: bad
        for path in (ROOT / folder).rglob("*.py")
        if (bad := trespasses(file := str(path.relative_to(ROOT)), imported(path)))
    }
    assert not found


def test_no_arrow_of_the_table_runs_upwards() -> None:
    order = list(MAY_IMPORT)
    rooms = {room: [name for name in names if name not in FOLDERS] for room, names in MAY_IMPORT.items()}
    assert [
        (room, name) for room, names in rooms.items() for name in names if order.index(name) >= order.index(room)
    ] == []


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("new_stack/api/app.py", "harness.parity"),
        ("new_stack/client/client.py", "new_stack.queue.jobs"),
        ("harness/gate/run.py", "new_stack.queue"),
        ("harness/cassettes/file.py", "harness.parity.facts"),
        ("harness/processes/redis.py", "harness.targets"),
        ("harness/results/run.py", "harness.newroom.thing"),
        ("reports/page.py", "harness.gate"),
        ("loadtests/users/legacy.py", "new_stack.client"),
        ("harness/gate/run.py", "hubgate.cli"),
    ],
)
def test_the_rule_sees_a_trespass(file: str, name: str) -> None:
    assert trespasses(file, [name, "json", "harness.results" if file.startswith("reports") else "json"]) == [name]


def test_the_doors_are_where_they_are_said_to_be() -> None:
    assert trespasses("harness/clients/puppet.py", ["new_stack.queue.Queue"]) == []
    assert trespasses("loadtests/bench/queue_microbench.py", ["new_stack.worker.Worker"]) == []
