"""A worker of that stack: it takes jobs of its services straight from Redis and plays the script in the payload."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

import redis

FAULTS = set(filter(None, os.environ.get("FAULTS", "").split(",")))
ALIVE_MS = 3_000
MOST_RETRIES = 3


class Worker:
    def __init__(self, url: str, worker_id: str, services: list[str]) -> None:
        self.redis: Any = redis.Redis.from_url(url, decode_responses=True)
        self.worker_id, self.services = worker_id, services
        self.pending = [f"jobs:pending:{service}" for service in services]

    def live(self) -> None:
        while True:
            self.redis.set(f"worker:{self.worker_id}:alive", 1, px=ALIVE_MS)
            time.sleep(ALIVE_MS / 4000)

    def claim(self, timeout_s: float) -> str | None:
        pop = self.redis.bzpopmax if "newest-first" in FAULTS else self.redis.bzpopmin
        found = pop(self.pending, timeout=timeout_s)
        if found is None:
            return None
        job_id = str(found[1])
        self.redis.hset("jobs:active", job_id, self.worker_id)
        self.redis.hset(f"job:{job_id}", mapping={"status": "assigned", "worker_id": self.worker_id})
        self.tell(job_id, status="assigned")
        return job_id

    def tell(self, job_id: str, **event: Any) -> None:
        event["worker_id"] = self.worker_id
        self.redis.rpush(f"job:{job_id}:events", json.dumps(event))

    def run(self, job_id: str) -> None:
        job = self.redis.hgetall(f"job:{job_id}")
        result: Any = None
        for step in (json.loads(job["payload"]) or {}).get("simulate", ()):
            self.rest(step.get("sleep_ms", 0) / 1000)
            if self.redis.hget(f"job:{job_id}", "status") == "cancelled":
                break
            if "progress" in step:
                details = {"sent_at": time.time()} if step.get("stamp") else None
                progress = {"progress": step["progress"], "details": details}
                self.redis.hset(f"job:{job_id}", mapping={"status": "in_progress"})
                self.tell(job_id, status="in_progress", **progress)
            if "fail" in step and int(job["retries"]) < step.get("attempts", sys.maxsize):
                self.fail(job_id, job, step["fail"])
                break
            result = step.get("result", result)
        else:
            self.redis.hset(f"job:{job_id}", mapping={"status": "completed", "result": json.dumps(result)})
            self.tell(job_id, status="completed", result=result)
        self.redis.hdel("jobs:active", job_id)

    def rest(self, seconds: float) -> None:
        """With `busy-drops` it goes on polling meanwhile, and forgets what it gets."""
        until = time.monotonic() + seconds
        while "busy-drops" in FAULTS and until - time.monotonic() > 1.0:
            self.claim(0.5)
        time.sleep(max(0.0, until - time.monotonic()))

    def fail(self, job_id: str, job: dict[str, str], error: str) -> None:
        retries = int(job["retries"]) + 1
        last = retries > MOST_RETRIES
        self.redis.hset(f"job:{job_id}", mapping={"retries": retries, "status": "failed" if last else "pending"})
        self.tell(job_id, status="failed" if last else "retrying", error=error)
        if not last:
            self.redis.zadd(f"jobs:pending:{job['service_required']}", {job_id: time.time()})

    def work(self) -> None:
        threading.Thread(target=self.live, daemon=True).start()
        sys.stdout.write("waits for work\n")
        sys.stdout.flush()
        while True:
            job_id = self.claim(1.0)
            if job_id is not None:
                self.run(job_id)


if __name__ == "__main__":
    Worker(os.environ["QUEUE"], os.environ["WORKER"], os.environ["SERVES"].split(",")).work()
