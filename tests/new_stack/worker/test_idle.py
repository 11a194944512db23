"""What idle workers cost."""

from __future__ import annotations

import re
import time

from harness.testing.waiting import until
from new_stack.queue import Queue, QueueSettings
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.worker.conftest import StartProcess, StartWorker

WORKERS = 40
SECONDS = 6
FROM_CLIENTS = ("fcall", "fcall_ro", "blpop", "client|id", "client|unblock", "ping", "select")
"""Commands that workers send; what functions call inside Redis is no traffic."""


async def commands(queue: Queue) -> int:
    stats = (await queue._caller.connection.call("INFO", "commandstats")).decode()
    calls = dict(re.findall(r"cmdstat_(\S+):calls=(\d+)", stats))
    return sum(int(calls.get(name, 0)) for name in FROM_CLIENTS)


async def test_forty_idle_workers_send_fewer_than_50_commands_a_second(
    own_valkey: ValkeyProcess, prefix: str, start_worker: StartWorker
) -> None:
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url, prefix=prefix))

    async def more_than(count: int) -> bool:
        return await commands(queue) > count

    for _ in range(WORKERS):
        await start_worker(queue={"redis_url": own_valkey.url})
    await until(lambda: more_than(WORKERS))  # the first heartbeats are over
    began, before = time.monotonic(), await commands(queue)
    await until(lambda: more_than(before + 50 * SECONDS), within=2 * SECONDS)
    assert time.monotonic() - began >= SECONDS
    await queue.close()


async def test_a_worker_process_holds_less_than_30_megabytes(queue: Queue, start_process: StartProcess) -> None:
    worker = start_process("--id", "small", "--concurrency", "10")

    async def ready() -> bool:
        return any(one.alive for one in await queue.workers())

    await until(ready)
    with open(f"/proc/{worker.process.pid}/smaps_rollup") as rollup:  # noqa: PTH123
        kilobytes = int(re.findall(r"^Pss: +(\d+) kB", rollup.read(), re.MULTILINE)[0])
    assert kilobytes < 30_000
