"""A shadow as its users run it: the command as a process, and its live page as what a test asks."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from harness.processes import Launch, Process, Processes, free_port, log_says
from harness.testing.waiting import until

SLOW_S = 120.0
"""On a machine where much else runs."""


class Running:
    """One shadow that runs."""

    def __init__(self, process: Process, page: str, out: Path) -> None:
        self.process, self.page, self.out = process, page, out
        self.http_url, self.ws_url = process.http_url, process.ws_url

    async def counts(self) -> dict[str, Any]:
        """What the page shows now, nothing before it answers."""
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
                found: dict[str, Any] = (await http.get(f"{self.page}/counts.json")).json()
        except httpx.HTTPError:
            return {}
        return found

    async def shows(self, fact: Any) -> dict[str, Any]:
        """The page's figures once the fact is true of them."""

        async def true() -> dict[str, Any]:
            counts = await self.counts()
            return counts if counts and fact(counts) else {}

        try:
            counts: dict[str, Any] = await until(true, within=SLOW_S)
        except TimeoutError as error:
            raise AssertionError(f"{await self.counts()}\n{self.process.log_text()}") from error
        return counts


def hubgate(name: str, *arguments: str, ready: str | None = None, port: int | None = None) -> Launch:
    """The command line as a process."""
    code = "from hubgate.cli import main; main()"
    probe = log_says(ready) if ready else None
    command = (sys.executable, "-P", "-c", code, *arguments)
    return Launch(name=name, command=command, probe=probe, port=port, ready_s=SLOW_S)


@asynccontextmanager
async def shadow(
    processes: Processes, primary: str, candidate: str, out: Path, *arguments: str, sample: str = "100%"
) -> AsyncIterator[Running]:
    """A shadow whose follower follows; at the end it is stopped as by Ctrl-C."""
    port, page = free_port(), free_port()
    given = ["--primary", primary, "--candidate", candidate, "--out", str(out), "--sample", sample, *arguments]
    given += ["--listen", f"127.0.0.1:{port}", "--page", f"127.0.0.1:{page}", "--patience", "20"]
    launch = hubgate(f"shadow-{port}", "shadow", *given, ready="Clients go to", port=port)
    running = Running(await processes.astart(launch), f"http://127.0.0.1:{page}", out)
    try:
        await running.shows(lambda _: True)
        yield running
    finally:
        running.process.expected_to_live = False
        running.process.signal(signal.SIGINT)
        await ended(running.process)


async def ended(process: Process) -> int | None:
    """Its exit status, once it has one."""
    await until(lambda: not process.alive, within=SLOW_S)
    return process.returncode


async def reported(processes: Processes, out: Path, *arguments: str) -> tuple[int | None, str]:
    """Exit status and words of `hubgate shadow --report`."""
    process = await asyncio.to_thread(processes.start, hubgate("report", "shadow", "--report", str(out), *arguments))
    return await ended(process), process.log_text()
