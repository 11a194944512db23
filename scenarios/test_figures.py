"""The figures over time say what the jobs themselves say: how many, for whom, how long they waited and ran."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx
import pytest
import redis.asyncio

from harness.testing import until
from scenarios.received_facts import reached
from scenarios.stacks import OwnStack, Payload, fail, ours, script, wait

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast]

SERVICES: Final = ("draw", "cut")
RUNS_MS: Final = (0, 5, 20, 45, 90, 160, 240, 330)
"""How long the jobs of each service run, the last ones without a result."""
LONG_MS: Final = 60_000
SOON_MS: Final = 8_000
CLOCK_MS: Final = 400
"""How far the clock of an answer may be from this machine's, which is Redis's, too."""
NEAR: Final = 0.05
"""How far a sketch's quantile may be from the true one: half a bucket of an eighth of an octave."""


def payload(run_ms: int) -> Payload:
    return script(wait(run_ms), fail("too long")) if run_ms > 200 else script(wait(run_ms), result="done")


async def all_ended(http: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    """The jobs, once they have ended."""
    found: list[dict[str, Any]] = []

    async def ended() -> bool:
        jobs = (await http.get("/api/jobs", params={"limit": 100})).json()["jobs"]
        found[:] = [job for job in jobs if job["ended_at_ms"] is not None]
        return len(found) == count

    await until(ended, 20, "the end of all jobs")
    return found


def assert_near(told: dict[str, Any], true_ms: Sequence[int], what: str) -> None:
    """Quantiles by rank, each within a bucket of the true one."""
    ordered = sorted(true_ms)
    assert told["count"] == len(ordered), what
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        true = ordered[math.ceil(share * len(ordered)) - 1]
        assert abs(told[name] - true) <= NEAR * true + 1, f"{what}: {name} is {told[name]}, of {ordered}"


async def test_the_figures_over_time_say_what_the_jobs_say(isolated_stack: OwnStack) -> None:
    async with isolated_stack.http() as http:
        jobs = [
            {"service_required": service, "payload": payload(run_ms), "max_retries": 0, "id": f"{service}-{run_ms}"}
            for service in SERVICES
            for run_ms in RUNS_MS
        ]
        await http.post("/api/jobs", json=[*jobs, {"service_required": "draw", "not_before": 2**41, "id": "late"}])
        await http.post("/api/jobs/late/cancel")
        await isolated_stack.worker("draws", connector="simulation:services=draw")
        await isolated_stack.worker("cuts", connector="simulation:services=cut", concurrency=3)
        ended = await all_ended(http, len(jobs) + 1)
        for asked in ("range=1h&by=service", "range=24h&by=service", "range=7d&by=service", "range=90d&by=service"):
            found = (await http.get(f"/api/history?{asked}")).json()
            totals = {one["service"]: one["total"] for one in found["series"]}
            assert sorted(totals) == sorted(SERVICES)
            for service, told in totals.items():
                assert_told(told, [job for job in ended if job["service_required"] == service], f"{service}, {asked}")
            for one in found["series"]:
                for name in ("submitted", "completed", "failed", "cancelled"):
                    assert sum(point[name] for point in one["points"]) == one["total"][name], f"{name} of the slots"
                slots = [point["at"] for point in one["points"]]
                assert slots == sorted(slots)
                assert all(at % found["step_ms"] == 0 and found["from"] <= at < found["until"] for at in slots)
        [everything] = (await http.get("/api/history")).json()["series"]
        assert_told(everything["total"], ended, "all services")
        [cut] = (await http.get("/api/history?service=cut")).json()["series"]
        assert_told(cut["total"], [job for job in ended if job["service_required"] == "cut"], "the service cut")


def assert_told(told: dict[str, Any], jobs: Sequence[dict[str, Any]], what: str) -> None:
    """What was counted of these jobs, and how long they took."""
    states = [job["status"] for job in jobs]
    counted = {name: told[name] for name in ("submitted", "completed", "failed", "cancelled")}
    assert counted == {"submitted": len(jobs)} | {
        state: states.count(state) for state in ("completed", "failed", "cancelled")
    }, what
    ran = [job for job in jobs if job["claimed_at_ms"] is not None]
    assert_near(told["run_ms"], [job["ended_at_ms"] - job["claimed_at_ms"] for job in ran], f"run of {what}")
    assert_near(told["wait_ms"], [job["claimed_at_ms"] - job["created_at_ms"] for job in ran], f"wait of {what}")


@pytest.mark.timeout(60)
async def test_a_lease_that_is_about_to_run_out_is_told_with_its_job_and_its_worker(
    request: pytest.FixtureRequest,
) -> None:
    settings = {
        "hubgate_lease_ms": LONG_MS,
        "hubgate_heartbeat_ttl_ms": LONG_MS,
        "worker_heartbeat_interval_ms": 25_000,
    }
    with ours(request, "a lease that it can shorten").stack("attention", settings=settings) as stack:
        worker = await stack.worker("silent")
        async with stack.http() as http, stack.modern() as client:
            job_id = await client.submit(script(10, wait(LONG_MS)))
            await reached(client, job_id)

            async def told() -> list[dict[str, Any]]:
                attention = (await http.get("/api/overview")).json()["attention"]
                return [one for one in attention if one["kind"] == "lease"]

            assert await told() == []
            async with redis.asyncio.Redis.from_url(stack.namespace.url) as server:
                soon_ms = int(time.time() * 1000) + SOON_MS
                await server.zadd(f"{stack.namespace.prefix}leases", {job_id: soon_ms})
            (lease, *_) = await told() or [{"subject": "none is told"}]
            assert lease["subject"] == job_id
            text = f"The lease of job {job_id} is about to run out: its worker {worker.name} is silent"
            assert lease["text"] == text
            held = (await http.get("/api/overview")).json()["leases"]["about_to_expire"]
            assert [(one["job_id"], one["worker_id"], one["expires_at"]) for one in held] == [
                (job_id, worker.name, soon_ms)
            ]


async def test_the_metrics_say_what_the_workers_do(isolated_stack: OwnStack) -> None:
    async with isolated_stack.http() as http:
        for name in ("first", "second", "third"):
            await isolated_stack.worker(name, connector="simulation:services=draw")
        await http.post("/api/jobs", json=[{"service_required": "draw", "payload": script(wait(60_000))}] * 2)

        async def told() -> bool:
            lines = (await http.get("/metrics")).text.splitlines()
            return {'hubgate_workers{state="busy"} 2.0', 'hubgate_workers{state="idle"} 1.0'} <= set(lines)

        await until(told, 20, "two busy workers and an idle one in the metrics")


async def test_readiness_says_how_many_ms_redis_takes(isolated_stack: OwnStack) -> None:
    async with isolated_stack.http() as http, redis.asyncio.Redis.from_url(isolated_stack.namespace.url) as server:
        began = time.perf_counter()
        await server.client_pause(300)
        told = (await http.get("/health/ready")).json()
        took_ms = (time.perf_counter() - began) * 1000
    assert 200 < told["redis_ms"] < took_ms, f"{told} after {took_ms:.0f} ms, 300 of which Redis stood still"


@pytest.mark.timeout(40)
async def test_the_clock_of_each_answer_is_the_one_of_redis(isolated_stack: OwnStack) -> None:
    """Ten times in a row, over several of the moments at which the server compares its own."""
    async with isolated_stack.http() as http:
        right = 0

        async def right_in_a_row() -> bool:
            nonlocal right
            before_ms = time.time() * 1000
            told_ms = int((await http.get("/health/live")).headers["Hubgate-Time"])
            right = right + 1 if before_ms - CLOCK_MS <= told_ms <= time.time() * 1000 + CLOCK_MS else 0
            await asyncio.sleep(0.6)
            return right == 10

        await until(right_in_a_row, 15, "ten answers in a row that tell the time")
