"""docs/migrate.md, run as it stands: a week of a team with ten clients, against the hub's simulator and a stack.

Only addresses, the length of an hour and the time of the brown-out are others than on the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.clients import HubWorker, LegacyClient
from harness.processes import Processes, free_port, services, start_valkey
from harness.testing.waiting import until
from tests.pages import Terminal, commands, listens, parts

from .small_clients import SmallClient, Team

PAGE = "docs/migrate.md"


class Week(Terminal):
    """The page's commands, with the addresses of this test, in a folder of its own."""

    def __init__(self, folder: Path, hub: str, redis: str) -> None:
        self.hub = hub
        self.ports = {page: free_port() for page in ("8000", "8010", "8011", "8012", "8013")}
        self.stack = f"http://127.0.0.1:{self.ports['8000']}"
        changes = {
            "ws://hub.internal:8001": hub.replace("http", "ws", 1),
            "redis://127.0.0.1:6379": redis.rpartition("/")[0],
            "0 10 * * 1-5": "* * * * *",
            **{page: str(port) for page, port in self.ports.items()},
        }
        super().__init__(PAGE, folder, changes)

    def url(self, page: str) -> str:
        return f"http://127.0.0.1:{self.ports[page]}"

    def starts(self, part: str) -> AbstractAsyncContextManager[None]:
        return self.running(self.parts[f"start {part}"])


@pytest.fixture
def week(tmp_path: Path) -> Iterator[Week]:
    with Processes(tmp_path / "processes") as processes:
        hub, valkey = processes.start(services.hub()), start_valkey(processes)
        folder = tmp_path / "week"
        folder.mkdir()
        yield Week(folder, hub.http_url, valkey.url)


async def answers(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            return (await http.get(url)).is_success
        except httpx.TransportError:
            return False


async def an_hour(week: Week, page: str, *, odd: bool = False) -> None:
    """What some clients and a worker do in the hour in which they go to another port."""
    url = week.url(page).replace("http", "ws", 1)
    await until(lambda: listens(week.ports[page]), within=30)
    worker = HubWorker(url, f"hub-worker-{page}", services=("simulation",))
    async with worker, LegacyClient(url, "team-1") as client:
        for _ in range(3):
            await client.ended(await client.submit({"simulate": [{"progress": 50}, {"result": {"a": 1}}]}))
        if odd:
            await client.send({"type": "submit_job", "job_type": "simulation", "payload": {}, "priority": "5"})
            await client.expect("error")


async def more_jobs(clients: list[SmallClient], count: int = 2) -> None:
    """Wait until each has done some more."""
    before = {client.name: len(client.done) for client in clients}
    await until(lambda: all(len(client.done) >= before[client.name] + count for client in clients), within=60)


async def usage(week: Week) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as http:
        found = (await http.get(f"{week.stack}/api/usage", params={"limit": 1_000})).json()
    return {client["client"]: client for client in found["clients"]}


@pytest.mark.timeout(600)
async def test_the_week_of_the_page_loses_no_job_and_leaves_nobody_without_a_word(week: Week) -> None:
    team = Team(week.hub)
    async with AsyncExitStack() as terminals:
        await week.run("record", an_hour(week, "8011", odd=True))
        await terminals.enter_async_context(week.starts("trial"))
        await until(lambda: answers(f"{week.url('8010')}/health"), within=30)
        await week.run("replay")
        await week.run("declare")
        await terminals.enter_async_context(week.starts("trial-worker"))
        await week.run("shadow", an_hour(week, "8012"))
        hub_worker = HubWorker(week.hub.replace("http", "ws"), "hub-worker", services=("simulation",))
        async with hub_worker, team.at_work():
            await week.run("settings")
            await terminals.enter_async_context(week.starts("api"))
            await until(lambda: answers(f"{week.stack}/health"), within=30)
            await terminals.enter_async_context(week.starts("worker"))
            team.all[0].address = week.stack
            await more_jobs(team.all)
            await until(lambda: usage(week))
            await week.run("first")
            for client in team.all:
                client.address = week.stack
            await more_jobs(team.all)
            await week.run("notice")
            await more_jobs(team.all)
            await week.run("brown-out")
            [met] = await until(lambda: [client for client in team.old if client.told], within=30)
            await more_jobs(team.all)
            await week.run("notice")
            await until(lambda: came_back(week, met.name))
            await week.run("after")
            await week.run("ask")
            await week.run("switch")
            await until(lambda: all(client.told for client in team.old), within=30)
            await more_jobs(team.all)
            await week.run("back")
            told = {client.name: len(client.told) for client in team.old}
            await more_jobs(team.all, 3)
            assert {client.name: len(client.told) for client in team.old} == told
        await everything_has_ended(week, team)
        assert "Brown-out" in met.told[0]
        assert not any(client.told for client in team.new)


async def came_back(week: Week, name: str) -> bool:
    brown_outs = (await usage(week))[name]["brown_outs"]
    return bool(brown_outs) and brown_outs[-1]["came_back"] is not None


async def everything_has_ended(week: Week, team: Team) -> None:
    """What the clients know of as done is done at the stack, each once, and nothing else is left there."""
    done = [job_id for client in team.all for address, job_id in client.done if address == week.stack]
    assert len(done) == len(set(done))
    async with httpx.AsyncClient(base_url=week.stack, trust_env=False) as http:
        for job_id in done:
            assert (await http.get(f"/api/jobs/{job_id}")).json()["status"] == "completed"
        await until(lambda: _idle(http))


async def _idle(http: httpx.AsyncClient) -> bool:
    counts = (await http.get("/api/stats")).json()["queue"]
    return not counts["pending"] and not counts["claimed"]


def test_every_part_of_the_page_is_run() -> None:
    test = Path(__file__).read_text(encoding="utf-8")
    for part in {**parts(PAGE), **commands(PAGE)}:
        assert f'"{part.removeprefix("sees ").removeprefix("start ")}"' in test, f"the part {part} is not run"
