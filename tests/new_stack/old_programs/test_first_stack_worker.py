"""A worker of the first new stack that was left running on the same Redis takes no job away."""

from __future__ import annotations

from pathlib import Path

from harness.processes import Processes, start_valkey
from new_stack.queue import Queue, QueueSettings
from tests.new_stack.api.conftest import StartApi
from tests.new_stack.old_programs.first_stack_worker import FirstStackWorker
from tests.new_stack.worker.conftest import StartWorker, ended, simulate


async def test_every_job_is_run_all_the_same(tmp_path: Path, start_api: StartApi, start_worker: StartWorker) -> None:
    with Processes(tmp_path / "redis") as processes:
        settings = QueueSettings(redis_url=start_valkey(processes).url)
        queue = await Queue.connect(settings)
        async with FirstStackWorker(settings.redis_url) as old_worker:
            jobs = [await simulate(queue, {"result": {"n": number}}) for number in range(5)]
            await old_worker.polled(10)
            await start_worker(queue={"redis_url": settings.redis_url, "prefix": settings.prefix})
            for job_id in jobs:
                assert (await ended(queue, job_id)).state == "completed"
        await queue.close()
