"""A job's own retry policy over the wire: taken, shown, and refused with the field named."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Api

POLICY = {"attempts": 2, "backoff_base_ms": 5, "retry_on": ["ConnectionError"], "deadline_ms": 60_000}
LATER = 2**52


async def test_a_policy_is_taken_over_both_ways_and_shown(api: Api) -> None:
    over_http = await api.submit(retry_policy=POLICY, not_before=LATER)
    client = await api.client()
    await client.send(
        type="submit_job", message_id="ws", job_type="draw", payload={}, retry_policy=POLICY, not_before=LATER
    )
    assert (await client.receive())["type"] == "job_accepted"
    for job_id in (over_http, "ws"):
        job = await api.get(f"/api/jobs/{job_id}")
        assert (job["retry_policy"], job["not_before_ms"], job["max_retries"]) == (POLICY, LATER, 1)
        assert job["deadline_at_ms"] == job["created_at_ms"] + 60_000
        assert job["extra"] is None


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"attempts": 0}, "retry_policy.attempts"),
        ({"backoff_jitter": 2}, "retry_policy.backoff_jitter"),
        ({"retry_on": [1]}, "retry_policy.retry_on"),
        ({"colour": "red"}, "retry_policy"),
    ],
)
async def test_a_policy_that_makes_no_sense_is_refused_with_its_field(
    api: Api, policy: dict[str, Any], field: str
) -> None:
    problem = await api.post("/api/jobs", {"service_required": "draw", "retry_policy": policy}, 422)
    assert field in str(problem)
    client = await api.client()
    await client.send(type="submit_job", message_id="ws", job_type="draw", payload={}, retry_policy=policy)
    answer = await client.receive()
    assert answer["type"] == "error"
    assert "retry_policy" in answer["error"]
    await api.get("/api/jobs/ws", 404)
