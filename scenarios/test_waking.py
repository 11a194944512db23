"""Idle workers are woken by what gives them work, and do not begin it only when they look by themselves."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final

import httpx
import msgspec
import pytest

from harness.processes import Process
from harness.testing import TooLate, fresh, until
from scenarios.stacks import OwnStack, fail, ours, script, wait

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast, pytest.mark.timeout(60)]

WITHIN_S: Final = 12
"""Far less than the minute after which somebody reaps, and far more than a busy machine takes."""
SOON_MS: Final = 3_000
"""A worker that nobody wakes looks by itself after 5 s, the longest that a wait for work may block."""
TRIES: Final = 2
ENDED: Final = ("completed", "failed")
Give = Callable[[], Awaitable[tuple[str, int]]]
"""Gives a worker something to do; the job's id, and the ms when it was given."""


def of(request: pytest.FixtureRequest, name: str, reap_ms: int) -> Iterator[OwnStack]:
    settings = {"hubgate_reap_ms": reap_ms}
    with ours(request, "workers that it can set up").stack(name, settings=settings) as own:
        own.deployment.setup = msgspec.structs.replace(own.deployment.setup, poll_ms=60_000)
        yield own


@pytest.fixture
def patient(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """A stack in which nobody looks at what the clock brings about, and workers wait until they are woken."""
    yield from of(request, "patient", 60_000)


@pytest.fixture
def reaping(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """One in which the API does look, and workers wait until they are woken."""
    yield from of(request, "reaping", 300)


async def submit(http: httpx.AsyncClient, **fields: Any) -> str:
    """Submit a job of the service `draw`; its id."""
    job = {"id": fresh("job"), "service_required": "draw", "payload": script(50, result="done")} | fields
    answer = await http.post("/api/jobs", json=job)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return str(job["id"])


async def ends(http: httpx.AsyncClient, job_id: str, status: str = "completed") -> dict[str, Any]:
    """Wait for a job's end."""
    found: dict[str, Any] = {}

    async def ended() -> bool:
        found.update((await http.get(f"/api/jobs/{job_id}")).json())
        return bool(found["status"] == status)

    await until(ended, WITHIN_S, f"{job_id} as {status}")
    return found


async def begins_at_once(http: httpx.AsyncClient, give: Give) -> None:
    """What `give` gives to do is begun long before a worker looks by itself. A busy machine has two tries.

    Each try comes right after the worker's last job, so that its own next look is far away.
    """
    waited: list[int] = []
    while not waited or waited[-1] > SOON_MS:
        if len(waited) >= TRIES:
            raise TooLate(f"it was begun only after {waited} ms")
        job_id, given_at_ms = await give()
        found: dict[str, Any] = {}

        async def has_begun(
            job_id: str = job_id, given_at_ms: int = given_at_ms, found: dict[str, Any] = found
        ) -> bool:
            found.update((await http.get(f"/api/jobs/{job_id}")).json())
            return bool((found.get("claimed_at_ms") or 0) >= given_at_ms and found["status"] in ENDED)

        await until(has_begun, WITHIN_S, f"{job_id} begun and ended")
        waited.append(found["claimed_at_ms"] - given_at_ms)


async def test_what_gives_work_wakes_who_can_do_it(patient: OwnStack) -> None:
    worker = await patient.worker("draws", connector="simulation:services=draw")
    await patient.worker("cuts", connector="simulation:services=cut")
    async with patient.http() as http:

        async def asked(path: str) -> None:
            assert (await http.post(path)).status_code == httpx.codes.OK

        async def submitted() -> tuple[str, int]:
            now_ms = int(time.time() * 1000)
            return await submit(http), now_ms

        async def held_back(stop: str, resume: str) -> tuple[str, int]:
            await asked(stop)
            job_id, _ = await submitted()
            now_ms = int(time.time() * 1000)
            await asked(resume)
            return job_id, now_ms

        async def tried_again() -> tuple[str, int]:
            job_id = await submit(http, payload=script(fail("no ink")), max_retries=0)
            await ends(http, job_id, "failed")
            now_ms = int(time.time() * 1000)
            await asked(f"/api/jobs/{job_id}/retry")
            return job_id, now_ms

        others: list[Process] = []

        async def beside_a_drained_one() -> tuple[str, int]:
            for other in others:
                other.stop()
            await asked(f"/api/workers/{worker.name}/resume")  # it waits again, and longer than the next one
            others.append(await patient.worker("draws-too", connector="simulation:services=draw"))
            await asked(f"/api/workers/{worker.name}/drain")
            return await submitted()

        of_service = partial(held_back, "/api/services/draw/pause", "/api/services/draw/resume")
        of_worker = partial(held_back, f"/api/workers/{worker.name}/drain", f"/api/workers/{worker.name}/resume")
        for give in (submitted, of_service, of_worker, tried_again, beside_a_drained_one):
            await begins_at_once(http, give)


async def test_what_has_to_wait_is_begun_when_its_moment_has_come(patient: OwnStack) -> None:
    await patient.worker("draws", connector="simulation:services=draw")
    async with patient.http() as http:
        again = await submit(http, payload=script(fail("no ink", attempts=1)), retry_policy={"backoff_base_ms": 300})
        assert (await ends(http, again))["attempt"] == 2
        later = await submit(http, not_before=(await ends(http, again))["ended_at_ms"] + 1_500)
        found = await ends(http, later)
        assert found["claimed_at_ms"] >= found["not_before_ms"]


async def test_who_is_free_again_takes_the_next_and_who_has_places_fills_them(patient: OwnStack) -> None:
    async with patient.http() as http:
        jobs = [await submit(http, payload=script(wait(200), result="done")) for _ in range(5)]
        await patient.worker("draws", connector="simulation:services=draw", concurrency=2)
        found = [await ends(http, job_id) for job_id in jobs]
        spans = sorted((job["claimed_at_ms"], job["ended_at_ms"]) for job in found)
        at_once = [sum(begun <= at < ended for begun, ended in spans) for at, _ in spans]
        assert max(at_once) == 2, f"a worker with two places ran {at_once} at once"


async def test_a_job_that_is_not_done_by_its_deadline_fails(reaping: OwnStack) -> None:
    async with reaping.http() as http:
        waiting = await submit(http, retry_policy={"deadline_ms": 400})
        later = await submit(http, retry_policy={"deadline_ms": 60_000})
        assert "deadline" in str((await ends(http, waiting, "failed"))["error"])
        assert (await http.get(f"/api/jobs/{later}")).json()["status"] == "pending"


async def test_a_killed_workers_job_is_given_to_one_that_waits(reaping: OwnStack) -> None:
    killed = await reaping.worker("killed", connector="simulation:services=draw")
    async with reaping.http() as http:
        job_id = await submit(http, payload=script(wait(60_000)), max_retries=0)
        await ends(http, job_id, "claimed")
        other = await reaping.worker("other", connector="simulation:services=draw")
        killed.kill()

        async def has_it() -> bool:
            return bool((await http.get(f"/api/jobs/{job_id}")).json()["worker_id"] == other.name)

        await until(has_it, WITHIN_S, "the job at the other worker")
        await http.post(f"/api/jobs/{job_id}/cancel")
