"""A job's requirements over the wire: refused with the field named, explained in words."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from click.testing import CliRunner

from hubgate.cli import cli
from new_stack.queue import QueueSettings, WorkerReport

from .conftest import Api

REFUSED = {"service_required": "draw", "requirements": {"hardware": {"ram_gb": "much"}}}


@pytest.fixture
def settings(settings: QueueSettings) -> QueueSettings:
    return msgspec.structs.replace(settings, matching=True)


async def test_requirements_that_make_no_sense_are_refused_with_their_field(api: Api) -> None:
    problem = await api.post("/api/jobs", REFUSED, 422)
    assert "requirements.hardware.ram_gb" in str(problem)
    client = await api.client()
    await client.send(type="submit_job", message_id="j", payload={}, job_type="draw", requirements={"colour": "red"})
    answer = await client.receive()
    assert answer["type"] == "error"
    assert "requirements" in answer["error"]


async def test_a_job_is_explained_over_http(api: Api) -> None:
    job_id = await api.submit(service_required="draw", requirements={"models": ["sdxl"]}, customer_id="acme")
    await api.queue.heartbeat(WorkerReport(worker_id="bare", services=("draw",)))
    await api.queue.reap()
    found = await api.get(f"/api/jobs/{job_id}/explain")
    assert found["able"] == []
    assert found["unable"] == [{"worker_id": "bare", "rule": "models", "reason": "it does not have the model 'sdxl'"}]
    assert found["sentence"].startswith("Unworkable since")
    job = await api.get(f"/api/jobs/{job_id}")
    assert job["unserved_since_ms"] == found["unworkable_since"]
    assert job["waiting_reason"] == "no worker that serves 'draw' can do what the job asks for"
    await api.get("/api/jobs/nobody/explain", 404)


async def test_the_command_prints_the_sentence(api: Api) -> None:
    job_id = await api.submit(service_required="draw")
    run = await asyncio.to_thread(CliRunner().invoke, cli, ["explain", job_id, "--target", api.base])
    assert run.exit_code == 0, run.output
    assert run.output.startswith(f"{job_id}: pending. Unworkable")
    missing = await asyncio.to_thread(CliRunner().invoke, cli, ["explain", "nobody", "--target", api.base])
    assert missing.exit_code != 0
