"""Puppet workers: on a stack, the worker actors of a cassette take, report and end jobs directly in Redis.

The one door between the harness and the new stack's code: its public `Queue`, opened without installing anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self

import msgspec

from harness.errors import CouldNotRun
from harness.targets import StackTarget
from new_stack.queue import (
    ALL_SERVICES,
    Claimant,
    Completed,
    End,
    Failed,
    Lease,
    LeaseLost,
    LeaseState,
    ProgressUpdate,
    Queue,
    QueueError,
    QueueSettings,
    QueueUnavailable,
    Released,
    SettingsError,
    WorkerReport,
)

Notify = Callable[[str, dict[str, Any]], None]
"""Called with the actor and what it was given, in the legacy protocol's words."""
Remark = Callable[[str], None]
CLAIM_RETRY_S = 0.02
IDLE_MS = 60_000


class Puppets:
    """The puppet workers of one replay, and the connection to the queue that they share."""

    def __init__(
        self, queue: Queue, target: StackTarget, notify: Notify, remark: Remark, *, everything: tuple[str, ...]
    ) -> None:
        self._queue = queue
        self._everything = everything
        self._renew_every_s = target.lease_ms / 3000
        self._notify = notify
        self._remark = remark
        self._made: list[Puppet] = []

    @classmethod
    async def open(
        cls, target: StackTarget, notify: Notify, remark: Remark, *, everything: tuple[str, ...] = ()
    ) -> Self:
        """`everything` is what a worker that lists no services serves, if not all there are.

        Raises CouldNotRun where the target's Redis cannot be reached or holds no stack.
        """
        settings = QueueSettings(
            redis_url=target.redis_url,
            prefix=target.prefix,
            lease_ms=target.lease_ms,
            retry_backoff_ms=target.retry_backoff_ms,
        )
        try:
            queue = await Queue.connect(settings, install=False)
            await queue.counts()
        except (QueueError, SettingsError) as error:
            raise CouldNotRun(f"the stack's queue at {target.redis_url} cannot be used: {error}") from error
        return cls(queue, target, notify, remark, everything=everything)

    def puppet(self, actor: str) -> Puppet:
        """A new worker."""
        made = Puppet(
            self._queue,
            actor,
            renew_every_s=self._renew_every_s,
            notify=self._notify,
            remark=self._remark,
            everything=self._everything,
        )
        self._made.append(made)
        return made

    async def close(self) -> None:
        """All of them disappear without handing anything back."""
        for puppet in self._made:
            await puppet.drop()
        await self._queue.close()


class Puppet:
    """One worker actor. It does what the recording has, and only what a real worker of the stack would do."""

    def __init__(
        self,
        queue: Queue,
        actor: str,
        *,
        renew_every_s: float,
        notify: Notify,
        remark: Remark,
        everything: tuple[str, ...] = (),
    ) -> None:
        self._queue = queue
        self._actor = actor
        self._renew_every_s = renew_every_s
        self._notify = notify
        self._remark = remark
        self._leases: dict[str, Lease] = {}
        self._services: tuple[str, ...] = ()
        self._capabilities: dict[str, Any] = {}
        self._completed = 0
        self._worker_id = actor
        self._everything = everything
        self._renewing: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()

    async def connect(self, worker_id: str) -> None:
        """The worker appears."""
        self._worker_id = worker_id
        await self._report("idle")
        self._renewing = asyncio.create_task(self._renew(), name=f"leases of {self._actor}")

    @property
    def holds(self) -> str:
        """The job that it was given last and has not ended; empty where there is none."""
        return next(reversed(self._leases), "")

    async def act(self, message: Any, *, granted: bool, patience_s: float) -> bool:
        """Do what a message of a hub's worker means; false where it means nothing to a stack, so nothing can follow.

        `granted`: whether the hub gave the job that was claimed: then the puppet asks until it has one.
        """
        try:
            return isinstance(message, dict) and await self._act(message, granted=granted, patience_s=patience_s)
        except LeaseLost as error:
            self._leases.pop(error.job_id, None)
            self._remark(f"{self._actor}: {error}")
        except QueueUnavailable as error:
            raise CouldNotRun(f"the stack's Redis went away during the replay: {error}") from error
        except QueueError as error:
            self._remark(f"{self._actor}: {error}")
        return False

    async def _act(self, message: dict[str, Any], *, granted: bool, patience_s: float) -> bool:
        match message:
            case {"type": "register_worker"}:
                capabilities = message.get("capabilities") or {}
                self._capabilities = dict(capabilities) if isinstance(capabilities, dict) else {}
                self._services = tuple(map(str, self._capabilities.get("supported_job_types") or ()))
                await self._report(str(message.get("status", "idle")))
            case {"type": "worker_status" | "worker_heartbeat"}:
                await self._report(str(message.get("status") or "idle"))
            case {"type": "claim_job"}:
                return await self._claim(str(message.get("job_id")), patience_s, granted=granted)
            case {"type": "update_job_progress" | "complete_job" | "fail_job", "job_id": str(job_id)}:
                if job_id not in self._leases:
                    self._remark(f"{self._actor} sends {message['type']} of {job_id}, which it does not hold: not sent")
                    return False
                await self._work(self._leases[job_id], message)
            case _:
                self._remark(f"{self._actor}: a worker of the stack has no such message: {message.get('type')}")
                return False
        return True

    async def _claim(self, wanted: str, patience_s: float, *, granted: bool) -> bool:
        if not self._leases and await self._ask_for_work(patience_s if granted else 0.0):
            return True
        if granted:
            found = "is busy and does not ask" if self._leases else "asked for work and got none"
            self._remark(f"{self._actor} {found}; the recording has it claim {wanted}")
        return False

    async def look_for_work(self, seconds: float) -> None:
        """Be idle for a while, as a real worker is: whatever there is to do it takes."""
        began = time.monotonic()
        if not self._leases:
            await self._ask_for_work(seconds)
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))

    async def _ask_for_work(self, seconds: float) -> bool:
        limit = time.monotonic() + seconds
        while True:
            await self._queue.reap()
            # Idle in between, as a real worker is: a job that another one failed is offered to it.
            _, leases = await self._queue.end_and_claim(self._claimant, [], 1, idle_ms=IDLE_MS)
            for lease in leases:
                self._leases[lease.job_id] = lease
                self._notify(self._actor, _assigned(lease))
                await self._report("busy")
                return True
            if time.monotonic() >= limit:
                return False
            await asyncio.sleep(CLAIM_RETRY_S)

    @property
    def _claimant(self) -> Claimant:
        """The hub offers a worker only the types that it lists; one that lists none is offered all."""
        return Claimant(worker_id=self._worker_id, services=self._services or self._everything or ALL_SERVICES)

    async def _work(self, lease: Lease, message: dict[str, Any]) -> None:
        if message["type"] == "update_job_progress":
            update = ProgressUpdate(
                progress=message.get("progress", 0),
                status=str(message.get("status") or "processing"),
                message=message.get("message"),
                details=message.get("connector_details"),
            )
            await self._queue.progress(lease, update)
            return
        end: End
        if message["type"] == "complete_job":
            end = Completed(lease=lease, result=msgspec.Raw(msgspec.json.encode(message.get("result"))))
            self._completed += 1
        else:
            end = Failed(lease=lease, error=str(message.get("error")))
        self._leases.pop(lease.job_id, None)
        await self._queue.end(end)
        await self._report("idle")

    async def leave(self) -> None:
        """The worker goes in order: it hands back what it holds."""
        await self._stop_renewing()
        with contextlib.suppress(QueueError):
            for lease in self._leases.values():
                await self._queue.end(Released(lease=lease))
            await self._queue.unregister(self._worker_id)
        self._leases.clear()

    async def drop(self) -> None:
        """The worker disappears: it renews nothing and reports nothing any more."""
        self._leases.clear()
        await self._stop_renewing()

    async def _stop_renewing(self) -> None:
        """Let a call that is under way end: one that was sent and broken off would be carried out afterwards."""
        self._gone.set()
        if self._renewing is not None:
            renewing, self._renewing = self._renewing, None
            await renewing

    async def _report(self, status: str) -> None:
        report = WorkerReport(
            worker_id=self._worker_id,
            status=status,
            running=tuple(self._leases),
            connectors=self._services,
            services=self._services,
            capabilities=self._capabilities,
            jobs_processed=self._completed,
        )
        await self._queue.heartbeat(report)

    async def _renew(self) -> None:
        """Keep what it holds, and reap as every worker does. A lease that is lost becomes a remark."""
        while not await self._is_gone_within(self._renew_every_s):
            held = list(self._leases.values())
            with contextlib.suppress(QueueUnavailable):
                await self._queue.reap()
                await self._report("busy" if held else "idle")
                for lease, state in zip(held, await self._queue.renew(held) if held else [], strict=True):
                    if state is not LeaseState.HELD and lease.job_id in self._leases:
                        del self._leases[lease.job_id]
                        self._remark(f"{self._actor} learns on renewal that {lease.job_id} is {state.value}")

    async def _is_gone_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), seconds)
        return self._gone.is_set()


def _assigned(lease: Lease) -> dict[str, Any]:
    return {
        "type": "job_assigned",
        "job_id": lease.job_id,
        "worker_id": lease.worker_id,
        "job_type": lease.service_required,
        "priority": lease.priority,
        "params": msgspec.json.decode(lease.payload),
    }


async def contend(
    target: StackTarget, service: str, *, workers: int, rounds: int, submit: Callable[[int], Awaitable[None]]
) -> list[int]:
    """Let that many workers, each on a connection of its own, claim at the same moment while one job waits.

    `submit` puts the job of a round, which needs that service, into the queue. Answers how many got it, round by
    round. Raises CouldNotRun.
    """
    settings = QueueSettings(redis_url=target.redis_url, prefix=target.prefix, lease_ms=target.lease_ms)
    queues: list[Queue] = []
    try:
        queues.extend([await Queue.connect(settings, install=False) for _ in range(workers)])
        contenders = [Claimant(worker_id=f"contender-{index}", services=(service,)) for index in range(workers)]
        counts = []
        for number in range(rounds):
            await submit(number)
            claims = await asyncio.gather(*(queue.claim(one) for queue, one in zip(queues, contenders, strict=True)))
            held = [(queue, lease) for queue, leases in zip(queues, claims, strict=True) for lease in leases]
            counts.append(len(held))
            for queue, lease in held:
                with contextlib.suppress(LeaseLost):
                    await queue.end(Completed(lease=lease))
    except (QueueError, SettingsError) as error:
        raise CouldNotRun(f"the stack's queue at {target.redis_url} cannot be used: {error}") from error
    else:
        return counts
    finally:
        for queue in queues:
            await queue.close()
