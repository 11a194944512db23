"""A monitor's connection, in the hub's dialect or the later one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from new_stack.api.guard.peer import PeerGone
from new_stack.api.legacy.hub import frame
from new_stack.api.legacy.messages import Fields, value
from new_stack.api.legacy.monitor import StatusChange, WorkerStatuses
from new_stack.api.legacy.monitor_session import MonitorSession
from new_stack.api.legacy.session import Connection
from new_stack.api.legacy.v2 import monitor as v2
from new_stack.api.retirement.callers import Caller
from new_stack.api.services import Services
from new_stack.api.snapshot import ACTIVE_JOBS_SHOWN, Snapshot
from new_stack.api.streaming.fanout import DeliveryBarrier, Published
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.events import EventKind, parse_id
from new_stack.queue.jobs import Job, JobState, WorkerInfo

PENDING_SHOWN: Final = 500
ENDED_SHOWN: Final = 100
WARNING: Final = "deprecation_warning"


class LaterMonitorSession(MonitorSession):
    """One monitor: greeted as the hub does, and spoken to in the later dialect once it has used it."""

    _later: LaterMonitor | None = None

    def leave(self) -> None:
        """Forget all subscriptions."""
        if self._later is not None:
            self._later.leave()
        super().leave()

    async def handle(self, kind: str, fields: Fields) -> None:
        """Serve one message."""
        if self._later is None and v2.is_v2_message(fields):
            self.speaks_later_dialect()
            self._later = LaterMonitor(self.services, self.connection, self.name, self.statuses)
            await self._later.greet(self.caller)
        if self._later is None:
            await super().handle(kind, fields)
        else:
            await self._later.handle(kind, fields)

    async def deliver(self, item: Published) -> None:
        """Send what a monitor of its dialect gets for an event."""
        if self._later is None:
            await super().deliver(item)
        else:
            await self._later.deliver(item, self.statuses.apply(item.event))

    async def deliver_snapshot(self, snapshot: Snapshot) -> None:
        """Send the periodic figures, and what changed among the workers."""
        if self._later is None:
            await super().deliver_snapshot(snapshot)
        else:
            await self._later.deliver_snapshot(snapshot)

    async def check(self, *, missed: bool = False) -> None:
        """Where events were missed, send the state anew."""
        if self._later is None:
            await super().check(missed=missed)
        elif missed:
            await self._later.send_full_state()

    def warn(self, fields: dict[str, Any]) -> None:
        """Tell of what is deprecated, behind what was to be sent before; a `subscribe` may turn it off."""
        if not self.wants(WARNING):
            return
        if self._later is not None:
            warning: dict[str, Any] = {"type": WARNING, "timestamp": int(self.now() * 1000)} | fields
        else:
            warning = frame(WARNING, self.now(), **fields)
        self.subscriber.put(DeliveryBarrier(warning))


class LaterMonitor:
    """One monitor: what it asks for, and what it has been told of the workers."""

    def __init__(self, services: Services, connection: Connection, name: str, statuses: WorkerStatuses) -> None:
        self._services = services
        self._connection = connection
        self._name = name
        self._statuses = statuses
        self._interest = v2.Interest()
        self._workers: dict[str, WorkerInfo] = {}
        self._heartbeat: asyncio.Task[None] | None = None

    async def greet(self, caller: Caller) -> None:
        """The welcome; from now on it is told every now and then that the server lives."""
        await self._send_system_status(v2.connected(self._name, self._now_ms), caller)
        self._heartbeat = asyncio.create_task(self._send_heartbeats(), name=f"heartbeats to {self._name}")
        with suppress(QueueUnavailable):
            self._remember(await self._services.snapshots.take())

    def leave(self) -> None:
        """Send nothing more."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()

    @property
    def _now_ms(self) -> int:
        """Ms since the epoch."""
        return int(self._services.clock() * 1000)

    def _remember(self, snapshot: Snapshot) -> None:
        self._workers = {worker.report.worker_id: worker for worker in snapshot.workers if worker.alive}

    async def handle(self, kind: str, fields: Fields) -> None:
        """Serve one message."""
        send = self._connection.send
        match kind:
            case "monitor_connect":
                monitor_id = value(fields, "monitor_id") or self._name
                await send({"type": "monitor_connected", "monitor_id": monitor_id, "timestamp": self._now_ms})
                if value(fields, "request_full_state"):
                    await self.send_full_state()
            case "subscribe":
                self._interest = v2.read_interest(fields)
                topics = sorted(self._interest.topics)
                await send({"type": "subscribed", "topics": topics, "timestamp": self._now_ms})
            case "heartbeat":
                await send({"type": "heartbeat_ack", "timestamp": self._now_ms, "server_timestamp": self._now_ms})
            case "resync_request":
                await self._resync(fields)
            case _:
                error = f"Unsupported message type: {kind}"
                await send({"type": "error", "error": error, "timestamp": self._now_ms})

    async def _send_system_status(self, data: dict[str, Any], greeted: Caller | None = None) -> None:
        frame = {"type": "system_status", "timestamp": self._now_ms, "data": data}
        await self._connection.send(self._services.retirement.greeted(greeted, frame) if greeted else frame)

    async def _send_heartbeats(self) -> None:
        with suppress(PeerGone):
            while True:
                await asyncio.sleep(self._services.settings.system_heartbeat_ms / 1000)
                await self._send_system_status({"type": "heartbeat", "server_time": self._now_ms})

    async def send_full_state(self) -> None:
        """The state of everything."""
        queue = self._services.queue
        snapshot, pending, active, completed, failed, cancelled = await asyncio.gather(
            self._services.snapshots.take(),
            queue.jobs(state=JobState.PENDING, limit=PENDING_SHOWN),
            queue.jobs(state=JobState.CLAIMED, limit=ACTIVE_JOBS_SHOWN),
            queue.jobs(state=JobState.COMPLETED, limit=ENDED_SHOWN),
            queue.jobs(state=JobState.FAILED, limit=ENDED_SHOWN),
            queue.jobs(state=JobState.CANCELLED, limit=ENDED_SHOWN),
        )
        self._remember(snapshot)
        self._statuses.reset(snapshot)
        jobs = {
            "pending": pending.jobs,
            "active": active.jobs,
            "completed": completed.jobs,
            "failed": failed.jobs + cancelled.jobs,  # pages read these four lists only; the status tells them apart
        }
        await self._connection.send(v2.full_state(snapshot, jobs, self._now_ms))

    async def deliver(self, item: Published, change: StatusChange | None) -> None:
        """Send an event of a job, and the change of a worker's status that it brought about."""
        if self._interest.wants_event(item.event):
            await self._send_event(item)
        if change is not None and self._interest.wants_worker(change[0]):
            await self._connection.send(v2.worker_status_changed(*change, item.event, self._now_ms))

    async def _send_event(self, item: Published) -> None:
        event = item.event
        job: Job | None = None
        if event.kind is EventKind.SUBMITTED:
            with suppress(QueueUnavailable):  # then the submission is sent without its payload
                job = await self._services.queue.job(event.job_id)
        await item.complete(self._services.queue)
        await self._connection.send(v2.event_message(item.event, job))

    async def deliver_snapshot(self, snapshot: Snapshot) -> None:
        """Send what changed among the workers, and the figures."""
        before = self._workers
        self._remember(snapshot)
        changed = self._statuses.update(snapshot)
        for name, message in v2.worker_messages(before, self._workers, changed, self._now_ms):
            if self._interest.wants_worker(name):
                await self._connection.send(message)
        if "system_stats" in self._interest.topics:
            figures = v2.system_stats(snapshot.counts, snapshot.workers)
            await self._connection.send({"type": "system_stats", "timestamp": self._now_ms, "data": figures})

    async def _resync(self, fields: Fields) -> None:
        since = v2.number(fields, "since_timestamp", 0)
        wanted = min(v2.number(fields, "max_events", v2.RESYNC_LIMIT), v2.RESYNC_LIMIT)
        queue = self._services.queue
        first = parse_id(await queue.first_event_id())
        after = f"{max(since - 1, 0)}-{2**64 - 1}"
        found, _ = await queue.events(after, block_ms=0, count=wanted + 1)
        chosen = found[:wanted]
        await self._connection.send(
            {
                "type": "resync_response",
                "timestamp": self._now_ms,
                "events": [v2.event_message(event) for event in chosen if event.kind is not EventKind.LOG],
                "has_more": len(found) > wanted,
                "oldest_available_timestamp": first[0] if first is not None else None,
            }
        )
