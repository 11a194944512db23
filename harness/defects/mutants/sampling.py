"""Which mutants are tried: drawn with a seed, each place of the stack as likely as any other."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from harness.defects.defect import source_of_stack
from harness.defects.mutants.lua_places import lua_places
from harness.defects.mutants.mutant import Mutant, Place, mutant_of
from harness.defects.mutants.python_places import python_places

ROOMS: Final = ("queue", "matching", "worker", "api")
"""The parts whose places are drawn. `client` is a library of the clients' own: seeded defects try it."""
NOT_RUN: Final = (
    *("worker/connectors/a1111.py", "worker/connectors/comfyui.py", "worker/connectors/http.py"),
    *("worker/connectors/rest.py", "worker/connectors/tasks.py", "worker/connectors/threads.py"),
    *("worker/connectors/websocket.py", "api/dashboard/", "queue/failover/sentinel.py", "matching/oracle.py"),
    "matching/functions/hubgate_why_not.lua",
)
"""What the profile `fast` does not carry out, as docs/trust.md says: the connectors to back ends, the pages of the
dashboard, Redis behind Sentinels, and the rule in Python and as a function of its own, which only tests call."""
_READERS: Final[dict[str, Callable[[str, str], list[Place]]]] = {".py": python_places, ".lua": lua_places}


def places(source: Path | None = None, *, rooms: Sequence[str] = ROOMS) -> list[Place]:
    """Every place of the stack that can be changed, in the order of files and lines."""
    root = source or source_of_stack()
    return [place for name in _files(root, rooms) for place in _read(root, name)]


def _files(root: Path, rooms: Sequence[str]) -> Iterator[str]:
    for room in rooms:
        for path in sorted((root / room).rglob("*")):
            name = str(path.relative_to(root))
            if path.suffix in _READERS and not name.startswith(NOT_RUN):
                yield name


def _read(root: Path, name: str) -> list[Place]:
    return _READERS[Path(name).suffix](name, (root / name).read_text(encoding="utf-8"))


def sample(found: Sequence[Place], count: int, seed: int, *, source: Path | None = None) -> list[Mutant]:
    """So many mutants, no two of one place; the same for the same stack and seed."""
    root = source or source_of_stack()
    chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
    chosen = chance.sample(list(found), min(count, len(found)))
    mutants = []
    for place in chosen:
        operator, make = chance.choice(place.ways)
        mutants.append(mutant_of(place, operator, make(), (root / place.file).read_text(encoding="utf-8")))
    return mutants
