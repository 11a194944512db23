"""One Valkey for the session, and hubs started in the test's own event loop or as processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from harness.processes.processes import Processes
from harness.processes.redis import Valkey, start_valkey
from legacy_hub_sim import Settings
from legacy_hub_sim.server import start

StartHub = Callable[..., Awaitable[int]]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Processes(tmp_path_factory.mktemp("hub-valkey")) as processes:
        server = start_valkey(processes)
        yield server
        server.close()


@pytest.fixture
def redis_url(valkey: Valkey) -> str:
    valkey.flush()
    return valkey.url


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "processes") as started:
        yield started


@pytest.fixture
async def start_hub() -> AsyncIterator[StartHub]:
    """Start a hub with these settings changed; returns its port. Jobs are in memory unless a `redis_url` is given."""
    async with AsyncExitStack() as stack:

        async def started(**changed: object) -> int:
            settings = msgspec.structs.replace(Settings(port=0, redis_url=""), **changed)
            runner, port = await start(settings)
            stack.push_async_callback(runner.cleanup)
            return port

        yield started
