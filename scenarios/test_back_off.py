"""A failed job runs again when its policy says, to the millisecond, and after no other errors than it names."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final

import pytest

from harness.clients import ModernClient, StreamEvent
from harness.testing import fresh, until
from scenarios.received_facts import kinds
from scenarios.stacks import BACKOFF_MS, OwnStack, fail, script

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast]

MINUTE_MS: Final = 60_000
PAUSES: Final[list[tuple[dict[str, Any], int, int]]] = [
    ({"backoff_base_ms": MINUTE_MS}, 1, MINUTE_MS),
    ({"backoff_base_ms": 1, "backoff_factor": 100}, 3, 10_000),
    ({"backoff_base_ms": 1, "backoff_factor": 100, "backoff_cap_ms": 5_000}, 3, 5_000),
    ({"backoff_base_ms": 5 * MINUTE_MS, "backoff_cap_ms": 2 * MINUTE_MS}, 1, 2 * MINUTE_MS),
    ({"backoff_base_ms": MINUTE_MS, "backoff_jitter": 0.5}, 1, MINUTE_MS),
]
"""A policy, after which failure, and the pause."""
PATTERNS: Final[list[tuple[list[str], str, bool]]] = [
    (["ValueError"], "ValueError: no such size", True),
    (["ValueError"], "ValueErrors: many", False),
    (["KeyError", "ValueError"], "ValueError: no such size", True),
    (["*time*"], "out of time today", True),
    (["*time*"], "no memory", False),
    (["time*"], "time out", True),
    (["time*"], "a time out", False),
    (["*out"], "time out, outside of it: out", True),
    (["*out"], "outside", False),
    (["a*c*e"], "abcde", True),
    (["a*c*e"], "abced", False),
    (["a*a"], "a", False),
    (["exact"], "exact", True),
    (["exact"], "exactly", False),
    (["*JobFailed"], "anything", False),
    (["new_stack.failure.JobFailed"], "anything", True),
]
"""What a policy runs again after, an error, and whether it does."""


def jittered(job_id: str, failures: int, pause_ms: int, share: float) -> int:
    """The pause with the chance that a job's id and the number of its failure draw."""
    drawn = int(hashlib.sha1(f"{job_id} {failures}".encode(), usedforsecurity=False).hexdigest()[:8], 16) / 2**32
    return int(pause_ms * (1 + share * (2 * drawn - 1)))


async def events_to(client: ModernClient, job_id: str, failures: int) -> list[StreamEvent]:
    """The job's events up to so many failures."""
    heard: list[StreamEvent] = []
    async with asyncio.timeout(15):
        async for event in client.follow(job_id):
            heard.append(event)
            if kinds(heard).count("attempt_failed") == failures:
                break
    return heard


@pytest.mark.parametrize(("policy", "failures", "pause_ms"), PAUSES)
async def test_the_pause_is_the_one_that_the_policy_says(
    isolated_stack: OwnStack, policy: dict[str, Any], failures: int, pause_ms: int
) -> None:
    await isolated_stack.worker()
    async with isolated_stack.modern() as client, isolated_stack.http() as http:
        job = {"id": fresh("job"), "service_required": "simulation", "payload": script(fail("not yet"))}
        answer = await http.post("/api/jobs", json=job | {"retry_policy": {"attempts": 9} | policy})
        assert answer.status_code == 201, answer.text
        heard = await events_to(client, str(job["id"]), failures)
        explained = (await http.get(f"/api/jobs/{job['id']}/explain")).json()
        wanted_ms = jittered(str(job["id"]), failures, pause_ms, policy.get("backoff_jitter", 0))
        assert explained["due_at"] - heard[-1].data["at"] == wanted_ms
        assert (await client.job(str(job["id"])))["failures"] == failures


async def test_without_a_policy_the_pause_doubles(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.modern() as client:
        job_id = await client.submit(script(fail("not yet")), max_retries=3)
        events = await client.follow_to_end(job_id)
    assert kinds(events) == ["submitted", *["claimed", "attempt_failed"] * 3, "claimed", "failed"]
    failed = [event.data["at"] for event in events if event.kind == "attempt_failed"]
    claimed = [event.data["at"] for event in events if event.kind == "claimed"][1:]
    pauses = [after - before for before, after in zip(failed, claimed, strict=True)]
    assert all(pause >= BACKOFF_MS * 2**number for number, pause in enumerate(pauses)), pauses


async def test_it_runs_again_after_the_errors_that_its_policy_names_and_no_others(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker(concurrency=4)
    async with isolated_stack.http() as http:
        jobs = [
            {
                "id": f"pattern-{number}",
                "service_required": "simulation",
                "payload": script(fail(error)),
                "retry_policy": {"attempts": 2, "backoff_base_ms": 0, "retry_on": patterns},
            }
            for number, (patterns, error, _) in enumerate(PATTERNS)
        ]
        await http.post("/api/jobs", json=jobs)

        async def all_failed() -> bool:
            return bool((await http.get("/api/stats")).json()["queue"]["failed"] == len(jobs))

        await until(all_failed, 15, "the failure of all jobs")
        for number, (patterns, error, again) in enumerate(PATTERNS):
            attempts = (await http.get(f"/api/jobs/pattern-{number}")).json()["attempt"]
            assert attempts == 1 + again, f"{error!r} with {patterns}: {attempts} attempts"


async def test_the_stream_of_all_events_is_resumed_with_no_gap_and_no_double(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.modern() as client:
        job_ids = [await client.submit(script(20, 40, result="done")) for _ in range(2)]
        for job_id in job_ids:
            await client.follow_to_end(job_id)
        whole = await all_events(client, "0-0", 10)
        assert [event.data["job_id"] for event in whole if event.kind == "completed"] == job_ids
        for place, last in enumerate(whole[:-1]):
            rest = await all_events(client, last.id, len(whole) - place - 1)
            assert [event.id for event in rest] == [event.id for event in whole[place + 1 :]], f"after {last.kind}"


async def all_events(client: ModernClient, after: str, count: int) -> list[StreamEvent]:
    """So many events of all jobs from the one behind that id."""
    heard: list[StreamEvent] = []
    async with asyncio.timeout(15):
        async for event in client.events("/api/events", last_event_id=after):
            heard.append(event)
            if len(heard) == count:
                break
    return heard
