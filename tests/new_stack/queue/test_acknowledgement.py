"""What an answer vouches for: memory, disk or replicas."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import redis

from harness.processes import free_port
from harness.testing.waiting import until
from new_stack.queue import Completed, Failed, NewJob, Queue, QueueSettings, QueueUnavailable, SettingsError
from tests.new_stack.conftest import ValkeyProcess


@pytest.fixture
def on_disk() -> Iterator[ValkeyProcess]:
    process = ValkeyProcess("--appendonly", "yes", "--appendfsync", "always")
    process.start()
    yield process
    process.remove()


@pytest.fixture
def replica(own_valkey: ValkeyProcess) -> Iterator[ValkeyProcess]:
    process = ValkeyProcess("--replicaof", f"127.0.0.1 {own_valkey.port}", "--repl-diskless-sync-delay", "0")
    process.start()
    yield process
    process.remove()


def kept(url: str, acknowledgement: str, **changes: int) -> QueueSettings:
    return QueueSettings(redis_url=url, acknowledgement=acknowledgement, **changes)


def is_loading(server: ValkeyProcess) -> bool:
    return server.ping().startswith(b"-LOADING")


async def test_disk_waits_for_the_append_only_file_and_says_so_where_it_does_not_come(on_disk: ValkeyProcess) -> None:
    queue = await Queue.connect(kept(on_disk.url, "disk", call_timeout_ms=1_500))
    with redis.Redis(port=on_disk.port) as admin:
        assert (await queue.submit(NewJob(id="a"))).created
        admin.config_set("appendfsync", "no")
        with pytest.raises(QueueUnavailable, match="the disk did not confirm"):
            await queue.submit(NewJob(id="b"))
        admin.config_set("appendfsync", "always")
        assert not (await queue.submit(NewJob(id="b"))).created
        [first, second] = await queue.claim("w1", 2)
        assert await queue.end(Completed(lease=first)) == "completed"
        assert await queue.end(Failed(lease=second, error="no", retryable=False)) == "failed"
        assert (await queue.retry("b")).state == "pending"
        assert (await queue.cancel("b")).state == "cancelled"
        assert admin.info("commandstats")["cmdstat_waitaof"]["calls"] >= 7
    await queue.close()


async def test_disk_is_served_again_by_a_server_that_was_met_while_it_loaded(on_disk: ValkeyProcess) -> None:
    """While it loads its append-only file, a server says that it has none."""
    queue = await Queue.connect(kept(on_disk.url, "disk"))
    with redis.Redis(port=on_disk.port) as admin, admin.pipeline(transaction=False) as commands:
        for _ in range(40_000):  # it answers after each 1,024 of what it loads
            commands.incr("loads-long")
        commands.execute()
    on_disk.kill()
    on_disk.options = (*on_disk.options, "--key-load-delay", "1")
    starting = asyncio.create_task(asyncio.to_thread(on_disk.start))
    await until(lambda: is_loading(on_disk), 20)
    with pytest.raises(QueueUnavailable):
        await queue.submit(NewJob(id="too soon"))
    assert is_loading(on_disk), "it had loaded before it was asked: nothing was tried"
    await starting
    assert (await queue.submit(NewJob(id="new"))).created
    await queue.close()


async def test_an_answered_submission_is_on_disk_when_the_server_is_killed(on_disk: ValkeyProcess) -> None:
    queue = await Queue.connect(kept(on_disk.url, "disk"))
    stored: list[str] = []

    async def submit(number: int) -> None:
        for turn in range(100):
            submission = await queue.submit(NewJob(id=f"{number}-{turn}"))
            stored.append(submission.job_id)

    submitting = [asyncio.create_task(submit(number)) for number in range(50)]
    await until(lambda: len(stored) >= 120, within=20)
    on_disk.kill()
    await asyncio.gather(*submitting, return_exceptions=True)
    on_disk.start()
    await asyncio.sleep(0)
    there = {lease.job_id for lease in await queue.claim("w1", 10_000)}
    assert set(stored) <= there
    await queue.close()


async def test_many_changes_share_one_wait(on_disk: ValkeyProcess) -> None:
    queue = await Queue.connect(kept(on_disk.url, "disk"))
    await asyncio.gather(*(queue.submit(NewJob()) for _ in range(100)))
    with redis.Redis(port=on_disk.port) as admin:
        assert admin.info("commandstats")["cmdstat_waitaof"]["calls"] == 1
    await queue.close()


async def test_replicas_must_have_it(own_valkey: ValkeyProcess, replica: ValkeyProcess) -> None:
    queue = await Queue.connect(kept(own_valkey.url, "replicas=1", call_timeout_ms=500))
    with redis.Redis(port=replica.port) as there:
        await until(lambda: there.info("replication")["master_link_status"] == "up")
        assert (await queue.submit(NewJob(id="a"))).created
        assert there.exists("record:a")
        replica.pause()
        with pytest.raises(QueueUnavailable, match="1 replicas did not confirm"):
            await queue.submit(NewJob(id="b"))
        with pytest.raises(QueueUnavailable, match="1 replicas did not confirm"):
            await queue.submit(NewJob(id="b"))
        replica.resume()
        assert not (await queue.submit(NewJob(id="b"))).created
        assert there.exists("record:b")
    await queue.close()


async def test_a_server_that_cannot_confirm_is_told_at_the_start(
    own_valkey: ValkeyProcess, on_disk: ValkeyProcess
) -> None:
    with pytest.raises(SettingsError, match="has appendonly no"):
        await Queue.connect(kept(own_valkey.url, "disk"))
    with redis.Redis(port=on_disk.port) as admin:
        admin.config_set("appendfsync", "everysec")
    with pytest.raises(SettingsError, match="has everysec"):
        await Queue.connect(kept(on_disk.url, "disk"))


async def test_a_server_too_old_to_confirm_is_told_at_the_start(own_valkey: ValkeyProcess) -> None:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs a redis-server older than 7.2")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if "v=7.0" not in version:
        pytest.skip(f"needs a redis-server older than 7.2, not {version}")
    port = free_port()
    words = f"--port {port} --bind 127.0.0.1 --appendonly yes --dir {own_valkey.folder}".split()
    process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    with pytest.raises(SettingsError, match=r"needs Redis 7\.2 or newer; this one is 7\.0"):
                        await Queue.connect(kept(f"redis://127.0.0.1:{port}", "disk"))
                    break
                except QueueUnavailable:
                    await asyncio.sleep(0.05)
    finally:
        process.kill()
        process.wait()


async def test_a_lost_library_is_loaded_again_for_a_change_that_must_last(on_disk: ValkeyProcess) -> None:
    queue = await Queue.connect(kept(on_disk.url, "disk"))
    with redis.Redis(port=on_disk.port) as admin:
        admin.function_flush()
    assert (await queue.submit(NewJob(id="a"))).created
    await queue.close()


async def test_a_failover_to_a_server_that_cannot_confirm_is_unavailable(on_disk: ValkeyProcess) -> None:
    queue = await Queue.connect(kept(on_disk.url, "disk"))
    on_disk.kill()
    on_disk.options = ("--appendonly", "no")
    on_disk.start()
    async with asyncio.timeout(5):
        while True:
            with pytest.raises(QueueUnavailable) as unavailable:
                await queue.submit(NewJob(id="a"))
            if "has appendonly no" in str(unavailable.value):
                break
    await queue.close()
