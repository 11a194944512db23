"""Processes of the stack start at the same moment, and beside those of another version, and settle on one library."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from harness.processes import Valkey, connect, services, start_valkey
from harness.testing import fresh, until
from scenarios.stacks import OwnStack, Stacks, ours

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast, pytest.mark.timeout(60)]

VERSION: Final = re.compile(r"(?<=local VERSION = )\d+")
LONG_MS: Final = 60_000
SOON_S: Final = 30
USAGE: Final = 2
"""The exit status of a process that is called wrongly."""


@pytest.fixture
def stacks_of_ours(request: pytest.FixtureRequest) -> Stacks:
    return ours(request, "a Redis of its own")


@pytest.fixture
def bare(stacks_of_ours: Stacks) -> Iterator[Valkey]:
    """A Redis that has never seen the stack."""
    server = start_valkey(stacks_of_ours.processes, name=fresh("valkey"))
    yield server
    server.close()


async def start(stacks: Stacks, server: Valkey, count: int) -> None:
    """Start so many workers at once. Raises ProcessDied where one ends before it is ready."""
    worker = services.worker
    launches = [worker(fresh("worker"), redis_url=server.url, overlay=stacks.overlay) for _ in range(count)]
    for started in await stacks.processes.astart_all(launches):
        started.stop()


def library(server: Valkey) -> str:
    """The text of the functions that are loaded."""
    [listed] = server.execute("FUNCTION", "LIST", "WITHCODE")
    [text] = [value.decode() for value in listed if isinstance(value, bytes) and value.startswith(b"#!lua")]
    return str(text)


def version(server: Valkey) -> int:
    """The version of the functions that are loaded."""
    found = VERSION.search(library(server))
    assert found
    return int(found[0])


async def test_all_that_load_the_functions_at_the_same_moment_start(stacks_of_ours: Stacks, bare: Valkey) -> None:
    with connect(bare.url, decode_responses=True) as connection:
        bare.execute("CLIENT", "PAUSE", str(LONG_MS), "WRITE")
        starting = asyncio.create_task(start(stacks_of_ours, bare, 3))

        async def all_load() -> bool:
            clients: Any = await asyncio.to_thread(connection.client_list)
            return starting.done() or sum(one["cmd"] == "function|load" for one in clients) == 3

        await until(all_load, 20, "three processes that are about to load the functions")
        bare.execute("CLIENT", "UNPAUSE")
        await starting


async def test_an_older_version_of_the_functions_is_replaced_and_a_newer_one_stays(
    stacks_of_ours: Stacks, bare: Valkey
) -> None:
    await start(stacks_of_ours, bare, 1)
    own = version(bare)
    for there, wanted in ((own - 1, own), (own + 1, own + 1)):
        bare.execute("FUNCTION", "LOAD", "REPLACE", VERSION.sub(str(there), library(bare), count=1))
        await start(stacks_of_ours, bare, 1)
        assert version(bare) == wanted


async def test_a_worker_whose_name_is_taken_does_not_start(isolated_stack: OwnStack) -> None:
    """Each would take the other's claims for its own lost ones, and hand them back."""
    first = await isolated_stack.worker("taken")
    launch = isolated_stack.deployment.worker_launch(first.name)
    second = await asyncio.create_subprocess_exec(
        *launch.command,
        env=dict(os.environ) | dict(launch.environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(second.communicate(), SOON_S)
    except TimeoutError:
        raise AssertionError(f"there are two workers named {first.name}") from None
    finally:
        if second.returncode is None:
            second.kill()
    assert second.returncode == USAGE, said.decode()
    assert f"a worker named {first.name} is alive" in said.decode()
    assert first.alive
