"""The functions library: how it is put together, and when it is loaded."""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path

import pytest

from new_stack.queue import NewJob, Queue, QueueSettings, QueueUnavailable
from new_stack.queue import function_caller as library
from new_stack.queue.connection import Connection
from tests.new_stack.queue.conftest import connection_to

FUNCTIONS = sorted(library.FOLDER.glob("*.lua"))
KEY = "ready"
PINNED = Path(__file__).with_name("library.version")


@pytest.fixture
async def connection(own_valkey):
    opened = connection_to(own_valkey.url)
    yield opened
    opened.close()


async def put(connection: Connection, version: int) -> None:
    """Load a library of another version, with a mark of its own."""
    code = library.source().replace(f"VERSION = {library.VERSION}", f"VERSION = {version}")
    await connection.call("FUNCTION", "LOAD", "REPLACE", code)


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: path.stem)
def test_a_file_holds_one_function_named_like_it_with_a_whole_header(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"^(?:reads|changes|adds)\('(\w+)'", text, re.MULTILINE) == [path.stem]
    header = "\n".join(line for line in text.splitlines() if line.startswith("--"))
    for word in ("Keys:", "Arguments:", "Reply:", "Invariant:"):
        assert word in header, f"{path.name}: no {word} in its header"


@pytest.mark.parametrize("path", sorted(library.FOLDER.rglob("*.lua")), ids=lambda path: path.stem)
def test_no_file_uses_keys_or_another_clock(path: Path) -> None:
    code = "\n".join(line for line in path.read_text().splitlines() if not line.strip().startswith("--"))
    assert "'KEYS'" not in code
    assert "os.time" not in code
    assert code.count("'TIME'") == (1 if path.stem == "context" else 0)


def test_a_piece_comes_once_and_after_those_it_needs() -> None:
    text = library.source()
    assert text.startswith("#!lua name=hubgate\n")
    assert text.count("function read_job(") == 1
    assert text.index("function read_job(") < text.index("function promote(")
    assert text.index("function emit(") < text.index("function complete(")


async def test_loads_where_nothing_is_loaded(connection: Connection) -> None:
    assert await library.loaded_version(connection, KEY) == 0
    await library.install_library(connection, KEY)
    assert await library.loaded_version(connection, KEY) == library.VERSION


@pytest.mark.parametrize(("there", "then"), [(library.VERSION - 1, library.VERSION), (99, 99)])
async def test_replaces_an_older_library_and_leaves_a_newer_one(connection: Connection, there: int, then: int) -> None:
    await put(connection, there)
    await library.install_library(connection, KEY)
    assert await library.loaded_version(connection, KEY) == then


async def test_replaces_a_library_without_a_version(connection: Connection) -> None:
    await connection.call(
        "FUNCTION", "LOAD", "#!lua name=hubgate\nredis.register_function('hubgate_x', function() end)"
    )
    await library.install_library(connection, KEY)
    assert await library.loaded_version(connection, KEY) == library.VERSION


async def test_without_install_nothing_is_ever_loaded(connection: Connection, own_valkey) -> None:
    guest = await Queue.connect(QueueSettings(redis_url=own_valkey.url), install=False)
    with pytest.raises(QueueUnavailable, match="may not load"):
        await guest.submit(NewJob())
    assert await connection.call("FUNCTION", "LIST") == []
    await library.install_library(connection, KEY)
    assert (await guest.submit(NewJob())).created
    await guest.close()


async def test_a_lost_library_is_loaded_again_and_the_call_repeated(connection: Connection, own_valkey) -> None:
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url))
    await connection.call("FUNCTION", "FLUSH")
    assert (await queue.submit(NewJob(id="a"))).created
    await connection.call("FUNCTION", "FLUSH")
    leases, _ = await queue.wait_and_claim("w1", 1, timeout_ms=100)
    assert [lease.job_id for lease in leases] == ["a"]
    await connection.call("FUNCTION", "FLUSH")
    assert (await queue.counts()).claimed == 1
    await queue.close()


def test_a_changed_library_has_another_version() -> None:
    """Where processes of two versions meet, only a higher number replaces the older library."""
    digest = blake2b(library.source().encode(), digest_size=8).hexdigest()
    assert PINNED.read_text().split() == [str(library.VERSION), digest], (
        f"the library changed: raise VERSION in function_caller.py to {library.VERSION + 1} and write that number and "
        f"the digest that this test then tells into {PINNED.name} (before the first release: leave the version, and "
        f"write {digest})"
    )
