"""`explain` says of each live worker whether it could take a job, and else the first reason why not, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from new_stack.queue import JobState, NewJob, Queue, QueueSettings, WorkerReport
from tests.new_stack.queue.test_matching import job, live, worker


@pytest.fixture
def settings(settings: QueueSettings) -> QueueSettings:
    return msgspec.structs.replace(settings, matching=True)


async def test_says_who_could_take_a_job_and_why_each_other_worker_cannot(
    queue: Queue, connect: Callable[..., Any]
) -> None:
    await queue.submit(job("j", {"models": ["sdxl"], "hardware": {"gpu_memory_gb": 16}}, customer="acme"))
    gpu = {"gpu_memory_gb": 24}
    able = await live(queue, worker("able", models=["sdxl"], hardware=gpu))
    await queue.heartbeat(WorkerReport(worker_id="cuts", services=("cut",)))
    await live(queue, worker("small", models=["sdxl"], hardware={"gpu_memory_gb": 8}))
    await live(queue, worker("bare", hardware=gpu))
    await live(queue, worker("denies", models="all", hardware=gpu, customers={"deny": ["acme"]}))
    without = await connect(matching=False)
    await without.heartbeat(WorkerReport(worker_id="off", services=("draw",)))
    found = await queue.explain("j")
    assert found is not None
    assert [one.worker_id for one in found.able] == ["able"]
    assert {one.worker_id: one.reason for one in found.unable} == {
        "cuts": "it does not serve 'draw'",
        "small": "it has too little GPU memory",
        "bare": "it does not have the model 'sdxl'",
        "denies": "it takes no job of the customer 'acme'",
        "off": "it serves 'draw', but does not look at requirements: HUBGATE_MATCHING is off there",
    }
    assert found.sentence == "1 live worker could take it, 0 with a free place."
    [lease] = await queue.claim(able)
    held = await queue.explain(lease.job_id)
    assert held is not None
    assert (held.state, held.sentence) == (JobState.CLAIMED, "able runs it.")


async def test_says_since_when_nobody_can(queue: Queue) -> None:
    await queue.submit(job("j", {"region": "moon"}))
    await live(queue, worker("w"))
    await queue.reap()
    found = await queue.explain("j")
    waiting = await queue.job("j")
    assert found is not None
    assert waiting is not None
    assert found.unworkable_since == waiting.unserved_since is not None
    assert found.sentence.startswith("Unworkable since 20")
    assert await queue.explain("nobody") is None


async def test_a_plain_job_is_explained_as_well(connect: Callable[..., Any]) -> None:
    plain = await connect(matching=False)
    await plain.submit(NewJob(id="j", service_required="draw"))
    for name, services in (("w1", ("draw",)), ("w2", ("cut",)), ("w3", ("*",))):
        await plain.heartbeat(WorkerReport(worker_id=name, services=services))
    found = await plain.explain("j")
    assert {one.worker_id for one in found.able} == {"w1", "w3"}
    assert [(one.worker_id, one.rule) for one in found.unable] == [("w2", "service")]
