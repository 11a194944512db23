"""Print what a short life of a queue looks like to its own client, with the functions that Redis has."""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec

from new_stack.queue import Queue, QueueSettings
from new_stack.queue.errors import QueueError
from new_stack.queue.jobs import Completed, Failed, NewJob, ProgressUpdate, Released, WorkerReport

settings = QueueSettings(redis_url=sys.argv[1], lease_ms=200, retry_backoff_ms=60, retry_backoff_max_ms=60)


async def quietly(work):
    try:
        return str(await work)
    except QueueError as error:
        return type(error).__name__


class Life:
    """A few jobs, two workers; `told` is what they saw."""

    def __init__(self, queue):
        self.queue = queue
        self.told = {}

    async def submit(self, name, priority=0):
        await asyncio.sleep(0.003)  # no two in one ms, so that an order by the clock shows
        job = NewJob(id=name, payload=msgspec.Raw(b'{"x": 1}'), priority=priority, max_retries=1)
        return await self.queue.submit(job)

    async def claim(self, worker):
        leases = await self.queue.claim(worker, 1)
        return leases[0] if leases else None

    async def run(self):
        await self.queue.reap()  # where nobody ever has, leases get a term of grace
        for worker in ("w1", "w2"):
            await self.queue.heartbeat(WorkerReport(worker_id=worker))
        held = await self.line()
        await self.cancel(held)
        await self.repeat()
        await self.fail()
        await self.come_back()
        return self.told

    async def line(self):
        told, queue = self.told, self.queue
        for worker in ("w1", "w2"):  # from here on both count as idle
            await queue.wait_and_claim(worker, 1, timeout_ms=60_000)
        told["position"] = [(await self.submit(n, p)).position for n, p in (("a", 0), ("b", 0), ("c", 5))]
        wake = queue._caller.key("wake:w1")
        told["woken"] = await queue._caller.connection.call("LLEN", wake)
        first = [lease for _ in range(3) if (lease := await self.claim("w1"))]
        told["order"] = [lease.job_id for lease in first]
        told["payload"] = sorted({bytes(lease.payload).decode() for lease in first})
        held = next((lease for lease in first if lease.job_id == "a"), first[0])
        for lease in first:
            if lease is not held:
                await quietly(queue.end(Completed(lease=lease)))
        return held

    async def cancel(self, held):
        told, queue = self.told, self.queue
        stale = msgspec.structs.replace(held, attempt=held.attempt + 5, worker_id="w9")
        told["fence"] = await quietly(queue.progress(stale, ProgressUpdate(progress=1)))
        await quietly(queue.progress(held, ProgressUpdate(progress=10)))
        told["progress"] = sum(event.kind == "progress" for event in (await queue.events("0", block_ms=1))[0])
        await queue.cancel("a")
        told["late progress"] = await quietly(queue.progress(held, ProgressUpdate(progress=20)))
        told["late completion"] = await quietly(queue.end(Completed(lease=held)))
        told["cancelled"] = (await queue.job("a")).state

    async def repeat(self):
        await self.submit("again")
        lease = await self.claim("w1")
        if lease:
            await quietly(self.queue.end(Completed(lease=lease)))
        self.told["again"] = (await self.submit("again")).state

    async def fail(self):
        told, queue = self.told, self.queue
        await self.submit("fails")
        failed = await self.claim("w1")
        while failed and failed.job_id != "fails":
            await quietly(queue.end(Completed(lease=failed)))
            failed = await self.claim("w1")
        if failed is None:
            return
        await queue.end_and_claim("w2", [], 1, idle_ms=60_000)  # it has a free place
        told["fail"] = await quietly(queue.end(Failed(lease=failed, error="no memory")))
        told["fail kind"] = [event.kind for event in await queue.history("fails") if "fail" in event.kind]
        told["error"] = (await queue.job("fails")).error
        told["at once"] = bool(await self.claim("w2"))
        await asyncio.sleep(0.1)
        told["same worker"] = bool(await self.claim("w1"))
        second = await self.claim("w2")
        told["second fail"] = second and await quietly(queue.end(Failed(lease=second, error="no memory")))

    async def come_back(self):
        told, queue = self.told, self.queue
        await self.submit("old")
        old = await self.claim("w1")
        await self.submit("new")
        if old:
            await quietly(queue.end(Released(lease=old)))
        back = await self.claim("w2")
        told["released"] = back and back.job_id
        await queue.reap()  # the first reaping of all gives leases a term more
        await asyncio.sleep(0.45)
        told["reaped"] = await queue.reap()


async def main():
    queue = await Queue.connect(settings, install=False)
    try:
        told = await asyncio.wait_for(Life(queue).run(), 20)
        sys.stdout.write(json.dumps(told, default=str))
    finally:
        await queue.close()


asyncio.run(main())
