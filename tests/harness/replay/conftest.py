from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.environment import Processes, Valkey, start_valkey
from harness.parity.deviations import Deviations

ROOT = Path(__file__).parents[3]
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
