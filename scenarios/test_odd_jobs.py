"""What a connector returns, raises and reports, of whatever kind, is a job's end, its events and what monitors see."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httpx
import pytest

from harness.testing import fresh, until
from scenarios.received_facts import kinds, reached
from scenarios.stacks import OwnStack, script, wait

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast, pytest.mark.timeout(60)]

ODD: Final = "harness.workers.odd_connector:OddConnector"
HERE: Final = "harness.workers.odd_connector"
RESULTS: Final[dict[str, Any]] = {
    "nothing": None,
    "a moment": {"value": "2001-02-03T04:05:06Z", "text": "ä"},
    "a sheet": {"printed": {"2001-02-03": "ä"}},
    "another status": {"status": "drying"},
    "a number for a status": {"status": 5, "error": "none"},
    "no word of success": {"success": None, "error": "none"},
    "a text": "failed",
}
"""What comes of what is returned."""
NOT_JSON: Final = {
    "not a number": "JSON",
    "bytes": "bytes is not text",
    "a bytearray": "bytearray is not text",
    "a memoryview": "memoryview is not text",
    "bytes in a set": "bytes is not text",
    "an object": "object",
    "a surrogate": "surrogates not allowed",
    "itself": "Circular reference",
    "nested": "recursion",
}
"""What cannot be said in JSON, with what is said of it: it fails for good."""
FAILURES: Final = {
    "a failure": "no ink",
    "a failed status": "late",
    "an error status": "the connector reported a failure without an error",
    "a failure in parts": '{"code":5,"at":"2001-02-03"}',
}
"""Results that say that the job failed, with the error that comes of them: it is tried again."""
ERRORS: Final = {
    "builtin": ("ValueError: no paper", "ValueError", 2),
    "silent": ("Elsewhere", f"{HERE}.Elsewhere", 2),
    "caused": ("the printer failed", f"{HERE}.Elsewhere", 2),
    "for good": ("never again", "new_stack.failure.JobFailed", 1),
    "called off": ("the connector gave up without saying why", None, 2),
    "exit": ("SystemExit: 3", "SystemExit", 2),
    "long": (f"ValueError: {'x' * 8_000}"[:8_000], "ValueError", 2),
    "deep": ("ValueError: deep", "ValueError", 2),
}
"""What a connector raises, with the error, its kind and the number of attempts that come of it."""


async def odd(stack: OwnStack, **settings: Any) -> None:
    """A worker that runs odd jobs."""
    await stack.worker("odd", connector=f"{ODD}:services=odd", **settings)


async def ended(stack: OwnStack, payloads: dict[str, dict[str, Any]], **fields: Any) -> dict[str, dict[str, Any]]:
    """Submit jobs, and wait for the end of all; each job, by the name of its payload."""
    prefix = fresh("job")
    jobs = [
        {"id": f"{prefix}-{number}", "service_required": "odd", "payload": payload, "max_retries": 1} | fields
        for number, payload in enumerate(payloads.values())
    ]
    found: dict[str, dict[str, Any]] = {}
    async with stack.http() as http:
        assert (await http.post("/api/jobs", json=jobs)).status_code == httpx.codes.OK

        async def have() -> bool:
            for name, job in zip(payloads, jobs, strict=True):
                if found.get(name, {}).get("status") not in {"completed", "failed"}:
                    found[name] = (await http.get(f"/api/jobs/{job['id']}")).json()
                    return False
            return True

        await until(have, 30, f"the end of {', '.join(payloads)}")
    return found


async def test_a_result_is_kept_as_json_or_the_job_fails_and_says_why(isolated_stack: OwnStack) -> None:
    await odd(isolated_stack, worker_max_concurrent_jobs=4)
    found = await ended(isolated_stack, {name: {"does": name} for name in (*RESULTS, *NOT_JSON, *FAILURES)})
    for name, result in RESULTS.items():
        assert (found[name]["status"], found[name]["result"]) == ("completed", result), name
    for name, why in NOT_JSON.items():
        job = found[name]
        assert (job["status"], job["attempt"]) == ("failed", 1), name
        assert job["error"].startswith("the connector's result is not JSON: "), name
        assert why in job["error"], name
    for name, error in FAILURES.items():
        job = found[name]
        assert (job["status"], job["error"], job["attempt"]) == ("failed", error, 2), name


async def test_an_error_ends_the_attempt_and_never_the_worker(isolated_stack: OwnStack) -> None:
    await odd(isolated_stack)
    found = await ended(isolated_stack, {kind: {"does": "raise", "kind": kind} for kind in ERRORS})
    for kind, (error, error_type, attempts) in ERRORS.items():
        job = found[kind]
        assert (job["status"], job["error"], job["error_type"], job["attempt"]) == (
            "failed",
            error,
            error_type,
            attempts,
        ), kind
    trace = found["deep"]["traceback"]
    assert "[Previous line repeated 16 more times]" in trace, "the innermost 20 calls are kept"
    assert "attempt.py" not in trace
    assert "attempt.py" in found["builtin"]["traceback"]


async def test_a_connector_is_told_of_its_job_and_may_report_progress_within_bounds(isolated_stack: OwnStack) -> None:
    await odd(isolated_stack)
    found = await ended(isolated_stack, {"tell": {"does": "tell"}, "bounds": {"does": "bounds"}}, colour="red")
    told = {
        "payload is read once": True,
        "service": "odd",
        "attempt": 1,
        "failures": 0,
        "extra": {"colour": "red"},
        "does": "tell",
    }
    assert found["tell"]["result"] == told
    assert found["bounds"]["result"] == [
        f"progress must be from -1 to 100, not {percent}" for percent in ("-1.5", "100.5")
    ]
    plain = await ended(isolated_stack, {"tell": {"does": "tell"}})
    assert plain["tell"]["result"] == told | {"extra": {}}


async def test_of_reports_in_a_row_the_newest_is_told_and_every_line_of_the_log(isolated_stack: OwnStack) -> None:
    await odd(isolated_stack)
    async with isolated_stack.modern() as client:
        job_id = await client.submit({"does": "report"}, service="odd")
        events = await client.follow_to_end(job_id)
    told = [
        {name: event.data.get(name) for name in ("progress", "message", "status", "details")}
        for event in events
        if event.kind in {"progress", "log"}
    ]
    shown = [tuple(value for value in one.values() if value is not None) for one in told]
    assert shown == [
        (30, "at 30", "processing"),
        ("first", "warning"),
        (50, "processing"),
        (60, "processing"),
        (70, "processing"),
        (90, "processing", {"layer": 2}),
    ]


async def test_monitors_are_shown_what_a_back_end_is_asked_without_what_is_secret(isolated_stack: OwnStack) -> None:
    await odd(isolated_stack)
    async with isolated_stack.monitor() as monitor:
        job_id = (await ended(isolated_stack, {"ask": {"does": "ask"}}))["ask"]["job_id"]

        def asked() -> list[dict[str, Any]]:
            frames = [received.message for received in monitor.received]
            return [one for one in frames if one["type"] == "service_request" and one["job_id"] == job_id]

        await until(lambda: len(asked()) == 3, 10, "three requests that a monitor is shown")
        first, whole, cut = asked()
    assert first["service"] == "odd"
    assert (first["request_type"], whole["request_type"]) == ("http", "websocket")
    assert first["content"] == {
        "endpoint": "/",
        "method": "GET",
        "url": "http://back.example:8188",
        "payload": None,
    }
    assert (whole["content"]["endpoint"], whole["content"]["url"]) == ("/prompt", "https://back.example/prompt")
    assert whole["content"]["payload"] == "x" * 2_046
    assert cut["content"]["payload"] == '"' + "x" * 2_047 + "… (2049 characters)"


async def test_a_cancelled_job_gives_its_place_back_though_its_connector_goes_on(isolated_stack: OwnStack) -> None:
    await odd(isolated_stack, worker_stop_grace_ms=300)
    async with isolated_stack.modern() as client:
        staying = await client.submit({"does": "stay", "s": 30}, service="odd")
        following = asyncio.create_task(client.follow_to_end(staying))
        await reached(client, staying)
        await client.cancel(staying)
        assert kinds(await following) == ["submitted", "claimed", "progress", "cancelled"]
        assert (await ended(isolated_stack, {"next": {"does": "tell"}}))["next"]["status"] == "completed"


async def test_the_shorter_of_two_timeouts_holds(isolated_stack: OwnStack) -> None:
    await odd(isolated_stack, worker_stop_grace_ms=200, worker_job_timeout_minutes=0.02)
    own = await ended(
        isolated_stack, {"own": {"does": "stay", "s": 30}}, max_retries=0, retry_policy={"timeout_ms": 300}
    )
    usual = await ended(
        isolated_stack, {"usual": {"does": "stay", "s": 30}}, max_retries=0, retry_policy={"timeout_ms": 60_000}
    )
    for job, seconds in ((own["own"], "0.3"), (usual["usual"], "1.2")):
        assert (job["status"], job["error"]) == ("failed", f"timed out after {seconds} s")
        assert job["error_type"] == "TimeoutError"
        took_ms = job["ended_at_ms"] - job["claimed_at_ms"]
        assert took_ms >= 1_000 * float(seconds), f"it was stopped after {took_ms} ms"
        async with isolated_stack.modern() as client:
            told = [event for event in await client.follow_to_end(job["job_id"]) if event.kind == "progress"]
        assert [event.data["progress"] for event in told] == [10, 20], "what it says when its time is up is told"


async def test_without_a_timeout_of_the_worker_a_jobs_own_one_holds_alone(isolated_stack: OwnStack) -> None:
    connector = f"{ODD}:services=odd,simulation:services=plain"
    await isolated_stack.worker("free", connector=connector, worker_job_timeout_minutes=0, worker_stop_grace_ms=200)
    found = await ended(
        isolated_stack, {"own": {"does": "stay", "s": 30}}, max_retries=0, retry_policy={"timeout_ms": 300}
    )
    assert found["own"]["error"] == "timed out after 0.3 s"
    plain = await ended(isolated_stack, {"plain": script(wait(600), result="done")}, service_required="plain")
    assert plain["plain"]["result"] == "done"


async def test_who_blocks_the_loop_keeps_its_job_and_is_named_and_in_a_thread_blocks_only_itself(
    isolated_stack: OwnStack,
) -> None:
    blocking = await isolated_stack.worker("blocking", connector="simulation:services=press", concurrency=2)
    threaded = "simulation:services=mill,run_in=thread"
    await isolated_stack.worker("threaded", connector=threaded, concurrency=2)
    late = {"worker_job_timeout_minutes": 0.005, "worker_stop_grace_ms": 200}
    await isolated_stack.worker("stuck", connector="simulation:services=jam", **late)
    async with isolated_stack.modern() as client:
        blocks = script(10, {"block_ms": 3_600}, result="pressed")
        jammed = await client.submit(script(10, {"block_ms": 12_000}), service="jam")
        pressed = await client.submit(blocks, service="press")
        milled = await client.submit(blocks, service="mill")
        await reached(client, milled)
        quick = await client.submit(script(50, result="quick"), service="mill")
        await client.follow_to_end(quick)
        assert (await client.job(milled))["status"] == "claimed", "a job in a thread of its own held up another"
        assert kinds(await client.follow_to_end(pressed)) == ["submitted", "claimed", "progress", "completed"]
        assert (await client.job(milled))["attempt"] == 1
        await reached(client, jammed, "lease_expired")  # its worker could not even end it at its time-out
    said = blocking.log_text()
    assert "connector simulation blocks the loop" in said
    assert '"loop_unblocked"' in said
