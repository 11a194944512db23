"""Fault `linear-cost` under load: 48 workers, jobs at a steady rate, and how long until a worker has one.

Run it: `python -m tests.legacy_hub_sim.load_shape`. It starts a Valkey and a hub of its own on loopback and ends them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from harness.processes import services
from harness.processes.processes import Processes
from harness.processes.redis import start_valkey

WORKERS = 48
STEPS = (25, 75)
STEP_SECONDS = 0.05
DRAIN_SECONDS = 6.0
"""How long jobs may still finish after the last one was submitted."""


class Shape(msgspec.Struct):
    """What one rate came to; latencies in ms, of the jobs that got so far."""

    rate: float
    submitted: int
    completed: int
    claim_ms: list[float]
    progress_ms: list[float]
    hub_mb: float = 0

    def line(self) -> str:
        claim = f"claim p50 {at(self.claim_ms, 50):8.1f}  p99 {at(self.claim_ms, 99):8.1f} ms"
        progress = f"progress p99 {at(self.progress_ms, 99):8.1f} ms"
        done = f"completed {self.completed:4} of {self.submitted:4}"
        return f"{self.rate:5.0f} jobs/s  {claim}  {progress}  {done}  hub {self.hub_mb:5.1f} MB"


def at(values: list[float], percent: int) -> float:
    if len(values) < 2:
        return float("nan")
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def measure(port: int, rate: float, seconds: float) -> Shape:
    """Submit at a rate for some seconds, then wait until all is done, or no longer than the drain time."""
    jobs = round(rate * seconds)
    shape = Shape(rate, jobs, 0, [], [])
    client = await connect(f"ws://127.0.0.1:{port}/ws/client/load", max_size=None)
    workers = [asyncio.create_task(work(port, f"w{number}")) for number in range(WORKERS)]
    await asyncio.sleep(0.5)
    submitted: dict[str, float] = {}
    watching = asyncio.create_task(watch(client, submitted, shape))
    began = time.monotonic()
    for number in range(jobs):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        job_id = f"j{rate:g}-{number}"
        submitted[job_id] = time.time()
        await client.send(json.dumps({"type": "submit_job", "job_type": "t", "payload": {}, "message_id": job_id}))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await watching
    for task in (watching, *workers):
        task.cancel()
    await asyncio.gather(watching, *workers, return_exceptions=True)
    client.transport.abort()
    return shape


async def watch(client: ClientConnection, submitted: dict[str, float], shape: Shape) -> None:
    """Note when each job was claimed, progressed and completed, until all are."""
    started: set[str] = set()
    async for text in client:
        message: dict[str, Any] = json.loads(text)
        match message["type"]:
            case "response_job_status" if message["status"] == "processing" and message["job_id"] not in started:
                started.add(message["job_id"])
                shape.claim_ms.append((time.time() - submitted[message["job_id"]]) * 1000)
            case "update_job_progress":
                shape.progress_ms.append((time.time() - float(message["message"])) * 1000)
            case "complete_job":
                shape.completed += 1
                if shape.completed == shape.submitted:
                    return


async def work(port: int, name: str) -> None:
    """A worker that claims what it is offered and takes a tenth of a second for it."""
    async with connect(f"ws://127.0.0.1:{port}/ws/worker/{name}", max_size=None) as socket:
        await say(socket, "register_worker", worker_id=name, capabilities={"supported_job_types": ["t"]})
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "job_available":
                await say(socket, "claim_job", worker_id=name, job_id=message["job_id"])
            elif message["type"] == "job_assigned":
                await perform(socket, name, message["job_id"])


async def perform(socket: ClientConnection, name: str, job_id: str) -> None:
    for step in STEPS:
        await asyncio.sleep(STEP_SECONDS)
        sent = repr(time.time())
        await say(socket, "update_job_progress", worker_id=name, job_id=job_id, progress=step, message=sent)
    await say(socket, "complete_job", worker_id=name, job_id=job_id, result={"ok": True})
    await say(socket, "worker_status", worker_id=name, status="idle")


async def say(socket: ClientConnection, type_: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": type_, **fields}))


def shapes(rates: list[float], seconds: float, without: tuple[str, ...] = ()) -> list[Shape]:
    """One fresh hub and an empty Valkey for each rate."""
    found = []
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
        valkey = start_valkey(processes)
        for number, rate in zip(itertools.count(), rates, strict=False):
            valkey.flush()
            launch = services.hub(redis_url=valkey.url, without=without, name=f"hub-{number}")
            hub = processes.start(launch)
            shape = asyncio.run(measure(launch.port or 0, rate, seconds))
            memory = hub.state()
            shape.hub_mb = memory.rss / 2**20 if memory else 0
            hub.stop()
            found.append(shape)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="5,20,50")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--without", default="", help="faults to switch off, e.g. linear-cost")
    given = parser.parse_args()
    off = tuple(name for name in given.without.split(",") if name)
    for shape in shapes([float(rate) for rate in given.rates.split(",")], given.seconds, off):
        print(shape.line())  # noqa: T201 - it is what the script is for


if __name__ == "__main__":
    main()
