"""The order of the tests, and what they start: processes that end with the module's last test, a Valkey among them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from harness.processes import Processes, Valkey, start_valkey

USUAL_S: Final = 120
"""The time-out of a test that has none of its own (pyproject.toml)."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with tests that may take longest go first: at its end a run waits for no long one beside idle processes.

    A module stays whole: its fixtures may be built once.
    """
    longest = Counter[Path]()
    for item in items:
        _tell_group(item)
        limit = item.get_closest_marker("timeout")
        longest[item.path] = max(longest[item.path], USUAL_S, *(limit.args if limit else ()))
    items.sort(key=lambda item: -longest[item.path])


def _tell_group(item: pytest.Item) -> None:
    """Put an `xdist_group` behind the item's id, by which pytest-xdist knows it.

    Its version 3.8 writes that where pytest 9.2 does not read it any more: each process then builds what the tests of
    a group share. And it does so before the scenarios have their group.
    """
    group = "@" + "_".join(sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")}))
    if hasattr(item, "id") and group != "@" and not item.nodeid.endswith(group) and "PYTEST_XDIST_WORKER" in os.environ:
        item._id = item.id.parse(item.nodeid + group)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("processes")) as running:
        yield running


@pytest.fixture(scope="module")
def valkey(processes: Processes) -> Valkey:
    return start_valkey(processes)
