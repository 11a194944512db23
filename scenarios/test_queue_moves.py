"""The queue answers producers, workers and operators as its books of moves say, and keeps what they say it keeps."""

from __future__ import annotations

import secrets
from typing import Final

import pytest

from harness.processes.redis import empty
from harness.processes.services import python_path
from scenarios.queue_moves import FOLDER, books, played, player
from scenarios.stacks import ours

pytestmark = [pytest.mark.fast, pytest.mark.timeout(90)]

ROUTING: Final = ("claims", "life", "matching", "time")
"""The books that are evidence for who is given which job, once and in order; the others tell what callers are told."""
OF_OUR_REDIS: Final = ("urls",)


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
    try:
        async with player(stacks.redis.url, prefix, path_to_stack) as one:
            found = await played(book_file.read_text(encoding="utf-8"), one, compare=not writes)
    finally:
        empty(stacks.redis.url, prefix)
    if writes:
        book_file.write_text(found, encoding="utf-8")
