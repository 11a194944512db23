from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.parity.deviations import Deviations
from harness.processes import Processes, Valkey, start_valkey

ROOT = Path(__file__).parents[4]
CASSETTES = ROOT / "scenarios" / "cassettes"


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("replay")) as running:
        yield running


@pytest.fixture(scope="session")
def valkey(processes: Processes) -> Valkey:
    return start_valkey(processes)


@pytest.fixture(scope="session")
def deviations() -> Deviations:
    return Deviations.load(ROOT / "scenarios" / "deviations.toml")
