"""The stack answers as its books say: each route, each state of a job, each mistake of a caller, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.answer_books import FOLDER, books, played, written
from scenarios.stacks import ours

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast, pytest.mark.timeout(90)]


@pytest.mark.parametrize("name", books())
async def test_it_answers_as_the_book_says(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> None:
    path = FOLDER / f"{name}.book"
    text = path.read_text(encoding="utf-8")
    file = tmp_path / "deprecation.toml"
    file.write_text("")
    settings = dict(
        line.removeprefix("# with ").replace("{file}", str(file)).split("=", 1)
        for line in text.splitlines()
        if line.startswith("# with ")
    )
    with ours(request, "a stack of its own").stack(f"book-{name}", settings=settings) as stack:
        if request.config.getoption("--write-books"):
            path.write_text(await written(text, stack, file), encoding="utf-8")
        else:
            await played(text, stack, file)
