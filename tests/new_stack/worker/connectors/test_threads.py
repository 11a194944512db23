"""`run_in=thread`: what a connector that blocks does to others, and how its jobs are stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from harness.testing.waiting import until
from new_stack.settings import SettingsError
from new_stack.worker import Connector, ConnectorSettings, JobContext, JobFailed
from new_stack.worker.connector_spec import ConnectorSpec
from new_stack.worker.connectors.threads import ThreadedConnector
from tests.new_stack.worker.connectors.conftest import GivenJob, stopped


class Blocking(Connector):
    """Blocks its thread until as many jobs as the payload says are at work; `mood` is what happens then."""

    at_work: threading.Barrier
    opened: list[int]
    closed: list[int]
    told: threading.Event

    def __init__(self) -> None:
        super().__init__(ConnectorSettings())

    async def open(self) -> None:
        self.opened.append(threading.get_ident())

    async def close(self) -> None:
        self.closed.append(threading.get_ident())

    async def run(self, job: JobContext) -> Any:
        await job.progress(1)
        job.report(2)
        match job.payload.get("mood"):
            case "exit":
                raise SystemExit(3)
            case "fail":
                raise JobFailed("no", retryable=False)
            case "wait":
                try:
                    job.report(3)
                    await asyncio.Event().wait()
                finally:
                    self.told.set()
            case "give up":
                raise asyncio.CancelledError
        self.at_work.wait(5)
        return threading.get_ident()


@pytest.fixture
async def connector() -> Any:
    Blocking.at_work, Blocking.opened, Blocking.closed = threading.Barrier(3), [], []
    Blocking.told = threading.Event()
    threaded = ThreadedConnector(Blocking)
    await threaded.open()
    yield threaded
    await threaded.close()


async def test_jobs_that_block_run_at_once_each_in_a_thread_that_opened_and_closed_it(
    connector: ThreadedConnector,
) -> None:
    jobs = [GivenJob({}) for _ in range(3)]
    threads = await asyncio.gather(*(connector.run(job) for job in jobs))
    assert len({*threads, threading.get_ident()}) == 4
    assert all(job.heard.percents == [1, 2] for job in jobs)
    again = await asyncio.gather(*(connector.run(GivenJob({})) for _ in range(3)))
    assert sorted(again) == sorted(threads) == sorted(Blocking.opened)
    await connector.close()
    assert sorted(Blocking.closed) == sorted(threads)


@pytest.mark.parametrize(
    ("mood", "error"), [("exit", SystemExit), ("fail", JobFailed), ("give up", asyncio.CancelledError)]
)
async def test_what_a_connector_raises_there_is_raised_here_and_the_thread_lives_on(
    mood: str, error: type[BaseException], connector: ThreadedConnector
) -> None:
    for _ in range(2):
        with pytest.raises(error):
            await connector.run(GivenJob({"mood": mood}))
    assert len(Blocking.opened) == 1


async def test_a_job_that_is_stopped_is_cancelled_in_its_thread(connector: ThreadedConnector) -> None:
    job = GivenJob({"mood": "wait"})
    running = asyncio.create_task(connector.run(job))
    await until(lambda: 3 in job.heard.percents)
    await stopped(running)
    assert Blocking.told.is_set()


async def test_a_thread_that_ignores_its_stop_gets_no_other_job(connector: ThreadedConnector) -> None:
    job = GivenJob({})
    stubborn = asyncio.create_task(connector.run(job))
    await until(lambda: 2 in job.heard.percents)  # from here on it awaits nothing: it cannot be cancelled
    stubborn.cancel()
    others = [asyncio.create_task(connector.run(GivenJob({}))) for _ in range(2)]
    await asyncio.gather(*others)
    await asyncio.wait([stubborn], timeout=5)
    assert stubborn.cancelled()
    assert len(Blocking.opened) == 3


async def test_the_loop_goes_on_while_a_connector_blocks() -> None:
    connector = ConnectorSpec.parse("simulation:run_in=thread").build()
    await connector.open()
    job = GivenJob({"simulate": [{"progress": 1}, {"block_ms": 300}, {"result": 7}]})
    running = asyncio.create_task(connector.run(job))
    await job.heard.came.wait()
    began = time.monotonic()
    await until(lambda: True)
    assert time.monotonic() - began < 0.2
    assert await running == 7
    await connector.close()


def test_where_a_connector_may_run_is_told() -> None:
    with pytest.raises(SettingsError, match="run_in is loop or thread, not 'moon'"):
        ConnectorSpec.parse("simulation:run_in=moon")
