"""Phase 2A, 4: over forty worker processes share one queue; each job is taken once, at once and in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from harness.clients import ModernClient
from harness.clients.recorders import RedisRecorder, recorded, survey
from harness.history import History, HistoryEvent, HistoryWriter, Limits, Source, check_all
from harness.protocols import EventKind
from harness.testing import fresh
from scenarios.stacks import LEASE_MS, OwnStack, Payload, fail, script, wait

pytestmark = pytest.mark.criterion("mixed-clients")

NAME: Final = "the-one-client"
WORKERS: Final = 40
JOBS: Final = 160
CANCELLED_EVERY: Final = 20
PLAN_MS: Final = 1_000
"""The plan's own limit from submission to claim, while there is a worker free."""
LIMITS: Final = Limits(lease_ms=LEASE_MS)


@pytest.fixture
def writer(hubgate_run_folder: Path) -> Iterator[HistoryWriter]:
    """The history of what everybody sees, kept in the run's folder."""
    with HistoryWriter(hubgate_run_folder / "many-workers.history.jsonl", about="many workers") as opened:
        yield opened


def payload_of(number: int) -> Payload:
    """Most succeed; some fail once, some hang until they are cancelled."""
    if number % CANCELLED_EVERY == 0:
        return script(10, {"hang": True})
    if number % 7 == 0:
        return script(50, fail("a passing weakness", attempts=1), 100)
    return script(25, wait(20), 75)


@pytest.mark.timeout(90)
async def test_forty_workers_take_every_job_once_at_once_and_in_its_turn(
    isolated_stack: OwnStack, writer: HistoryWriter
) -> None:
    ready = await isolated_stack.workers(WORKERS)
    jobs = [fresh("job") for _ in range(JOBS)]
    async with (
        RedisRecorder(isolated_stack.namespace.url, writer, prefix=isolated_stack.namespace.prefix),
        ModernClient(isolated_stack.http_url, NAME, patience_s=60, **recorded(writer, NAME)) as client,
    ):
        streams = [await started(client, job_id, number) for number, job_id in enumerate(jobs)]
        for job_id in jobs[::CANCELLED_EVERY]:
            await claimed(writer, job_id)
            await client.cancel(job_id)
        async with asyncio.timeout(30):
            await asyncio.gather(*streams)
        await survey(isolated_stack.http_url, jobs, writer)
    writer.note(EventKind.SETTLED)
    history = History(writer.events)
    found = {result.name: result for result in check_all(history, LIMITS)}
    assert {name: result.forms for name, result in found.items() if not result.clean} == {}
    for name in ("lost", "ended_twice", "double_claim", "out_of_order", "steps", "not_delivered", "retries"):
        assert found[name].examined > 0, f"the checker {name} had nothing to look at"
    assert len(taken_by(history)) >= len(ready) / 2, "the jobs were spread over the workers"
    waits = sorted(waits_ms(history))
    assert len(waits) == JOBS
    assert waits[-1] < PLAN_MS


async def started(client: ModernClient, job_id: str, number: int) -> asyncio.Task[None]:
    """Submit a job, follow it."""
    await client.submit(payload_of(number), priority=number % 3, job_id=job_id)
    return client.follow_in_background(job_id)


async def claimed(writer: HistoryWriter, job_id: str) -> None:
    """Wait until the queue's own log says that a worker has it."""
    seen = asyncio.Event()

    def listener(event: HistoryEvent) -> None:
        if event.job_id == job_id and event.kind is EventKind.CLAIMED:
            seen.set()

    forget = writer.listen(listener)
    for event in writer.events:
        listener(event)
    async with asyncio.timeout(10):
        await seen.wait()
    forget()


def taken_by(history: History) -> set[str]:
    """The workers that got a job."""
    return {event.worker_id for event in history.log if event.kind is EventKind.CLAIMED and event.worker_id}


def waits_ms(history: History) -> list[float]:
    """From each job's submission to its first claim, by the queue's own clock."""
    submitted = {event.job_id: event.at_ms for event in history.log if event.kind is EventKind.SUBMITTED}
    firsts: dict[str | None, float] = {}
    for event in history.log:
        if event.kind is EventKind.CLAIMED and event.source is Source.REDIS:
            firsts.setdefault(event.job_id, event.at_ms)
    return [firsts[job_id] - at_ms for job_id, at_ms in submitted.items() if job_id in firsts]
