"""A worker process for test_processes.py: claims, works a moment, ends, for ever. It is there to be killed."""

from __future__ import annotations

import asyncio
import os
import random
import sys

from new_stack.queue import Completed, Failed, LeaseLost, ProgressUpdate, Queue, QueueSettings, Released


async def main(url: str, prefix: str) -> None:
    worker_id = f"p{os.getpid()}"
    settings = QueueSettings(redis_url=url, prefix=prefix, lease_ms=300, retry_backoff_ms=1, max_deliveries=1000)
    queue = await Queue.connect(settings)
    while True:
        leases, _ = await queue.wait_and_claim(worker_id, 3, timeout_ms=100)
        await queue.reap()
        for lease in leases:
            await asyncio.sleep(random.uniform(0, 0.01))
            try:
                await queue.progress(lease, ProgressUpdate(progress=50))
                ends = [Completed(lease=lease)] * 8 + [Failed(lease=lease, error="no"), Released(lease=lease)]
                await queue.end(random.choice(ends))
            except LeaseLost:
                continue


asyncio.run(main(*sys.argv[1:]))
