"""Commands of routing.md, running.md and reports.md, run as they stand; a whole gate and containers are not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes import Processes, Valkey, free_port, start_valkey
from harness.results import save
from harness.testing.waiting import until
from new_stack.queue import Failed, NewJob, Queue, QueueSettings, WorkerReport
from tests.harness.results.test_trend import p99, run
from tests.hubgate.test_can_switch import judged
from tests.pages import Terminal, commands, listens

pytestmark = pytest.mark.timeout(240)

ROUTING, RUNNING, REPORTS = "docs/routing.md", "docs/running.md", "docs/reports.md"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    with Processes(tmp_path / "processes") as processes:
        yield start_valkey(processes)


def stack(page: str, folder: Path, valkey: Valkey) -> tuple[Terminal, int]:
    """A terminal in which the page's stack is one of our own, and its port."""
    port = free_port()
    ours = f"--redis {valkey.url}"
    changes = {
        "--redis redis://127.0.0.1:6379/0": ours,
        "--port 8000": f"--port {port}",
        "python -m new_stack.worker --connector": f"python -m new_stack.worker {ours} --connector",
        "python -m": f"{sys.executable} -m",
        "hubgate failures --reason": "hubgate failures --target http://127.0.0.1:8000 --reason",
        "http://127.0.0.1:8000": f"http://127.0.0.1:{port}",
    }
    return Terminal(page, folder, changes), port


async def test_the_stack_starts_as_the_page_says(tmp_path: Path, valkey: Valkey) -> None:
    terminal, port = stack(RUNNING, tmp_path, valkey)
    api, worker, ready = commands(RUNNING)["start"].splitlines()
    queue = await Queue.connect(QueueSettings(redis_url=valkey.url))
    async with terminal.running(api), terminal.running(worker):
        await until(lambda: listens(port), 60)
        assert '"status":"ready"' in (await terminal.type(f"{ready}\n")).replace(" ", "")
        await queue.submit(NewJob(id="a", service_required="simulation"))

        async def ended() -> bool:
            job = await queue.job("a")
            return job is not None and job.state.ended

        await until(ended, 60)
    await queue.close()


async def test_what_waits_and_what_failed_is_told_and_run_again(tmp_path: Path, valkey: Valkey) -> None:
    terminal, port = stack(ROUTING, tmp_path, valkey)
    found = commands(ROUTING)
    api, _, _ = commands(RUNNING)["start"].splitlines()
    queue = await Queue.connect(QueueSettings(redis_url=valkey.url))
    await queue.submit(NewJob(id="slow", service_required="draw"))
    [lease] = await queue.claim("w1")
    await queue.end(Failed(lease=lease, error="timed out after 5 s", retryable=False))
    await queue.heartbeat(WorkerReport(worker_id="cuts", services=("cut",)))
    await queue.submit(NewJob(id="my-job", service_required="paint"))
    async with terminal.running(api):
        await until(lambda: listens(port), 60)
        assert "it does not serve 'paint'" in await terminal.type(found["why"])
        said = await terminal.type(found["failures"])
        assert "timed out after N s" in said
        slow = await queue.job("slow")
        assert slow is not None
        assert slow.state == "pending"
        async with terminal.running(found["worker"].splitlines()[1]):

            async def both_ended() -> bool:
                jobs = [await queue.job(name) for name in ("slow", "my-job")]
                return all(job is not None and job.state == "completed" for job in jobs)

            await until(both_ended, 60)
    await queue.close()


async def test_kept_runs_are_compared_and_say_whether_an_environment_may_switch(tmp_path: Path) -> None:
    for number, value in enumerate((10.0, 10.2, 10.1)):
        save(run(number, p99(value)), tmp_path / "kept" / f"run-{number}")
    for number, name, value in ((4, "before", 10.0), (5, "after", 15.0), (6, "latest", 15.0)):
        save(run(number, p99(value)), tmp_path / "out" / name)
    terminal = Terminal(REPORTS, tmp_path, {})
    found = commands(REPORTS)
    two, against_all, trend, *_ = found["compare"].splitlines()
    assert "10 ms" in await terminal.type(f"{two}\n")
    assert "1 figure is worse than in 3 earlier runs." in await terminal.type(f"{against_all}\n")
    assert "10 ms to 10.2 ms" in await terminal.type(f"{trend}\n")
    save(judged(9, "4.2", "1.7", passes=True), tmp_path / "kept" / "run-9")
    _, switch = found["switch"].splitlines()
    assert "4.2" in await terminal.type(f"{switch}\n")
