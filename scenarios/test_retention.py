"""What has ended is kept by age and by number, its events for a shorter time; then nothing of it is left in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
import redis

from harness.testing import fresh, until
from scenarios.received_facts import kinds
from scenarios.stacks import OwnStack, ours, script, wait

pytestmark = pytest.mark.criterion("retention")

FEW: Final = 5
SOON_MS: Final = 1_500
SETTINGS: Final = {"hubgate_reap_ms": 200}


def stack(request: pytest.FixtureRequest, name: str, **settings: int) -> Iterator[OwnStack]:
    with ours(request, "a stack whose terms it can set").stack(name, settings={**SETTINGS, **settings}) as own:
        yield own


@pytest.fixture
def by_number(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """A stack that keeps a few ended jobs."""
    yield from stack(request, "keeps-few", hubgate_finished_limit=FEW)


@pytest.fixture
def by_age(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """A stack that keeps ended jobs for a short time, and their events for a shorter one."""
    yield from stack(request, "keeps-briefly", hubgate_finished_ttl_ms=3 * SOON_MS, hubgate_events_ttl_ms=SOON_MS)


def keys_of(stack: OwnStack, job_id: str) -> list[str]:
    """The keys of Redis that are one job's own."""
    with redis.Redis.from_url(stack.namespace.url, decode_responses=True) as connection:
        names: list[Any] = list(connection.scan_iter(f"{stack.namespace.prefix}*:{job_id}", count=1_000))
    return sorted(name.removeprefix(stack.namespace.prefix).partition(":")[0] for name in names)


async def gone(stack: OwnStack, job_ids: list[str]) -> None:
    """Wait until the API knows none of these jobs any more."""
    async with stack.http() as http:
        for job_id in job_ids:

            async def is_unknown(job_id: str = job_id) -> bool:
                return (await http.get(f"/api/jobs/{job_id}")).status_code == 404

            await until(is_unknown)


async def test_the_newest_are_kept_and_the_others_leave_nothing(by_number: OwnStack) -> None:
    await by_number.worker()
    job_ids = [fresh("job") for _ in range(3 * FEW)]
    async with by_number.modern() as client:
        waiting = await client.submit({}, service="nobody-serves-it", job_id=fresh("waiting"))
        for number, job_id in enumerate(job_ids):
            payload = (
                script(50, {"fail": "it is meant to fail"}) if number % 3 == 0 else script(50, result="x" * 20_000)
            )
            await client.submit(payload, job_id=job_id, max_retries=0)
            await client.follow_to_end(job_id)
        await gone(by_number, job_ids[:-FEW])
        assert [keys_of(by_number, job_id) for job_id in job_ids[:-FEW]] == [[]] * (2 * FEW)
        for job_id in job_ids[-FEW:]:
            assert (await client.job(job_id))["status"] in {"completed", "failed"}
            assert "record" in keys_of(by_number, job_id)
        assert (await client.job(waiting))["status"] == "pending"
    async with by_number.http() as http:
        listed = (await http.get("/api/jobs", params={"limit": 100})).json()["jobs"]
    assert {job["job_id"] for job in listed} == {waiting, *job_ids[-FEW:]}


@pytest.mark.fast
async def test_events_go_first_then_the_job_and_what_has_not_ended_stays(by_age: OwnStack) -> None:
    await by_age.worker()
    async with by_age.modern() as client:
        waiting = await client.submit({}, service="nobody-serves-it", job_id=fresh("waiting"))
        running = await client.submit(script(10, wait(60_000)), job_id=fresh("running"))
        await by_age.worker()
        ended = await client.submit(script(50, result="kept for a while"), job_id=fresh("ended"))
        assert kinds(await client.follow_to_end(ended))[-1] == "completed"
        assert "events" in keys_of(by_age, ended)

        async def events_are_gone() -> bool:
            return "events" not in keys_of(by_age, ended)

        await until(events_are_gone)
        assert (await client.job(ended))["result"] == "kept for a while"
        assert kinds(await client.follow_to_end(ended))[-1] == "completed", "who comes late is told how it ended"
        await gone(by_age, [ended])
        assert keys_of(by_age, ended) == []
        for job_id, status in ((waiting, "pending"), (running, "claimed")):
            assert (await client.job(job_id))["status"] == status
        assert keys_of(by_age, running) == ["events", "record"]
        await client.cancel(running)
