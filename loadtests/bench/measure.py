"""One system measured: submissions, draining, idling, and the way from submission to the job's first line."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import redis

from harness.processes import Launch, Process, Processes, Valkey
from loadtests.bench import starts

ROOT = Path(__file__).parent.parent.parent
OURS = "hubgate"
READY_SECONDS = 60.0
DRAIN_SECONDS = 15.0
"""Who has not drained all by then is judged by what it did."""
SETTLE_SECONDS = 2.0


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    each: int = 5_000
    bulk: int = 20_000
    drain: int = 20_000
    idle_seconds: float = 4.0
    paced: int = 500
    every: float = 0.02


class Measured(msgspec.Struct, kw_only=True):
    """One system's figures; None where it has no such thing, `note` where it could not be measured."""

    name: str
    version: str = ""
    shape: str = ""
    each_per_s: float | None = None
    bulk_per_s: float | None = None
    drain_per_s: float | None = None
    idle_commands_per_s: float | None = None
    idle_round_trips_per_s: float | None = None
    p50_ms: float | None = None
    """From the call of the submission to the job's first line."""
    p99_ms: float | None = None
    redis_commands_per_job: float | None = None
    """Commands that Redis carries out for a job from its submission to its end, those inside scripts counted too."""
    redis_cpu_ms: float | None = None
    """Processor time of Redis for 1,000 such jobs."""
    round_trips_per_job: float | None = None
    worker_pss_mb: float | None = None
    note: str = ""


class Trial:
    """One system on one Redis, with the command that starts its roles."""

    def __init__(self, name: str, command: tuple[str, ...], valkey: Valkey, processes: Processes, size: Size) -> None:
        self.name = name
        self.command = command
        self.valkey = valkey
        self.processes = processes
        self.size = size
        self.admin = redis.Redis.from_url(valkey.url)
        self._running: dict[Path, list[Process]] = {}

    def measure(self, measured: Measured, *, worker_count: int) -> None:
        """Fill in the figures."""
        size = self.size
        self.admin.flushall()
        measured.each_per_s = size.each / self._submit("each", size.each)
        self.admin.flushall()
        took = self._submit("bulk", size.bulk)
        measured.bulk_per_s = size.bulk / took if took else None
        measured.drain_per_s = self.drain(measured, worker_count)
        self._paced(measured, worker_count)

    def _command(self, role: str, *arguments: object) -> tuple[str, ...]:
        return (*self.command, role, self.valkey.url, *(str(argument) for argument in arguments))

    def _submit(self, role: str, count: int, every: float = 0.0) -> Any:
        done = subprocess.run(  # noqa: S603 - our own module
            self._command(role, count, every),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=starts.LIMIT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name} {role}: {done.stderr.strip().splitlines()[-1:]}")
        return json.loads(done.stdout)

    @contextmanager
    def workers(self, count: int) -> Iterator[Path]:
        """Worker processes, imported and waiting for the word to begin; they end with the block."""
        folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.processes.folder.resolve()))
        environment = {"PYTHONPATH": str(ROOT)}
        started = [
            self.processes.start(
                Launch(
                    name=f"{folder.name}-{index}",
                    command=self._command("work", folder),
                    environment=environment,
                )
            )
            for index in range(count)
        ]
        self._running[folder] = started
        try:
            limit = time.monotonic() + READY_SECONDS
            while len(list(folder.glob("*.ready"))) < count:
                self.processes.check()
                if time.monotonic() > limit:
                    raise RuntimeError(f"{self.name}: workers were not ready within {READY_SECONDS:.0f} s")
                time.sleep(0.02)
            yield folder
        finally:
            self.kill_workers(folder)

    def kill_workers(self, folder: Path) -> None:
        """SIGKILL the worker processes of one batch."""
        for process in self._running.pop(folder, ()):
            process.kill()

    def starts(self, folder: Path) -> list[tuple[str, float]]:
        """Every start that a batch of worker processes has noted."""
        return starts.read(folder)

    def drain(self, measured: Measured, worker_count: int) -> float:
        """Jobs begun per second between the first and the last of many that wait; and what Redis spent on them."""
        self.admin.flushall()
        before = self._spent()
        if self._submit("bulk", self.size.drain) is None:
            self._submit("each", self.size.drain)
        submitted = self._spent()
        with self.workers(worker_count) as folder:
            began = self._spent()
            (folder / "go").touch()
            limit = time.monotonic() + DRAIN_SECONDS
            while len(found := starts.read(folder)) < self.size.drain and time.monotonic() < limit:
                time.sleep(0.2)
            drained = self._spent()
        moments = sorted(at for _, at in found)
        if len(moments) < 2:
            raise RuntimeError(f"{self.name}: no job was run")
        commands, seconds = (
            (submitted[kind] - before[kind]) / self.size.drain + (drained[kind] - began[kind]) / len(found)
            for kind in range(2)
        )
        measured.redis_commands_per_job, measured.redis_cpu_ms = commands, seconds * 1e6
        return (len(moments) - 1) / (moments[-1] - moments[0])

    def _spent(self) -> tuple[float, float]:
        """Commands that Redis has carried out, and seconds of its processor."""
        stats: Any = self.admin.info("commandstats")
        cpu: Any = self.admin.info("cpu")
        return sum(one["calls"] for one in stats.values()), cpu["used_cpu_user"] + cpu["used_cpu_sys"]

    def _paced(self, measured: Measured, worker_count: int) -> None:
        self.admin.flushall()
        with self.workers(worker_count) as folder:
            (folder / "go").touch()
            time.sleep(SETTLE_SECONDS)
            commands, reads = self._counts()
            time.sleep(self.size.idle_seconds)
            commands_then, reads_then = self._counts()
            idle_reads = (reads_then - reads) / self.size.idle_seconds
            measured.idle_commands_per_s = (commands_then - commands) / self.size.idle_seconds
            measured.idle_round_trips_per_s = idle_reads
            measured.worker_pss_mb = self._memory()
            began, (_, reads) = time.monotonic(), self._counts()
            returned = dict(self._submit("paced", self.size.paced, self.size.every))
            time.sleep(SETTLE_SECONDS)
            used = self._counts()[1] - reads - idle_reads * (time.monotonic() - began)
            measured.round_trips_per_job = used / self.size.paced
            begun = dict(reversed(starts.read(folder)))
        late = sorted((begun[job] - at) * 1000 for job, at in returned.items() if job in begun)
        if len(late) < len(returned):
            measured.note = f"{len(returned) - len(late)} of {len(returned)} jobs had not run at the end"
        if late:
            measured.p50_ms = late[len(late) // 2]
            measured.p99_ms = late[min(len(late) - 1, int(len(late) * 0.99))]

    def _counts(self) -> tuple[int, int]:
        """Commands run and reads from clients so far: a read is what one round trip costs the server."""
        stats: Any = self.admin.info("stats")
        return stats["total_commands_processed"], stats["total_reads_processed"]

    def _memory(self) -> float:
        """Proportional share of the largest worker process, in MB."""
        shares = [memory.pss for batch in self._running.values() for process in batch if (memory := process.memory())]
        return max(shares, default=0) / 1e6
