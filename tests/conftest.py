"""What tests of every room start: processes that end with the module's last test, and a Valkey among them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.processes import Processes, Valkey, start_valkey


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("processes")) as running:
        yield running


@pytest.fixture(scope="module")
def valkey(processes: Processes) -> Valkey:
    return start_valkey(processes)
