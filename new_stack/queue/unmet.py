"""What waits for workers that there are not: services that nobody serves, jobs that ask for more than anybody has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class Unmet(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that ask for more than any live worker has that serves their service; `example` is one of them."""

    since: int
    jobs: int
    example: str


def untaken_of(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """What `count` says that nobody takes: `unserved` and `unmet` of QueueCounts."""
    said = [(name.decode(), int(since), count, example.decode()) for name, since, count, example in rows]
    return {
        "unserved": {name: since for name, since, _, example in said if not example},
        "unmet": {name: Unmet(since=since, jobs=n, example=example) for name, since, n, example in said if example},
    }
