"""Everything at once, in ten seconds: clients of all kinds, jobs of all kinds, and everything broken in turn."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from harness.clients import LegacyClient, ModernClient, Refused, SubmissionRefused
from harness.clients.recorders import RedisRecorder, WorkerWatch, recorded, survey
from harness.faults import Cuts, KillRedis, Nemesis, OnTrigger, Proxy, Signal, Trigger, Waves
from harness.history import History, HistoryWriter, Limits
from harness.processes import Process, Processes, start_valkey
from harness.protocols import EventKind
from harness.targets import Deployment
from harness.testing import QUICK

LEASE_MS: Final = QUICK.lease_ms
QUICKER: Final = {
    "HUBGATE_HEARTBEAT_TTL_MS": "2000",
    "HUBGATE_RETRY_BACKOFF_MAX_MS": "250",
    "WORKER_POLL_INTERVAL_MS": "500",
    "WORKER_SHUTDOWN_GRACE_MS": "100",
}
"""What is shorter here than in other scenarios."""
LIMITS: Final = Limits(
    lease_ms=LEASE_MS, recovery_slack_ms=1_500, retry_backoff_ms=240, stuck_after_ms=5_000, cancel_within_ms=1_200
)
BY_JOURNAL: Final = frozenset(("run_twice", "unclaimed_run", "never_run", "runs_on", "wrong_worker", "result_swapped"))
"""Checkers that have nothing to examine here: these workers keep no journal, those of the loads do."""
END_S: Final = 12.0
"""Jobs of the sound stack have all ended by then."""
FAULT_S: Final = 15.0

SHORT: dict[str, Any] = {"simulate": [{"progress": 25}, {"sleep_ms": 60}, {"progress": 75, "message": "nearly"}]}
BURST: dict[str, Any] = {"simulate": [{"progress": step} for step in range(10, 100, 10)]}
STEADY: dict[str, Any] = {
    "simulate": [part for step in range(2, 100, 2) for part in ({"progress": step}, {"sleep_ms": 40})]
}
LONG: dict[str, Any] = {"simulate": [{"progress": 5}, {"sleep_ms": 2 * LEASE_MS + 800}, {"progress": 95}]}
FAILS: dict[str, Any] = {"simulate": [{"progress": 50}, {"fail": "CUDA out of memory"}]}
RECOVERS: dict[str, Any] = {"simulate": [{"fail": "CUDA out of memory", "attempts": 1}, {"progress": 50}]}
HIDDEN: dict[str, Any] = {"simulate": [{"progress": 50}, {"result": {"success": False, "error": "no such model"}}]}


def long_steps(count: int) -> dict[str, Any]:
    """A script of so many quarters of a second, each with progress."""
    return {"simulate": [{"progress": 10}] + [{"sleep_ms": 250}, {"progress": 20}] * count}


CANCELLED = {"cancelled-short": long_steps(3), "cancelled-long": long_steps(8)}


async def _for_a_while(nemesis: Nemesis) -> None:
    """Until its plan is carried out, or long enough: a stack that does nothing gives it nothing to strike."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FAULT_S):
            await nemesis.done()


class Chaos:
    """One run on a Redis and with processes of its own; `overlay` is a copy of the stack with a seeded defect."""

    def __init__(self, folder: Path, *, overlay: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.overlay = overlay
        self.writer = HistoryWriter(folder / "chaos.history.jsonl", about="chaos")
        self.jobs: list[str] = []
        self.ending: list[asyncio.Task[None]] = []

    async def run(self) -> History:
        """What happened. Raises ProcessDied where a process of the stack ended by itself."""
        async with AsyncExitStack() as open_:
            processes = await open_.enter_async_context(Processes(self.folder))
            self.valkey = start_valkey(processes, appendonly=True)
            shorter = {**QUICK.environment, **QUICKER}
            setup = replace(QUICK, retry_backoff_ms=250, environment=shorter, overlay=self.overlay)
            stack = await Deployment.astart(processes, setup, self.valkey)
            self.api = stack.servers[0]
            workers = await stack.astart_workers(stack.worker_launches(5))
            await open_.enter_async_context(RedisRecorder(self.valkey.url, self.writer))
            await open_.enter_async_context(WorkerWatch(self.api.http_url, self.writer, every_ms=200))
            await self._play(open_, workers)
            processes.check()
        self.writer.close()
        return History(self.writer.events)

    async def _play(self, open_: AsyncExitStack, workers: list[Process]) -> None:
        host, port = "127.0.0.1", int(self.api.launch.port or 0)
        proxy = await open_.enter_async_context(Proxy(host, port, name="api"))
        url = f"http://{host}:{proxy.port}"
        self.direct = await open_.enter_async_context(self._client("modern", self.api.http_url))
        self.cut = await open_.enter_async_context(self._client("cut", url))
        self.late = await open_.enter_async_context(self._client("late", self.api.http_url))
        self.legacy = await open_.enter_async_context(
            LegacyClient(self.api.ws_url, "legacy", **recorded(self.writer, "legacy"))
        )
        await self._begin()
        seeds = {"writer": self.writer, "every_s": 0.3}
        async with Cuts(proxy, seed=1, times=4, **seeds) as cuts:  # type: ignore[arg-type]
            await self._cancel()
            worked_on = asyncio.get_running_loop().time() + 2.4
            await self._rush()
            await _for_a_while(cuts)
        # A worker that ignores a cancel is at it for so long; the faults must not save it.
        await asyncio.sleep(max(0.0, worked_on - asyncio.get_running_loop().time()))
        await self._faults(workers)
        await asyncio.wait(self.ending, timeout=END_S)
        await survey(self.api.http_url, self.jobs, self.writer)
        self.writer.note(EventKind.SETTLED)

    def _client(self, name: str, url: str) -> ModernClient:
        return ModernClient(url, name, patience_s=60, **recorded(self.writer, name))

    async def _submit(self, job_id: str, payload: dict[str, Any], **options: Any) -> None:
        self.jobs.append(job_id)
        await self._accepted(job_id, payload, **options)
        self.ending += [self.direct.follow_in_background(job_id), self.cut.follow_in_background(job_id)]

    async def _accepted(self, job_id: str, payload: dict[str, Any], **options: Any) -> None:
        with contextlib.suppress(Refused):  # it is in the history, and judged there
            await self.direct.submit(payload, job_id=job_id, **options)

    async def _submit_legacy(self, job_id: str, payload: dict[str, Any], *, priority: int = 0) -> None:
        self.jobs.append(job_id)
        with contextlib.suppress(SubmissionRefused):  # as above: Redis may be away
            await self.legacy.submit(payload, job_id=job_id, priority=priority, timeout_s=30)

    async def _begin(self) -> None:
        """Long and failing jobs, which the rest of the run goes on beside."""
        await self._submit("long", LONG)
        for number in range(4):
            await self._submit(f"fails-{number}", FAILS)
            await self._submit(f"recovers-{number}", RECOVERS)
        await self._submit("hidden", HIDDEN)
        for job_id, payload in CANCELLED.items():
            await self._submit(job_id, payload, priority=9)
        await self._submit_legacy("owned-and-followed", long_steps(2), priority=9)
        await self._follow_legacy("owned-and-followed")

    async def _cancel(self) -> None:
        for job_id in CANCELLED:
            await self._until(job_id, EventKind.PROGRESS)
            with contextlib.suppress(Refused):
                await self.direct.cancel(job_id)
        self.ending.append(self.late.follow_in_background("hidden"))

    async def _follow_legacy(self, job_id: str) -> None:
        """Without waiting for the confirmation: a defect may keep it from coming."""
        await self.legacy.send(self.legacy.session.subscribe(job_id))

    async def _rush(self) -> None:
        """More jobs than workers, of three priorities, over both protocols; some are submitted twice."""
        for number in range(24):
            job_id, payload, priority = f"rush-{number}", BURST if number % 3 == 0 else SHORT, number % 3
            if number % 4 == 3:
                await self._submit_legacy(job_id, payload, priority=priority)
                await self._follow_legacy(job_id)
                self.ending.append(self.late.follow_in_background(job_id))
            else:
                await self._submit(job_id, payload, priority=priority)
        await self._accepted("rush-0", BURST)

    async def _faults(self, workers: list[Process]) -> None:
        async with OnTrigger(workers, self.writer, Trigger.AFTER_CLAIM, seed=3, most=3, down_s=0.1) as killing:
            await self._five("SIGKILL")
            await _for_a_while(killing)
        for how in (Signal.TERMINATE, Signal.STOP):
            await self._five(how)
            down_s = LEASE_MS / 1000 + 1.0 if how is Signal.STOP else 0.1
            plan = {"seed": 3, "how": how, "waves": 1, "share": 0.6, "every_s": 0.2, "down_s": down_s}
            async with Waves(workers, self.writer, **plan) as waves:  # type: ignore[arg-type]
                await _for_a_while(waves)
        async with KillRedis(self.valkey, self.writer, every_s=0.8, down_s=0.4) as restarting:
            await self._submit("redis", SHORT)
            for number in range(4):
                await self._submit_legacy(f"through-redis-{number}", STEADY)
                self.ending.append(self.late.follow_in_background(f"through-redis-{number}"))
            await _for_a_while(restarting)

    async def _five(self, name: str) -> None:
        for number in range(5):
            await self._submit(f"{name}-{number}", {"simulate": [{"progress": 10}, {"sleep_ms": 500}]})

    async def _until(self, job_id: str, kind: EventKind) -> None:
        """Until the log says so, or long enough: a defect may keep it from being said."""
        for _ in range(150):
            if any(e.job_id == job_id and e.kind is kind for e in self.writer.events):
                return
            await asyncio.sleep(0.01)
