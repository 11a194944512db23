"""The queue answers producers, workers and operators as its books of moves say, and keeps what they say it keeps."""

from __future__ import annotations

import contextlib
import secrets
from typing import Final

import pytest

from harness.processes.redis import empty, start_valkey
from harness.processes.services import python_path
from harness.testing import fresh
from scenarios.queue_moves import FOLDER, books, played, player
from scenarios.stacks import ours

pytestmark = [pytest.mark.fast, pytest.mark.timeout(90)]

ROUTING: Final = ("claims", "life", "matching", "time")
"""The books that are evidence for who is given which job, once and in order; the others tell what callers are told."""
OF_OUR_REDIS: Final = ("urls",)
"""It flushes the functions, which other stacks on that Redis load again at any moment: then it is told otherwise."""


BOOKS: Final = [
    pytest.param(name, marks=pytest.mark.criterion("routing" if name in ROUTING else "modern-clients"))
    for name in books()
]


@pytest.mark.parametrize("name", BOOKS)
async def test_the_queue_answers_as_the_book_says(request: pytest.FixtureRequest, name: str) -> None:
    book_file = FOLDER / f"{name}.moves"
    stacks = ours(request, "a queue of its own")
    if name in OF_OUR_REDIS and not stacks.redis.owned:
        pytest.skip("needs a Redis that is ours: it speaks of databases and users, and of replicas that there are none")
    prefix = f"moves-{secrets.token_hex(4)}:"
    path_to_stack = python_path(stacks.overlay.resolve() if stacks.overlay else None)
    writes = request.config.getoption("--write-books")
    with contextlib.ExitStack() as opened:
        redis = stacks.redis
        if name in OF_OUR_REDIS:
            redis = start_valkey(stacks.processes, name=fresh("valkey"))
            opened.callback(redis.close)
        else:
            opened.callback(empty, redis.url, prefix)
        async with player(redis.url, prefix, path_to_stack) as one:
            found = await played(book_file.read_text(encoding="utf-8"), one, compare=not writes)
    if writes:
        book_file.write_text(found, encoding="utf-8")
