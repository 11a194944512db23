"""One process of a measurement: `python -m loadtests.bench.roles ADAPTER work|paced|each|bulk URL …`.

It runs in the environment of the system that it measures, so it imports that system's adapter and nothing else.
`adapters/bullmq_node.cjs` plays the same roles in Node.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from loadtests.bench.starts import LIMIT_SECONDS, Starts


async def paced(adapter: Any, url: str, count: int, every: float) -> list[tuple[str, float]]:
    """Submit a job every so often; each id and when its submission began."""
    called = []
    async with adapter.producer(url) as (submit, _):
        due = time.monotonic()
        for _ in range(count):
            due += every
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            called.append((str(await submit()), began))
    return called


async def each(adapter: Any, url: str, count: int) -> float:
    """Submit one after the other; how many seconds that took."""
    async with adapter.producer(url) as (submit, _):
        began = time.monotonic()
        for _ in range(count):
            await submit()
        return time.monotonic() - began


async def bulk(adapter: Any, url: str, count: int) -> float | None:
    """Submit a thousand at a time; how many seconds all took, None where the system has no such thing."""
    async with adapter.producer(url) as (_, submit_thousand):
        if submit_thousand is None:
            return None
        began = time.monotonic()
        for _ in range(count // 1000):
            await submit_thousand()
        return time.monotonic() - began


def submitted(adapter: Any, role: str, url: str, count: int, every: float) -> Any:
    """What a submitting role reports."""
    match role:
        case "paced":
            return asyncio.run(paced(adapter, url, count, every))
        case "each":
            return asyncio.run(each(adapter, url, count))
        case "bulk":
            return asyncio.run(bulk(adapter, url, count))
    raise ValueError(f"no role {role}")


def main(arguments: list[str]) -> None:
    """Be a worker until killed, or submit and report as JSON on standard output."""
    name, role, url, *rest = arguments
    signal.alarm(int(LIMIT_SECONDS))
    adapter = importlib.import_module(f"loadtests.bench.adapters.{name}")
    if role == "work":
        folder = Path(rest[0])
        (folder / f"{os.getpid()}.ready").touch()
        while not (folder / "go").exists():
            time.sleep(0.005)
        adapter.work(url, Starts(rest[0]))
    else:
        json.dump(submitted(adapter, role, url, int(rest[0]), float(rest[1])), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
