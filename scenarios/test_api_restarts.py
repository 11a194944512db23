"""An API server that is asked to stop says so first, tells its readers, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Final

import httpx
import pytest

from harness.clients import ModernClient, StreamEvent
from harness.processes import Process
from harness.testing import Server, fresh, until
from scenarios.received_facts import facts_by_events, kinds, progress_of, reached
from scenarios.stacks import OwnStack, ours, script, wait

pytestmark = [pytest.mark.criterion("api-restarts"), pytest.mark.timeout(60)]

NOTICE_MS: Final = 1_500
GOING_AWAY: Final = ("1001", "1012")
"""The codes by which a server says to a WebSocket that it goes."""
STEPS: Final = tuple(range(5, 100, 5))


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """A stack whose servers say for long enough that they are about to go; the test starts a second one."""
    settings = {"hubgate_shutdown_notice_ms": NOTICE_MS}
    with ours(request, "servers that it can stop").stack("restarted", settings=settings) as own:
        yield own


async def until_it_says_that_it_goes(http: httpx.AsyncClient) -> None:
    """Ask as a load balancer does."""

    async def goes() -> bool:
        return (await http.get("/health/ready")).status_code != httpx.codes.OK

    await until(goes, within=NOTICE_MS / 1000)


async def stopped(server: Process) -> int:
    """Wait for the exit of a server that was terminated."""
    await until(lambda: not server.alive, within=20)
    return server.returncode or 0


async def read_on(client: ModernClient, elsewhere: ModernClient, job_id: str) -> list[StreamEvent]:
    """A job's events by one server and, once that one has gone, by another from the last event on."""
    seen: list[StreamEvent] = []
    async with aclosing(client.follow(job_id)) as stream:
        async for event in stream:
            if event.kind == "disconnect":
                break
            seen.append(event)
    async with aclosing(elsewhere.follow(job_id, last_event_id=seen[-1].id)) as stream:
        seen += [event async for event in stream]
    return seen


async def test_it_says_that_it_goes_serves_meanwhile_and_ends_in_order(pair: OwnStack) -> None:
    other = await pair.another_api()
    server = pair.deployment.servers[0]
    async with pair.http() as http, pair.modern() as client:
        assert (await http.get("/health/ready")).status_code == httpx.codes.OK
        server.terminate()
        await until_it_says_that_it_goes(http)
        job_id = await client.submit(script(50), job_id=fresh("late"))
    assert await stopped(server) == 0
    await pair.worker()
    async with other.modern() as client:
        assert kinds(await client.follow_to_end(job_id))[-1] == "completed"
    await server.arestart()
    async with pair.modern() as client:
        assert (await client.job(job_id))["status"] == "completed"


async def test_its_readers_are_told_and_go_on_elsewhere_with_no_gap_and_no_double(pair: OwnStack) -> None:
    other: Server = await pair.another_api()
    await pair.worker()
    server = pair.deployment.servers[0]
    payload = script(*(part for step in STEPS for part in (step, wait(200))), result="whole")
    async with pair.modern() as client, other.modern() as elsewhere, pair.legacy() as legacy, pair.monitor() as monitor:
        job_id = await client.submit(payload)
        await legacy.subscribe(job_id)
        reading = asyncio.create_task(read_on(client, elsewhere, job_id))
        await reached(elsewhere, job_id)
        server.terminate()
        events = await asyncio.wait_for(reading, 30)
        for socket in (legacy, monitor):
            assert (socket.closed or "").startswith(GOING_AWAY), f"closed with {socket.closed!r}"
        async with other.legacy(legacy.name) as again:
            await again.subscribe(job_id)
            assert (await again.ended(job_id))["result"] == "whole"
    assert kinds(events).count("disconnect") == 0
    assert progress_of(facts_by_events(events)) == list(STEPS)
    assert kinds(events)[-1] == "completed"
    assert await stopped(server) == 0
    await server.arestart()


async def test_servers_that_restart_one_after_the_other_lose_no_submission(pair: OwnStack) -> None:
    other = await pair.another_api()
    await pair.workers(2)
    accepted: list[str] = []
    over = asyncio.Event()

    async def submit_on(stack: Server) -> None:
        """A client behind a load balancer: what one server does not take, it asks of the other."""
        async with stack.modern() as first, (other if stack is pair else pair).modern() as second:
            while not over.is_set():
                job_id = fresh("job")
                for client in (first, second):
                    try:
                        accepted.append(await client.submit(script(50), job_id=job_id))
                        break
                    except httpx.TransportError:
                        continue
                else:
                    raise AssertionError("both servers are away")
                await asyncio.sleep(0.03)

    async with asyncio.TaskGroup() as group:
        group.create_task(submit_on(pair))
        group.create_task(submit_on(other))
        for server in pair.deployment.servers:
            server.terminate()
            assert await stopped(server) == 0
            await server.arestart()
        over.set()
    assert len(accepted) > 20
    async with pair.modern() as client:
        ends = [kinds(await client.follow_to_end(job_id))[-1] for job_id in accepted]
    assert set(ends) == {"completed"}
