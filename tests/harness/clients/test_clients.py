"""The scripted actors against a real hub and a real stack: the same script, the same facts."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from harness.clients import ExpectationTimeout, HubWorker, LegacyClient, ModernClient, Monitor, Refused
from harness.processes import Process, Processes, services, start_valkey

FAILS_ONCE = {
    "simulate": [{"progress": 10, "message": "ten"}, {"fail": "no memory", "attempts": 1}, {"result": {"n": 1}}]
}
SLOW = {"simulate": [{"progress": 5}, {"sleep_ms": 300}, {"progress": 60}, {"result": {"ok": True}}]}


@pytest.fixture(scope="module")
def hub(processes: Processes) -> Process:
    return processes.start(services.hub())


@pytest.fixture(scope="module")
def stack(processes: Processes) -> Process:
    valkey = start_valkey(processes)
    quick = {"HUBGATE_RETRY_BACKOFF_MS": "50"}
    api = processes.start(services.api(redis_url=valkey.url, environment=quick))
    for number in (1, 2):
        launch = services.worker(f"worker-{number}", redis_url=valkey.url, poll_ms=100, environment=quick)
        processes.start(launch)
    return api


@asynccontextmanager
async def hub_workers(hub: Process, count: int) -> AsyncIterator[None]:
    attempts = Counter[str]()
    async with AsyncExitStack() as working:
        for number in range(count):
            worker = HubWorker(hub.ws_url, f"hub-worker-{number}", attempts=attempts)
            await working.enter_async_context(worker)
        yield


def story(client: LegacyClient, job_id: str) -> list[tuple[str, Any]]:
    fields = {"update_job_progress": "progress", "complete_job": "result", "fail_job": "error"}
    return [
        (message["type"], message.get(fields.get(message["type"], "status")))
        for message in client.messages(job_id=job_id)
    ]


async def test_a_script_is_told_alike_by_the_hubs_workers_and_the_stacks(hub: Process, stack: Process) -> None:
    stories = []
    async with hub_workers(hub, 2):
        for url in (hub.ws_url, stack.ws_url):
            async with LegacyClient(url, "client-1") as client:
                job_id = await client.submit(FAILS_ONCE)
                await client.expect("complete_job", job_id=job_id)
                stories.append(story(client, job_id))
    assert stories[0] == stories[1]
    assert stories[0] == [
        ("job_accepted", "pending"),
        ("response_job_status", "processing"),
        ("update_job_progress", 10),
        ("fail_job", "no memory"),
        ("response_job_status", "processing"),
        ("update_job_progress", 10),
        ("complete_job", {"n": 1}),
    ]


async def test_a_large_payload_reaches_a_worker_of_the_hub_in_pieces(hub: Process) -> None:
    async with hub_workers(hub, 1), LegacyClient(hub.ws_url, "client-large") as client:
        payload = {"blob": "x" * 2_500_000, "simulate": [{"result": {"got": "all"}}]}
        job_id = await client.submit(payload)
        assert (await client.ended(job_id))["result"] == {"got": "all"}


async def test_a_monitor_hears_of_a_clients_job(stack: Process) -> None:
    async with Monitor(stack.ws_url, "monitor-1") as monitor, LegacyClient(stack.ws_url, "client-2") as client:
        await monitor.expect("stats_broadcast")
        job_id = await client.submit()
        await monitor.expect("complete_job", job_id=job_id, client_id="client-2")


async def test_a_modern_client_is_cut_again_and_again_and_misses_nothing(stack: Process) -> None:
    async with ModernClient(stack.http_url) as client:
        job_id = await client.submit(SLOW)
        heard = await client.follow_to_end(job_id, cut_after=1)
        assert [told.kind for told in heard] == ["submitted", "claimed", "progress", "progress", "completed"]
        assert (await client.job(job_id))["result"] == {"ok": True}
        assert len({told.id for told in heard}) == len(heard)


async def test_a_refusal_and_a_silence_are_told(stack: Process) -> None:
    async with ModernClient(stack.http_url) as modern:
        with pytest.raises(Refused, match="refused with 404"):
            await modern.job("no-such-job")
        with pytest.raises(Refused, match="refused with 404"):
            [told async for told in modern.follow("no-such-job")]
    async with LegacyClient(stack.ws_url, "client-3") as client:
        with pytest.raises(ExpectationTimeout, match=r"waited 0\.1 s for complete_job and received"):
            await client.expect("complete_job", timeout_s=0.1)
        await client.drop()
        with pytest.raises(ExpectationTimeout, match="its connection closed"):
            await client.expect("complete_job")


async def test_a_client_that_reconnects_keeps_what_it_heard(stack: Process) -> None:
    async with LegacyClient(stack.ws_url, "client-4") as client:
        job_id = await client.submit(SLOW)
        await client.drop()
        await client.open()
        await client.ended(job_id)
        assert len(client.messages("connection_established")) == 2


async def test_a_running_job_is_cancelled(stack: Process) -> None:
    async with LegacyClient(stack.ws_url, "client-5") as client:
        job_id = await client.submit({"simulate": [{"progress": 1}, {"hang": True}]})
        await client.expect("update_job_progress", job_id=job_id)
        assert (await client.cancel(job_id, "enough"))["message"] == "Job cancelled: enough"
        assert (await client.status(job_id))["status"] == "cancelled"
