"""How fast and how large one API process is: `python -m loadtests.bench.api`.

Three measurements, each bounded: POST /api/jobs per second; 1,000 SSE readers at 1 event/s each; resident memory idle,
and with 48 workers at work and 100 clients connected. The load comes from this process over plain sockets.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.processes import Process, Processes, services, start_valkey
from new_stack.queue import Completed, Lease, NewJob, ProgressUpdate, Queue, QueueSettings, WorkerReport

BODY: Final = b'{"service_required":"bench","payload":{"prompt":"a cat","steps":20}}'
READERS: Final = 1_000
WORKERS: Final = 48
CLIENTS: Final = 100


class Figures(msgspec.Struct, kw_only=True):
    """What was measured."""

    posts_per_second: float
    post_p50_ms: float
    post_p99_ms: float
    sse_readers: int
    sse_events: int
    sse_p50_ms: float
    sse_p99_ms: float
    sse_max_ms: float
    rss_idle_mb: float
    rss_after_posts_mb: float
    """After tens of thousands of jobs: it does not grow with them."""
    rss_busy_mb: float
    pss_busy_mb: float
    jobs_per_second_busy: float


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the sorted values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


@asynccontextmanager
async def stack() -> AsyncIterator[tuple[Process, str]]:
    """A Valkey and one API process; answers the process and the Redis URL."""
    with tempfile.TemporaryDirectory(prefix="hubgate-bench-") as folder:
        async with Processes(Path(folder)) as processes:
            valkey = start_valkey(processes)
            yield await processes.astart(services.api(redis_url=valkey.url)), valkey.url


# POST
async def posts(port: int, *, connections: int, seconds: float) -> tuple[float, list[float]]:
    """Jobs accepted per second over this many connections, and the time of each request in ms."""
    request = (
        b"POST /api/jobs HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: "
        + str(len(BODY)).encode()
        + b"\r\n\r\n"
        + BODY
    )
    until = time.perf_counter() + seconds
    took: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(_post_until(port, request, until, took) for _ in range(connections)))
    return len(took) / (time.perf_counter() - began), took


async def _post_until(port: int, request: bytes, until: float, took: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (began := time.perf_counter()) < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 201"):
                raise RuntimeError(f"refused: {head[:80]!r}")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            took.append((time.perf_counter() - began) * 1000)
    finally:
        writer.close()


# SSE
async def sse_latencies(port: int, queue: Queue, *, readers: int, rounds: int) -> list[float]:
    """Each reader follows a job of its own that progresses once a second; ms from the report to the reader."""
    await queue.submit_many([NewJob(service_required="sse", id=f"sse-{n}") for n in range(readers)])
    leases: list[Lease] = []
    while len(leases) < readers:
        leases += await queue.claim("bench", min(200, readers - len(leases)))
    sent: dict[tuple[str, int], float] = {}
    latencies: list[float] = []
    followers = [asyncio.create_task(_follow(port, lease.job_id, sent, latencies)) for lease in leases]
    await asyncio.sleep(2.0)
    for step in range(rounds):
        began = time.perf_counter()
        for index, lease in enumerate(leases):
            sent[lease.job_id, step] = time.time()
            await queue.progress(lease, ProgressUpdate(progress=step))
            behind = began + (index + 1) / readers - time.perf_counter()
            if behind > 0.002:
                await asyncio.sleep(behind)
    for lease in leases:
        await queue.end(Completed(lease=lease))
    await asyncio.wait_for(asyncio.gather(*followers), 20)
    return latencies


async def _follow(port: int, job_id: str, sent: dict[tuple[str, int], float], latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/jobs/{job_id}/progress HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    kind = b""
    try:
        while line := await reader.readline():
            if line.startswith(b"event: "):
                kind = line[7:].strip()
            elif line.startswith(b"data: ") and kind == b"progress":
                step = int(json.loads(line[6:])["progress"])
                latencies.append((time.time() - sent[job_id, step]) * 1000)
            elif line.startswith(b"data: ") and kind == b"completed":
                return
    finally:
        writer.close()


# memory
async def busy(api: Process, queue: Queue, *, seconds: float) -> tuple[float, float, float]:
    """RSS and PSS in MB, and jobs per second, with 48 workers at work for 100 clients that each have a job running."""
    done = 0

    async def worker(number: int, until: float) -> None:
        nonlocal done
        name = f"w-{number}"
        while time.perf_counter() < until:
            leases = await queue.claim(name, 1)
            running = tuple(lease.job_id for lease in leases)
            await queue.heartbeat(WorkerReport(worker_id=name, status="busy" if running else "idle", running=running))
            for lease in leases:
                for percent in (25, 50, 75, 100):
                    await queue.progress(lease, ProgressUpdate(progress=percent, message=f"step {percent}"))
                    await asyncio.sleep(0.05)
                await queue.end(Completed(lease=lease, result=msgspec.Raw(b'{"status":"success"}')))
                done += 1
            if not leases:
                await asyncio.sleep(0.05)

    until = time.perf_counter() + seconds
    clients = [asyncio.create_task(_client(api.http_url, n)) for n in range(CLIENTS)]
    began = time.perf_counter()
    workers = [asyncio.create_task(worker(n, until)) for n in range(WORKERS)]
    peak_rss = peak_pss = 0.0
    while time.perf_counter() < until:
        await asyncio.sleep(0.5)
        memory = api.memory()
        if memory is not None:
            peak_rss, peak_pss = max(peak_rss, memory.rss / 1e6), max(peak_pss, memory.pss / 1e6)
    await asyncio.gather(*workers)
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return peak_rss, peak_pss, done / (time.perf_counter() - began)


async def _client(base: str, number: int) -> None:
    from websockets.asyncio.client import connect  # noqa: PLC0415 - only this measurement needs it

    url = f"{base.replace('http', 'ws', 1)}/ws/client/bench-{number}"
    async with connect(url) as socket:
        await socket.recv()
        while True:
            await socket.send(json.dumps({"type": "submit_job", "job_type": "busy", "payload": {"n": number}}))
            while json.loads(await socket.recv())["type"] != "complete_job":
                pass


async def measure(*, seconds: float) -> Figures:
    """All three, each on a fresh stack."""
    async with stack() as (api, redis_url):
        memory = api.memory()
        idle = memory.rss / 1e6 if memory is not None else float("nan")
        rate, took = await posts(_port(api), connections=32, seconds=seconds)
        memory = api.memory()
        after = memory.rss / 1e6 if memory is not None else float("nan")
    async with stack() as (api, redis_url):
        queue = await Queue.connect(QueueSettings(redis_url=redis_url))
        latencies = await sse_latencies(_port(api), queue, readers=READERS, rounds=max(3, int(seconds)))
        await queue.close()
    async with stack() as (api, redis_url):
        queue = await Queue.connect(QueueSettings(redis_url=redis_url))
        rss, pss, jobs = await busy(api, queue, seconds=seconds * 2)
        await queue.close()
    return Figures(
        posts_per_second=rate,
        post_p50_ms=percentile(took, 0.5),
        post_p99_ms=percentile(took, 0.99),
        sse_readers=READERS,
        sse_events=len(latencies),
        sse_p50_ms=percentile(latencies, 0.5),
        sse_p99_ms=percentile(latencies, 0.99),
        sse_max_ms=max(latencies, default=float("nan")),
        rss_idle_mb=idle,
        rss_after_posts_mb=after,
        rss_busy_mb=rss,
        pss_busy_mb=pss,
        jobs_per_second_busy=jobs,
    )


def _port(api: Process) -> int:
    return int(api.http_url.rpartition(":")[2].rstrip("/"))


TARGETS: Final = {
    "posts_per_second": (">=", 2_500),
    "sse_p99_ms": ("<", 50),
    "rss_idle_mb": ("<=", 48),
    "rss_after_posts_mb": ("<=", 48),
    "rss_busy_mb": ("<=", 60),
}
"""What one API process has to reach on two cores."""


def main() -> int:
    """Measure and print; 0 where every target is reached, else 1."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.api", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each load lasts")
    parser.add_argument("--json", action="store_true", help="print for machines")
    options = parser.parse_args()
    figures: dict[str, Any] = msgspec.to_builtins(asyncio.run(measure(seconds=options.seconds)))
    missed = [name for name, (word, bound) in TARGETS.items() if not _reached(figures[name], word, bound)]
    if options.json:
        sys.stdout.write(json.dumps({"figures": figures, "missed": missed}) + "\n")
        return 1 if missed else 0
    for name, figure in figures.items():
        word, bound = TARGETS.get(name, ("", ""))
        verdict = "" if name not in TARGETS else "missed" if name in missed else "reached"
        sys.stdout.write(f"{name:22} {figure:>10.1f}   {word:2} {bound:>5} {verdict}".rstrip() + "\n")
    return 1 if missed else 0


def _reached(figure: float, word: str, bound: float) -> bool:
    return figure >= bound if word == ">=" else figure <= bound


if __name__ == "__main__":
    sys.exit(main())
