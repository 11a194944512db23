"""The least rights that a Redis user needs, as docs/running.md lists them: enough for everything, and none too many."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from new_stack.queue import (
    Completed,
    Failed,
    JobState,
    Lease,
    NewJob,
    ProgressUpdate,
    Queue,
    QueueSettings,
    QueueUnavailable,
    Released,
    WorkerReport,
    function_caller,
)
from new_stack.queue.usage import ClientCount, Counted
from tests.new_stack.conftest import ValkeyProcess

PAGE = Path(function_caller.__file__).parents[2] / "docs" / "running.md"
PREFIX = "emp:"

DIRECT = {
    "blpop", "client|id", "client|unblock", "fcall", "fcall_ro", "info", "ping", "select", "xrange", "xread",
    "xrevrange",
}  # fmt: skip
"""What the processes call themselves; with `disk` or `replicas=N` they also wait behind a write."""

ACKNOWLEDGED = {"config|get", "set", "wait", "waitaof"}
INSTALLING = {"function|load"}


def in_functions() -> set[str]:
    """What the functions call: Redis checks these against the caller's rights, too."""
    return {name.lower() for name in re.findall(r"redis\.p?call\(\s*'(\w+)'", function_caller.source())}


def listed() -> list[str]:
    """The rules of the page, in order."""
    block = PAGE.read_text().split("<!-- rights -->")[1].split("<!-- /rights -->")[0]
    return re.findall(r"\+(\S+)", block)


def test_the_page_lists_the_rights_that_the_code_needs() -> None:
    wanted = DIRECT | in_functions() | ACKNOWLEDGED | INSTALLING
    assert listed() == sorted(wanted), f"the page should say: {' '.join(f'+{name}' for name in sorted(wanted))}"


@pytest.fixture
def guarded() -> Iterator[ValkeyProcess]:
    process = ValkeyProcess("--appendonly", "yes", "--appendfsync", "always")
    process.start()
    with redis.Redis(port=process.port) as admin:
        rules = [f"+{name}" for name in listed()]
        admin.execute_command("ACL", "SETUSER", "hubgate", "reset", "on", ">word", f"~{PREFIX}*", *rules)
    yield process
    process.remove()


@pytest.fixture
async def least(guarded: ValkeyProcess) -> AsyncIterator[Queue]:
    queue = await Queue.connect(settings(guarded))
    yield queue
    await queue.close()


def settings(server: ValkeyProcess, acknowledgement: str = "disk") -> QueueSettings:
    return QueueSettings(
        redis_url=f"redis://hubgate:word@127.0.0.1:{server.port}/1",
        prefix=PREFIX,
        acknowledgement=acknowledgement,
        lease_ms=100,
        retry_backoff_ms=1,
        finished_ttl_ms=100,
        heartbeat_ttl_ms=100,
        forget_worker_ms=100,
    )


async def live(queue: Queue) -> None:
    """Everything that can happen to jobs and workers."""
    await queue.heartbeat(WorkerReport(worker_id="w1"))
    await queue.heartbeat(WorkerReport(worker_id="w2"))
    await queue.submit_many([NewJob(id=f"j{number}", priority=number) for number in range(9)])
    await queue.submit(NewJob(id="j0"))
    leases = await queue.claim("w1", 5)
    await queue.progress(leases[0], ProgressUpdate(progress=1, message="m", details={"a": 1}))
    await queue.renew(leases)
    await queue.end(Completed(lease=leases[0]))
    await queue.end(Failed(lease=leases[1], error="no"))
    await queue.end(Failed(lease=leases[2], error="no", retryable=False))
    await queue.end(Released(lease=leases[3]))
    await queue.retry(leases[2].job_id)
    await queue.cancel(leases[4].job_id)
    await queue.cancel("j0")
    await queue.wait_for_signal("w1", timeout_ms=10)
    [held], _ = await queue.wait_and_claim("w1", 1, timeout_ms=10)
    await asyncio.sleep(0.11)
    await queue.heartbeat(WorkerReport(worker_id="w1"))
    await queue.reap()
    await drain(queue, await queue.claim("w3", 9))
    await queue.wait_and_claim("w3", 1, timeout_ms=10)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):  # a wait that is broken off
            await queue.wait_and_claim("w3", 1, timeout_ms=5_000)
    await read(queue, held)
    await asyncio.sleep(0.11)
    await queue.reap()
    await queue.unregister("w2")
    await queue.usage.add([ClientCount("c", [Counted("http modern", "", "submit", 2_000_000_000_000, 1)], [])])
    await queue.usage.page()


async def drain(queue: Queue, leases: list[Lease]) -> None:
    """End whatever is left."""
    while leases:
        for lease in leases:
            await queue.end(Completed(lease=lease))
        leases = await queue.claim("w3", 9)


async def read(queue: Queue, held: Lease) -> None:
    """Everything that can be asked."""
    await queue.job(held.job_id)
    await queue.jobs(state=JobState.COMPLETED)
    await queue.counts()
    await queue.workers()
    await queue.history(held.job_id)
    await queue.events("0", block_ms=1)
    await queue.last_event_id()
    await queue.first_event_id()
    await queue.ping()


async def test_they_are_enough(least: Queue, guarded: ValkeyProcess) -> None:
    await live(least)
    with redis.Redis(port=guarded.port, decode_responses=True) as admin:
        refused = [entry for entry in admin.acl_log() if entry["object"] != "client|setinfo"]
    assert refused == []


async def test_a_missing_right_is_told_and_is_no_end_of_the_world(least: Queue, guarded: ValkeyProcess) -> None:
    with redis.Redis(port=guarded.port) as admin:
        for right in ("get", "set", "fcall"):
            admin.execute_command("ACL", "SETUSER", "hubgate", f"-{right}")
            with pytest.raises(QueueUnavailable, match="Redis refused for now"):
                await (least.job("a") if right == "get" else least.submit(NewJob(id=right)))
            admin.execute_command("ACL", "SETUSER", "hubgate", f"+{right}")
        admin.execute_command("ACL", "SETUSER", "hubgate", "resetkeys", "~other:*")
        with pytest.raises(QueueUnavailable, match="Redis refused for now"):
            await least.submit(NewJob(id="key"))


async def test_a_process_that_may_not_load_functions_works_where_another_has(guarded: ValkeyProcess) -> None:
    first = await Queue.connect(settings(guarded, "memory"))
    with redis.Redis(port=guarded.port) as admin:
        admin.execute_command("ACL", "SETUSER", "hubgate", "-function|load")
    second = await Queue.connect(settings(guarded, "memory"))
    assert (await second.submit(NewJob(id="a"))).created
    await first.close()
    await second.close()
