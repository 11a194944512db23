"""The order of the tests, and what they start: processes that end with the module's last test, a Valkey among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from harness.processes import Processes, Valkey, start_valkey
from harness.testing.xdist_groups import tell_group

USUAL_S: Final = 120
"""The time-out of a test that has none of its own (pyproject.toml)."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with tests that may take longest go first: at its end a run waits for no long one beside idle processes.

    A module stays whole: its fixtures may be built once.
    """
    longest = Counter[Path]()
    for item in items:
        tell_group(item)
        limit = item.get_closest_marker("timeout")
        longest[item.path] = max(longest[item.path], USUAL_S, *(limit.args if limit else ()))
    items.sort(key=lambda item: -longest[item.path])


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("processes")) as running:
        yield running


@pytest.fixture(scope="module")
def valkey(processes: Processes) -> Valkey:
    return start_valkey(processes)
