"""Phase 2A, 6: migration day. The hub's clients move to the stack one by one, and back again, with jobs in flight."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import httpx
import pytest

from harness.clients import HubWorker, LegacyClient
from harness.targets import HubTarget
from harness.testing import Server, TooLate, fresh
from scenarios.received_facts import facts_by_websocket, progress_of
from scenarios.stacks import OwnStack, script, wait

pytestmark = pytest.mark.criterion("migration")

CLIENTS: Final = 5
HUB_WORKERS: Final = 3
JOBS_A_STAY: Final = 2
SERVICE: Final = fresh("moving")
"""Whoever else works for a hub that was given knows no such service."""
Side = HubTarget | Server


class Runs(Counter[str]):
    """How often the hub's workers began each job."""


@asynccontextmanager
async def hub_workers(hub: HubTarget, count: int, runs: Runs) -> AsyncIterator[None]:
    """Workers of the hub that do what they are given."""
    async with AsyncExitStack() as working:
        for _ in range(count):
            worker = HubWorker(hub.ws_url, fresh("hub-worker"), services=(SERVICE,), attempts=runs)
            await working.enter_async_context(worker)
        yield


class Mover:
    """An old client that moves from side to side.

    It keeps its connection to a side that it has left, for the jobs that still run there, and comes back to it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.jobs: list[tuple[Side, LegacyClient, str]] = []
        self._connections: dict[str, LegacyClient] = {}

    async def submit_to(self, side: Side, count: int) -> None:
        """Go there if it is not there yet, and submit jobs that still run when it moves on."""
        if side.ws_url not in self._connections:
            self._connections[side.ws_url] = LegacyClient(side.ws_url, self.name)
            await self._connections[side.ws_url].open()
        connection = self._connections[side.ws_url]
        payload = script(30, wait(250), 70, result={"of": self.name})
        service = side.service if isinstance(side, Server) else SERVICE
        for _ in range(count):
            self.jobs.append((side, connection, await connection.submit(payload, service=service, job_id=fresh("job"))))

    @property
    def in_flight(self) -> int:
        """How many of its jobs have not ended yet."""
        return sum(not heard.messages("complete_job", job_id=job_id) for _, heard, job_id in self.jobs)

    async def all_ended(self) -> None:
        """Wait for the end of each of its jobs, by what it is told on the side that accepted it, and leave."""
        for _, told_here, job_id in self.jobs:
            await told_here.expect("complete_job", job_id=job_id)
        for connection in self._connections.values():
            await connection.close()


async def known(side: Side, job_id: str) -> bool:
    """Whether a side knows of a job."""
    async with httpx.AsyncClient(base_url=side.http_url, timeout=10, trust_env=False) as http:
        status = (await http.get(f"/api/jobs/{job_id}")).status_code
        assert status in (200, 404)
        return status == 200


@pytest.mark.timeout(45)
async def test_clients_move_to_the_stack_one_by_one_and_back_again_and_nothing_is_lost_or_run_twice(
    hub: HubTarget, stack: Server
) -> None:
    runs = Runs()
    movers = [Mover(fresh("old-client")) for _ in range(CLIENTS)]
    async with hub_workers(hub, HUB_WORKERS, runs), asyncio.timeout(30):
        sides: list[Side] = [hub, stack, hub]
        for side in sides:
            for mover in movers:
                if mover.jobs and not mover.in_flight:
                    raise TooLate(f"the jobs of {mover.name} had ended before it moved")
                await mover.submit_to(side, JOBS_A_STAY)
        for mover in movers:
            await mover.all_ended()
    async with stack.modern() as client:
        for accepted_by, heard_by, job_id in (job for mover in movers for job in mover.jobs):
            on_stack = accepted_by is stack
            assert (await known(hub, job_id), await known(stack, job_id)) == (not on_stack, on_stack)
            attempts = (await client.job(job_id))["attempt"] if on_stack else runs[job_id]
            assert (attempts, runs[job_id] > 0) == (1, not on_stack), "it ran once, on the side that accepted it"
            facts = facts_by_websocket(heard_by.received, job_id)
            assert [fact["type"] for fact in facts] == ["claimed", "progress", "progress", "completed"]
            assert progress_of(facts) == [30, 70]
    assert len({job_id for mover in movers for *_, job_id in mover.jobs}) == CLIENTS * JOBS_A_STAY * len(sides)


async def test_a_job_that_waits_on_the_hub_is_withdrawn_there_and_runs_on_the_stack_once(
    hub: HubTarget, stack: Server
) -> None:
    runs, job_id, payload = Runs(), fresh("job"), script(50, result={"home": "new"})
    async with LegacyClient(hub.ws_url, fresh("old-client")) as there, stack.legacy(there.name) as here:
        await there.submit(payload, service=SERVICE, job_id=job_id)
        await there.cancel(job_id, "moving house")
        assert await here.submit(payload, job_id=job_id) == job_id
        assert (await here.expect("complete_job", job_id=job_id))["result"] == {"home": "new"}
        async with hub_workers(hub, 1, runs):
            after = await there.submit(script(50), service=SERVICE)
            await there.expect("complete_job", job_id=after)
        assert (runs[after], runs[job_id]) == (1, 0), "the hub's worker took the later one and not the withdrawn one"
        async with stack.modern() as client:
            assert (await client.job(job_id))["attempt"] == 1


async def test_a_job_that_waits_on_the_stack_is_withdrawn_there_and_runs_on_the_hub_once(
    hub: HubTarget, isolated_stack: OwnStack
) -> None:
    runs, job_id, payload = Runs(), fresh("job"), script(50, result={"home": "old"})
    async with (
        isolated_stack.legacy() as here,
        LegacyClient(hub.ws_url, here.name) as there,
        isolated_stack.modern() as client,
    ):
        await here.submit(payload, job_id=job_id)
        await here.cancel(job_id, "rolled back")
        async with hub_workers(hub, 1, runs):
            await there.submit(payload, service=SERVICE, job_id=job_id)
            assert (await there.expect("complete_job", job_id=job_id))["result"] == {"home": "old"}
        await isolated_stack.worker()
        after = await here.submit(script(50))
        await here.expect("complete_job", job_id=after)
        stored = await client.job(job_id)
        assert (runs[job_id], stored["attempt"], stored["status"]) == (1, 0, "cancelled")


async def test_the_stack_takes_none_of_the_hubs_jobs_for_its_own(hub: HubTarget, stack: Server) -> None:
    """The old hub goes on beside the new workers: its waiting jobs are nobody's orphans."""
    runs = Runs()
    async with LegacyClient(hub.ws_url, fresh("old-client")) as there, stack.legacy() as here:
        waiting = [await there.submit(script(50), service=SERVICE, job_id=fresh("job")) for _ in range(5)]
        mine = [await here.submit(script(50)) for _ in range(10)]
        for job_id in mine:
            await here.expect("complete_job", job_id=job_id)
        for job_id in waiting:
            assert not await known(stack, job_id)
            assert (await there.status(job_id))["status"] == "pending"
        async with hub_workers(hub, 2, runs):
            for job_id in waiting:
                await there.expect("complete_job", job_id=job_id)
        assert runs == dict.fromkeys(waiting, 1)


async def test_a_job_of_the_other_side_is_unknown_in_so_many_words(hub: HubTarget, stack: Server) -> None:
    async with LegacyClient(hub.ws_url, fresh("old-client")) as there, stack.legacy(there.name) as here:
        job_id = await there.submit({}, service=SERVICE, job_id=fresh("job"))
        for ask in ("request_job_status", "cancel_job"):
            heard = len(here.received)
            await here.send({"type": ask, "job_id": job_id})
            refusal = await here.wait_for(lambda message: message.get("type") == "error", "a refusal", after=heard)
            assert job_id in refusal["error"]
        assert (await there.status(job_id))["status"] == "pending"
        await there.cancel(job_id)
