"""A Redis of ours that fails over, seen by a client that asks the Sentinels."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes import Processes, RedisGroup, check_redis, connect, start_redis_group


@pytest.fixture
def group(tmp_path: Path) -> Iterator[RedisGroup]:
    with Processes(tmp_path) as processes:
        yield start_redis_group(processes)


def written(group: RedisGroup, key: str) -> None:
    client = connect(group.url)
    client.set(key, "1")
    assert client.wait(1, 2_000) == 1


def test_the_replica_takes_over_when_the_primary_is_killed(group: RedisGroup) -> None:
    first = group.primary()
    written(group, "before")
    first.kill()
    second = group.wait_for_another(first)
    assert second is not first
    assert connect(group.url).get("before") == b"1"
    group.rejoin()
    written(group, "after")
    assert first.execute("GET", "after") == b"1", "who comes back follows the new primary"


def test_a_primary_is_demoted_on_order_and_promoted_again(group: RedisGroup) -> None:
    first = group.primary()
    for before in (first, None):
        held = before or group.primary()
        written(group, f"under-{held.port}")
        group.order_failover()
        assert group.wait_for_another(held) is not held
        group.rejoin()
    assert group.primary() is first
    assert check_redis(group.url)
