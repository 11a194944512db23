"""What the pages tell somebody who has a hub of their own to type, typed against one in their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from harness.clients import HubWorker, LegacyClient
from harness.processes import Processes, free_port, services, start_valkey
from harness.testing import until
from tests.pages import Terminal, commands, listens

PAGES = ("README.md", "docs/your-hub.md", "docs/your-own.md")
OTHERS = {"README.md": {"make", "up", "tour"}}
"""Blocks that tests/test_readme.py runs."""
INTERRUPTED = 3


class Yours:
    """A hub, a stack without workers, and the ports that stand for those of the page."""

    def __init__(self, page: str, folder: Path, processes: Processes) -> None:
        hub, valkey = processes.start(services.hub()), start_valkey(processes)
        stack = processes.start(services.api(redis_url=valkey.url))
        self.listen, self.up = free_port(), free_port()
        self.hub, self.recorder = hub.ws_url, f"ws://127.0.0.1:{self.listen}"
        changes = {
            "ws://hub.internal:8001": self.hub,
            "hub.internal": "127.0.0.1",
            "--listen 127.0.0.1:8001": f"--listen 127.0.0.1:{self.listen}",
            "http://stack.internal:8000": stack.http_url,
            "redis://redis.internal/0": valkey.url,
            "--port 8000": f"--port {self.up}",
            "http://127.0.0.1:8000": f"http://127.0.0.1:{self.up}",
            "redis://127.0.0.1:6379": valkey.url.rpartition("/")[0],
        }
        self.page, self.terminal = page, Terminal(page, folder, changes)

    async def type(self, line: str) -> None:
        """One line of the page, up to its end, or to a Ctrl-C once it does what it is for."""
        folder = self.terminal.folder
        match line.split()[1]:
            case "record":
                assert "today.jsonl" in await self.terminal.type(line, self.some_clients())
            case "replay":
                assert "same" in await self.terminal.type(line)
            case "init":
                assert "wrote mine.toml" in await self.terminal.type(line)
            case "shadow":
                begun = until((folder / "out" / "shadow").exists, within=60, what="the shadow")
                assert "Clients go to" in await self.terminal.type(line, begun)
            case "gate":
                begun = until((folder / "out" / "latest").exists, within=90, what="the run")
                said = await self.terminal.type(line, begun, status=INTERRUPTED)
                assert "Report: out/" in said
                assert f"hub, reachable: {self.hub.replace('ws', 'http', 1)} answers" in said
            case other:
                raise AssertionError(f"{self.page}: no test knows how to run `hubgate {other}`")

    async def some_clients(self) -> None:
        await until(lambda: listens(self.listen), within=60, what="the recorder")
        worker = HubWorker(self.recorder, "worker-1", services=("simulation",))
        async with worker, LegacyClient(self.recorder, "team-1") as client:
            await client.ended(await client.submit({"simulate": [{"progress": 50}, {"result": {"a": 1}}]}))


@pytest.fixture
def yours(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Yours]:
    folder = tmp_path / "typed"
    folder.mkdir()
    with Processes(tmp_path / "processes") as processes:
        yield Yours(request.param, folder, processes)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("yours", PAGES, indirect=True)
async def test_every_line_about_your_own_is_accepted_and_does_what_it_is_for(yours: Yours) -> None:
    blocks = {name: text for name, text in commands(yours.page).items() if name not in OTHERS.get(yours.page, ())}
    async with AsyncExitStack() as terminals:
        for line in "".join(blocks.values()).splitlines(keepends=True):
            if line.startswith("hubgate up "):
                await terminals.enter_async_context(yours.terminal.running(line))
                await until(lambda: listens(yours.up), within=60, what="the stack")
            else:
                await yours.type(line)
