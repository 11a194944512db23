"""Redis fails over to its replica, or the line to it falls silent: nobody exits or waits for ever, no job is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import pytest

from harness.faults import Proxy
from harness.processes import Valkey, services, start_valkey
from harness.processes.redis import empty
from harness.testing import Server, fresh, until
from scenarios.received_facts import reached
from scenarios.stacks import Stacks, ours, script, wait

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.timeout(120)]

SERVICE: Final = "emp"
WITHIN_S: Final = 20
SOON_NOTICED: Final = {"HUBGATE_CALL_TIMEOUT_MS": "1000", "WORKER_WAIT_MS": "500", "HUBGATE_LEASE_MS": "10000"}


class Sentinel:
    """Knows where the primary is, and says so to whoever asks."""

    def __init__(self) -> None:
        self.port = 0
        self.primary = 0
        self.asked_for: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                words = [await self._word(reader) for _ in range(int(line[1:]))]
                if words[0].upper() == "SENTINEL":
                    self.asked_for.add(words[2])
                    port = str(self.primary)
                    writer.write(f"*2\r\n$9\r\n127.0.0.1\r\n${len(port)}\r\n{port}\r\n".encode())
                else:
                    writer.write(b"+OK\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _word(self, reader: asyncio.StreamReader) -> str:
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:-2].decode()


@asynccontextmanager
async def sentinel() -> AsyncIterator[Sentinel]:
    """A Sentinel on a port of its own."""
    one = Sentinel()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


async def replicates(replica: Valkey, primary: Valkey) -> None:
    """Have one follow the other, and wait until it has all of it."""
    primary.execute("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica.execute("REPLICAOF", "127.0.0.1", str(primary.port))

    def in_sync() -> bool:
        return bool(replica.execute("INFO", "replication")["master_link_status"] == "up")

    await until(in_sync, WITHIN_S, "a replica that has all")


async def test_after_a_failover_all_go_on_with_the_primary_that_the_sentinels_name(
    request: pytest.FixtureRequest,
) -> None:
    stacks: Stacks = ours(request, "two Redis of its own")
    first, second = [await asyncio.to_thread(start_valkey, stacks.processes, name=fresh("valkey")) for _ in range(2)]
    await replicates(second, first)
    async with sentinel() as named:
        named.primary = first.port
        url = f"redis+sentinel://127.0.0.1:{named.port}/{SERVICE}/0"
        settings = {"environment": stacks.setup().settings, "overlay": stacks.overlay}
        launches = [services.api(redis_url=url, name=fresh("api"), **settings)]  # type: ignore[arg-type]
        launches.append(services.worker(fresh("worker"), redis_url=url, **settings))  # type: ignore[arg-type]
        api, worker = await stacks.processes.astart_all(launches)
        async with Server.of_stack(api.http_url).modern() as client:
            running = await client.submit(script(10, wait(1_500), 90, result="through it"))
            await reached(client, running)
            waiting = await client.submit(script(50, result="after it"))
            second.execute("REPLICAOF", "NO", "ONE")
            named.primary = second.port
            first.execute("REPLICAOF", "127.0.0.1", str(second.port))
            for job_id, result in ((running, "through it"), (waiting, "after it")):
                await client.follow_to_end(job_id)
                job = await client.job(job_id)
                assert (job["result"], job["attempt"]) == (result, 1)
            later = await client.submit(script(50, result="later"))
            await client.follow_to_end(later)
        assert second.execute("EXISTS", f"record:{later}") == 1
        assert named.asked_for == {SERVICE}
    assert (api.alive, worker.alive) == (True, True)
    for process in (api, worker):
        process.kill()
    for server in (first, second):
        server.close()


async def done(http: httpx.AsyncClient, job_id: str) -> tuple[Any, int]:
    """The result of a job and its attempt, once it has one; Redis may be away meanwhile."""
    found: dict[str, Any] = {}

    async def completed() -> bool:
        answer = await http.get(f"/api/jobs/{job_id}")
        found.update(answer.json() if answer.status_code == httpx.codes.OK else {})
        return found.get("status") == "completed"

    await until(completed, WITHIN_S, f"the end of {job_id}")
    return found["result"], found["attempt"]


async def test_a_line_to_redis_that_falls_silent_is_opened_anew(request: pytest.FixtureRequest) -> None:
    """Nothing says that it is half open: neither end is told, and no call on it is ever answered."""
    stacks: Stacks = ours(request, "a line that it can break")
    if not isinstance(stacks.redis, Valkey):
        pytest.skip("needs a Redis whose port it knows")
    prefix = f"scenarios-{fresh('silent')}:"
    async with Proxy("127.0.0.1", stacks.redis.port, name="redis") as line:
        url = stacks.redis.url.replace(f":{stacks.redis.port}", f":{line.port}")
        settings = {**stacks.setup().settings, **SOON_NOTICED}
        options: dict[str, Any] = {"redis_url": url, "prefix": prefix, "environment": settings}
        options["overlay"] = stacks.overlay
        launches = [services.api(name=fresh("api"), **options), services.worker(fresh("worker"), **options)]
        api, worker = await stacks.processes.astart_all(launches)
        server = Server.of_stack(api.http_url)
        async with server.modern() as client, server.http() as http:
            running = await client.submit(script(10, wait(300), 90, result="through it"))
            await reached(client, running)
            line.strand()
            assert await done(http, running) == ("through it", 1)
            later = {"id": fresh("later"), "service_required": "simulation", "payload": script(50, result="later")}

            async def taken() -> bool:
                return (await http.post("/api/jobs", json=later)).status_code in {200, 201}

            await until(taken, WITHIN_S, "a job that is taken")
            assert await done(http, str(later["id"])) == ("later", 1)
    assert (api.alive, worker.alive) == (True, True)
    for process in (api, worker):
        process.kill()
    empty(stacks.redis.url, prefix)
