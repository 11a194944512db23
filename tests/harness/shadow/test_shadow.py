"""Shadow mode with a real hub, a real stack, and the command as a process between them and their clients."""

from __future__ import annotations

import asyncio
import signal
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from harness import defects
from harness.clients import HubWorker, LegacyClient, Monitor
from harness.clients.transport import open_websocket
from harness.processes import Processes, Valkey, free_port, start_valkey
from harness.protocols import hub as words
from harness.results import load
from harness.targets import Deployment, Namespace, Setup, Side
from harness.testing.waiting import until
from tests.harness.shadow.running import SLOW_S, Running, ended, hubgate, reported, shadow

SCRIPT = {"simulate": [{"progress": 30}, {"sleep_ms": 50}, {"progress": 60, "message": "more"}, {"result": {"ok": 1}}]}
ADDED_MS = 2.0
PAIRS = 300
ROUNDS = 5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Processes]:
    with Processes(tmp_path_factory.mktemp("shadow")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def valkey(processes: Processes) -> Valkey:
    return await asyncio.to_thread(start_valkey, processes)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(processes: Processes) -> Deployment:
    deployment = await Deployment.astart(processes, Setup(side=Side.HUB, name="hub"))
    await deployment.astart_workers(deployment.worker_launches(2))
    return deployment


async def a_stack(processes: Processes, valkey: Valkey, database: int, **setup: object) -> Deployment:
    """With two workers of its own."""
    named = Setup(name=f"api-{database}", **setup)  # type: ignore[arg-type]  # as Setup has them
    stack = await Deployment.astart(processes, named, valkey, Namespace.fresh(valkey, database))
    launches = [stack.worker_launch(f"worker-{database}-{number}") for number in (1, 2)]
    await stack.astart_workers(launches)
    return stack


async def some_jobs(url: str, name: str, number: int) -> list[str]:
    """A client that waits for the end of each of its jobs."""
    async with LegacyClient(url, name) as client:
        jobs = []
        for _ in range(number):
            jobs.append(await client.submit(SCRIPT))
            await client.ended(jobs[-1], timeout_s=SLOW_S)
        return jobs


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_stack_follows_and_clients_get_the_hubs_answers_alone(
    processes: Processes, valkey: Valkey, hub: Deployment, tmp_path: Path
) -> None:
    stack = await a_stack(processes, valkey, 1)
    async with shadow(processes, hub.target.http_url, stack.target.http_url, tmp_path / "out") as running:
        async with (
            HubWorker(running.ws_url, "hub-worker-of-a-client"),
            Monitor(running.ws_url, "monitor-a") as monitor,
            LegacyClient(running.ws_url, "client-a") as client,
        ):
            await monitor.expect("stats_broadcast")
            first = await client.submit(SCRIPT | {"api_key": "sk-4f9a8b7c6d5e4f3a2b1c"})
            await client.ended(first, timeout_s=SLOW_S)
            await client.ended(await client.submit(SCRIPT, job_id="an-id-of-its-own"), timeout_s=SLOW_S)
            await client.send(client.session.ask(first))
            await client.expect("response_job_status", job_id=first, status="completed", timeout_s=SLOW_S)
            await client.send('{"type":   "nonsense"}')
            await client.expect("error")
            await client.cancel(await client.submit({"simulate": [{"sleep_ms": 2_000}]}), timeout_s=SLOW_S)
        await over_http(running)
        counts = await running.shows(lambda shown: shown["jobs"] >= 5 and shown["frames"] >= 20)
        assert not counts["causes"]
        assert not counts["not_compared"]
        assert counts["left_out"]["connections of workers"] == counts["left_out"]["connections of monitors"] == 1
        async with httpx.AsyncClient(base_url=stack.target.http_url, trust_env=False) as http:
            there = {job["job_id"] for job in (await http.get("/api/jobs?limit=100")).json()["jobs"]}
        assert "an-id-of-its-own" in there
        assert first not in there, "the stack gives its jobs ids of its own"
    assert "sk-4f9a" not in "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert (await reported(processes, tmp_path / "out", "--least-jobs", "5"))[0] == 0
    assert load(tmp_path / "out").headline.startswith("No client in the sample would have noticed the stack")
    assert (tmp_path / "out" / "report.html").exists()
    assert (await reported(processes, tmp_path / "out"))[0] == 3, "five jobs are too few"


async def over_http(running: Running) -> None:
    """A program that submits, asks until it has ended, and waits for another one in one request."""
    async with httpx.AsyncClient(base_url=running.http_url, trust_env=False, timeout=SLOW_S) as http:
        body = {"job_type": "simulation", "payload": SCRIPT}
        job_id = (await http.post("/api/jobs", json=body)).json()["job_id"]

        async def is_completed() -> bool:
            return bool((await http.get(f"/api/jobs/{job_id}")).json()["status"] == "completed")

        await until(is_completed, within=SLOW_S)
        assert (await http.post("/api/jobs", json=body | {"wait": True})).json()["status"] == "completed"
        assert (await http.get("/api/jobs/nobodys")).status_code == 404


async def test_a_seeded_difference_is_found_counted_and_reported(
    processes: Processes, valkey: Valkey, hub: Deployment, tmp_path: Path
) -> None:
    overlay = defects.apply(defects.named("completion-under-another-name"), tmp_path / "overlay")
    stack = await a_stack(processes, valkey, 2, overlay=overlay)
    async with shadow(processes, hub.target.http_url, stack.target.http_url, tmp_path / "out") as running:
        await asyncio.gather(*(some_jobs(running.ws_url, f"client-{number}", 2) for number in range(2)))
        counts = await running.shows(lambda shown: shown["compared"].get("different") == 4)
        assert len(counts["causes"]) == 1
        assert counts["causes"][0]["times"] == 4
        assert counts["causes"][0]["clients"] == 2
        assert "complete_job" in counts["causes"][0]["sentence"]
    status, told = await reported(processes, tmp_path / "out")
    assert status == 1
    assert "complete_job" in told
    run = load(tmp_path / "out")
    assert [finding.times for finding in run.matrix[0].cells[0].causes] == [4]
    assert "4 times" in (tmp_path / "out" / "report.html").read_text()


async def test_nobody_notices_that_the_candidate_is_killed_and_it_is_followed_again_once_it_is_back(
    processes: Processes, valkey: Valkey, hub: Deployment, tmp_path: Path
) -> None:
    port = free_port()
    stack = await a_stack(processes, valkey, 3, port=port)
    async with (
        shadow(processes, hub.target.http_url, stack.target.http_url, tmp_path / "out") as running,
        LegacyClient(running.ws_url, "client-a") as client,
    ):
        await client.ended(await client.submit(SCRIPT), timeout_s=SLOW_S)
        await running.shows(lambda shown: shown["jobs"] == 1)
        slow = await client.submit({"simulate": [{"sleep_ms": 1_000}, {"result": {"ok": 2}}]})
        stack.servers[0].kill()
        await client.ended(slow, timeout_s=SLOW_S)
        await client.ended(await client.submit(SCRIPT), timeout_s=SLOW_S)
        assert client.closed is None
        counts = await running.shows(lambda shown: shown["not_compared"])
        assert not counts["causes"], "a candidate that is away says nothing about its answers"
        await stack.servers[0].arestart()

        async def is_followed_again() -> bool:
            await client.ended(await client.submit(SCRIPT), timeout_s=SLOW_S)
            return bool((await running.counts())["jobs"] > counts["jobs"])

        await until(is_followed_again, within=SLOW_S)
    assert (await reported(processes, tmp_path / "out", "--least-jobs", "1"))[0] in {1, 3}


async def test_nobody_notices_that_the_follower_is_killed(
    processes: Processes, valkey: Valkey, hub: Deployment, tmp_path: Path
) -> None:
    stack = await a_stack(processes, valkey, 4)
    async with shadow(processes, hub.target.http_url, stack.target.http_url, tmp_path / "out") as running:
        async with LegacyClient(running.ws_url, "client-a") as client:
            await client.ended(await client.submit(SCRIPT), timeout_s=SLOW_S)
            (follower,) = psutil.Process(running.process.pid).children()
            follower.kill()
            await client.ended(await client.submit(SCRIPT), timeout_s=SLOW_S)
            assert client.closed is None
        await until(lambda: "it is started again" in running.process.log_text(), within=SLOW_S)
        await running.shows(lambda _: True)
        await some_jobs(running.ws_url, "client-b", 1)
        await running.shows(lambda shown: shown["jobs"] == 1)


async def test_clients_that_are_not_drawn_are_passed_on_and_not_followed(
    processes: Processes, hub: Deployment, tmp_path: Path
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with shadow(processes, hub.target.http_url, nowhere, tmp_path / "out", sample="0.0001%") as running:
        await some_jobs(running.ws_url, "client-a", 1)
        counts = await running.shows(lambda shown: shown["left_out"].get("clients that were not drawn"))
        assert not counts["compared"]
        assert not counts["not_compared"]


async def test_a_shadow_adds_less_than_two_ms_also_where_the_candidate_is_frozen(
    processes: Processes, valkey: Valkey, hub: Deployment, tmp_path: Path
) -> None:
    stack = await a_stack(processes, valkey, 5)
    async with shadow(processes, hub.target.http_url, stack.target.http_url, tmp_path / "out") as running:
        await some_jobs(running.ws_url, "client-a", 1)
        for server in stack.servers:
            server.signal(signal.SIGSTOP)
        try:
            rounds = [await p99s_ms(hub.target.ws_url, running.ws_url, f"client-{n}") for n in range(ROUNDS)]
        finally:
            for server in stack.servers:
                server.signal(signal.SIGCONT)
    added = [round(shadowed - direct, 2) for direct, shadowed in rounds]
    if min(added) >= ADDED_MS and min(direct for direct, _ in rounds) >= ADDED_MS:
        pytest.skip(f"the machine is too busy to tell: {rounds} ms at p99, directly and through the shadow")
    assert min(added) < ADDED_MS, f"added at p99, round by round: {added} ms"


async def p99s_ms(direct_url: str, shadowed_url: str, name: str) -> tuple[float, float]:
    """How long an answer takes directly and through the shadow, at the 99th percentile of questions asked in turns."""
    direct = await open_websocket(f"{direct_url}{words.path_of('client', f'{name}-direct')}")
    shadowed = await open_websocket(f"{shadowed_url}{words.path_of('client', name)}")
    took: dict[bool, list[float]] = {False: [], True: []}
    try:
        for connection in (direct, shadowed):
            await connection.recv()
        for place in range(2 * PAIRS):
            connection = shadowed if place % 2 else direct
            began = time.perf_counter()
            await connection.send('{"type": "stay_alive"}')
            await connection.recv()
            took[bool(place % 2)].append(1000 * (time.perf_counter() - began))
    finally:
        await direct.close()
        await shadowed.close()
    direct_ms, shadowed_ms = (statistics.quantiles(took[way], n=100)[98] for way in (False, True))
    return direct_ms, shadowed_ms


async def test_what_cannot_be_is_told_at_once(processes: Processes, tmp_path: Path) -> None:
    for arguments, said in (
        (("--primary", "http://127.0.0.1:1"), "two servers are needed"),
        (("--sample", "0%"), "no share of clients"),
        (("--listen", "8001.5"), "no address"),
        (("--report", str(tmp_path)), "cannot be read"),
    ):
        process = await asyncio.to_thread(processes.start, hubgate("wrong", "shadow", *arguments))
        assert await ended(process) in {2, 3}
        assert said in process.log_text()
        assert "Traceback" not in process.log_text()
