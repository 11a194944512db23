"""Redis gone, back again, silent, full: QueueUnavailable, nothing half done, and then it works again."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import msgspec
import pytest
import redis

from harness.testing.waiting import until
from new_stack.queue import (
    Completed,
    NewJob,
    ProgressUpdate,
    Queue,
    QueueSettings,
    QueueUnavailable,
    RedisTooOld,
    Submission,
    WorkerReport,
)
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.queue.conftest import connection_to


@pytest.fixture
async def lone(own_valkey: ValkeyProcess):
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url, call_timeout_ms=400))
    yield queue
    await queue.close()


@pytest.fixture
def durable():
    process = ValkeyProcess("--appendonly", "yes", "--appendfsync", "always")
    process.start()
    yield process
    process.remove()


async def test_a_server_that_is_not_there_is_unavailable_at_once() -> None:
    with pytest.raises(QueueUnavailable) as raised:
        await Queue.connect(QueueSettings(redis_url="redis://127.0.0.1:1"))
    assert "127.0.0.1:1 cannot be reached" in raised.value.detail
    assert str(raised.value) == "Redis cannot be reached"


async def test_calls_in_flight_and_waits_fail_when_redis_dies(lone: Queue, own_valkey: ValkeyProcess) -> None:
    assert await lone.wait_and_claim("w1", 1, timeout_ms=60_000) == ([], None)  # from here on it waits
    waits = [
        asyncio.create_task(lone.wait_for_signal("w1", timeout_ms=60_000)),
        asyncio.create_task(lone.wait_and_claim("w1", 1, timeout_ms=60_000)),
        asyncio.create_task(lone.events("$", block_ms=60_000)),
    ]
    with redis.Redis.from_url(own_valkey.url) as admin:
        await until(lambda: admin.info("clients")["blocked_clients"] == len(waits))
    own_valkey.kill()
    answers = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 5)
    assert all(isinstance(answer, QueueUnavailable) for answer in answers), answers
    for call in (lone.submit(NewJob()), lone.claim("w1"), lone.job("a"), lone.counts(), lone.ping()):
        with pytest.raises(QueueUnavailable):
            await call


async def test_works_again_after_a_restart_that_lost_everything(lone: Queue, own_valkey: ValkeyProcess) -> None:
    await lone.submit(NewJob(id="a"))
    own_valkey.kill()
    own_valkey.start()
    await until(lambda: lone._caller.connection.opened is None)  # the loop hears of the end only when it runs again
    assert await lone.job("a") is None
    assert (await lone.submit(NewJob(id="b"))).created
    [lease] = await lone.claim("w1")
    assert lease.job_id == "b"


async def test_acknowledged_jobs_outlive_a_restart_with_an_append_only_file(durable: ValkeyProcess) -> None:
    queue = await Queue.connect(QueueSettings(redis_url=durable.url))
    await queue.submit_many([NewJob(id=f"j{i}") for i in range(50)])
    held = await queue.claim("w1", count=2)
    durable.kill()
    durable.start()
    await until(lambda: queue._caller.connection.opened is None)
    assert await queue.renew(held) == ["held", "held"]
    assert await queue.end(Completed(lease=held[0])) == "completed"
    assert [lease.job_id for lease in await queue.claim("w2", count=99)] == [f"j{i}" for i in range(2, 50)]
    await queue.close()


async def test_a_silent_redis_is_unavailable_after_the_time_out(lone: Queue, own_valkey: ValkeyProcess) -> None:
    own_valkey.pause()
    try:
        async with asyncio.timeout(3):
            with pytest.raises(QueueUnavailable):
                await lone.submit(NewJob())
            with pytest.raises(QueueUnavailable):
                await lone.wait_for_signal("w1", timeout_ms=100)
    finally:
        own_valkey.resume()
    async with asyncio.timeout(5):
        await lone.submit(NewJob(id="b"))


async def test_a_full_redis_refuses_submissions_whole_and_goes_on_with_the_work(
    lone: Queue, own_valkey: ValkeyProcess
) -> None:
    await lone.submit_many([NewJob(id="a"), NewJob(id="b")])
    [held] = await lone.claim("w1")
    admin = connection_to(own_valkey.url)
    await admin.call("CONFIG", "SET", "maxmemory", 1_000_000)
    await admin.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    keys = sorted(await admin.call("KEYS", "*"))
    payload = msgspec.Raw(b'{"p":"%s"}' % (b"x" * 100_000))
    with pytest.raises(QueueUnavailable, match="OOM"):
        await lone.submit(NewJob(id="c", payload=payload))
    assert sorted(await admin.call("KEYS", "*")) == keys
    await lone.progress(held, ProgressUpdate(progress=1))
    assert await lone.renew([held]) == ["held"]
    assert await lone.reap() == []
    await lone.heartbeat(WorkerReport(worker_id="w1"))
    assert (await lone.cancel("b")).state == "cancelled"
    assert (await lone.counts()).cancelled == 1
    assert await lone.end(Completed(lease=held)) == "completed"
    await admin.call("CONFIG", "SET", "maxmemory", 0)
    assert (await lone.submit(NewJob(id="c", payload=payload))).created
    admin.close()


async def test_a_wrong_password_is_told(own_valkey: ValkeyProcess) -> None:
    admin = connection_to(own_valkey.url)
    await admin.call("CONFIG", "SET", "requirepass", "secret word")
    with pytest.raises(QueueUnavailable) as raised:
        await Queue.connect(QueueSettings(redis_url=own_valkey.url))
    assert "Authentication required" in raised.value.detail
    wrong = own_valkey.url.replace("redis://", "redis://:wrong@")
    with pytest.raises(QueueUnavailable) as raised:
        await Queue.connect(QueueSettings(redis_url=wrong))
    assert "invalid username-password pair" in raised.value.detail
    right = own_valkey.url.replace("redis://", "redis://:secret%20word@").replace("/0", "/3")
    queue = await Queue.connect(QueueSettings(redis_url=right))
    await queue.ping()
    assert b"db=3" in await queue._caller.connection.call("CLIENT", "INFO")
    await queue.close()
    admin.close()


async def test_a_batch_that_redis_refuses_half_way_says_which_jobs_it_has(
    lone: Queue, own_valkey: ValkeyProcess
) -> None:
    admin = connection_to(own_valkey.url)
    used = re.search(rb"used_memory:(\d+)", await admin.call("INFO", "memory"))
    assert used is not None
    await admin.call("CONFIG", "SET", "maxmemory", int(used[1]) + 3_000_000)
    payload = msgspec.Raw(b'{"p":"%s"}' % (b"x" * 900_000))
    answers = await lone.submit_many([NewJob(id=f"j{i}", payload=payload) for i in range(12)])
    stored = [answer.job_id for answer in answers if isinstance(answer, Submission)]
    refused = [answer for answer in answers if isinstance(answer, QueueUnavailable)]
    assert stored == [f"j{i}" for i in range(len(stored))]
    assert 0 < len(stored) < 12
    assert len(stored) + len(refused) == 12
    assert (await lone.counts()).pending == len(stored)
    admin.close()


async def test_a_server_without_functions_is_too_old() -> None:
    old = ValkeyProcess("--rename-command", "FCALL_RO", "")
    old.start()
    try:
        with pytest.raises(RedisTooOld, match="needs Redis 7 or Valkey"):
            await Queue.connect(QueueSettings(redis_url=old.url))
    finally:
        old.remove()


async def test_a_unix_socket_serves_as_well(tmp_path: Path) -> None:
    server = ValkeyProcess("--unixsocket", str(tmp_path / "valkey.sock"))
    server.start()
    try:
        queue = await Queue.connect(QueueSettings(redis_url=f"unix://{tmp_path}/valkey.sock?db=1"))
        assert (await queue.submit(NewJob(id="a"))).created
        await queue.close()
    finally:
        server.remove()
