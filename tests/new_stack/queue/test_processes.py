"""Real processes on one queue, killed at any moment: every job ends once, and is never held by two."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from new_stack.queue import Event, EventKind, NewJob, Queue
from new_stack.queue.events import ENDINGS

PROGRAM = Path(__file__).with_name("restless_worker.py")
JOBS = 300
KILLS = 8

GIVEN_UP = {EventKind.ATTEMPT_FAILED, EventKind.RELEASED, EventKind.LEASE_EXPIRED, *ENDINGS}


def problems(events: list[Event]) -> list[str]:
    """What is wrong with one job's life, read from its events alone."""
    found = []
    holder: tuple[str | None, int] | None = None
    for event in events:
        who = (event.worker_id, event.attempt)
        if event.kind is EventKind.CLAIMED:
            found += [f"claimed by {who} while {holder} holds it"] if holder else []
            holder = who
        elif event.kind is not EventKind.SUBMITTED:
            found += [f"{event.kind} by {who} while {holder} holds it"] if who != holder else []
            holder = None if event.kind in GIVEN_UP else holder
    ends = [event.kind for event in events if event.kind in ENDINGS]
    return found + ([] if len(ends) == 1 and events[-1].kind in ENDINGS else [f"ends: {ends}"])


async def test_jobs_outlive_the_processes_that_run_them(queue: Queue) -> None:
    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(PROGRAM), queue.settings.redis_url, queue.settings.prefix])

    chance = random.Random(7)
    processes = [start() for _ in range(3)]
    try:
        await queue.submit_many([NewJob(id=f"j{index}") for index in range(JOBS)])
        async with asyncio.timeout(60):
            for _ in range(KILLS):
                already = (await queue.counts()).completed
                while (await queue.counts()).completed < min(already + 20, JOBS - 40):
                    await asyncio.sleep(0.01)
                victim = processes.pop(chance.randrange(len(processes)))
                victim.kill()
                victim.wait()
                processes.append(start())
            while (counts := await queue.counts()).pending + counts.claimed:
                await asyncio.sleep(0.02)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    wrong = {f"j{index}": problems(await queue.history(f"j{index}")) for index in range(JOBS)}
    assert {job_id: what for job_id, what in wrong.items() if what} == {}
    expired = [
        event for event in (await queue.events("0", block_ms=1, count=20_000))[0] if event.kind == "lease_expired"
    ]
    assert expired, "no kill hit a worker that held something: the test has shown nothing"


def test_a_wrong_life_would_be_seen() -> None:
    def event(kind: EventKind, worker_id: str | None = None, attempt: int = 0) -> Event:
        return Event(
            id="0", kind=kind, job_id="a", at=0, service_required="s", priority=0, worker_id=worker_id, attempt=attempt
        )

    submitted, one, two = (
        event(EventKind.SUBMITTED),
        event(EventKind.CLAIMED, "w1", 1),
        event(EventKind.CLAIMED, "w2", 2),
    )
    done, late = event(EventKind.COMPLETED, "w2", 2), event(EventKind.COMPLETED, "w1", 1)
    expired = event(EventKind.LEASE_EXPIRED, "w1", 1)
    assert problems([submitted, one, expired, two, done]) == []
    assert problems([submitted, one, two, done])
    assert problems([submitted, one, expired, two, late])
    assert problems([submitted, one, late, late])
    assert problems([submitted, one, expired, two])
