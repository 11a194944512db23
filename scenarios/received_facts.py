"""What a client was told of a job, as facts that belong to no protocol: both kinds can be held against each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing

from harness.clients import ModernClient, Received, StreamEvent
from harness.parity.facts import Fact, fact_of_event, fact_of_message
from harness.testing import until

ANSWERS = frozenset({"accepted", "status"})
"""What a client is told because it asked."""


def facts_by_websocket(heard: Iterable[Received], job_id: str) -> list[Fact]:
    """What an old client was told of a job unasked. Who cancels its own job hears of it twice; that is one fact."""
    found: list[Fact] = []
    for entry in heard:
        fact = fact_of_message(entry.message)
        if fact is None or fact["job_id"] != job_id or fact["type"] in ANSWERS:
            continue
        if fact["type"] != "cancelled" or fact not in found:
            found.append(fact)
    return found


def facts_by_events(events: Iterable[StreamEvent]) -> list[Fact]:
    """What server-sent events told."""
    return [fact for told in events if (fact := fact_of_event(told.data)) is not None]


def progress_of(facts: Iterable[Fact]) -> list[float]:
    """How far the work had come, each time that was told."""
    return [fact["progress"] for fact in facts if fact["type"] == "progress"]


def kinds(events: Iterable[StreamEvent]) -> list[str]:
    """The events' kinds, in order."""
    return [told.kind for told in events]


def story(events: Iterable[StreamEvent]) -> str:
    """The same as a line to compare with."""
    return " ".join(kinds(events))


async def reached(client: ModernClient, job_id: str, kind: str = "progress") -> StreamEvent:
    """The first event of that kind that a job's stream has, waited for."""
    async with asyncio.timeout(10), aclosing(client.follow(job_id)) as stream:
        async for event in stream:
            if event.kind == kind:
                return event
    raise AssertionError(f"{job_id} ended without {kind}")


async def until_claimed_by(client: ModernClient, job_id: str, worker_id: str) -> None:
    """Wait until that worker holds the job."""

    async def holds_it() -> bool:
        return bool((await client.job(job_id))["worker_id"] == worker_id)

    await until(holds_it, within=15)


def claimed_by(events: Iterable[StreamEvent]) -> list[str]:
    """Which workers held the job, one after the other."""
    return [told.data["worker_id"] for told in events if told.kind == "claimed"]
