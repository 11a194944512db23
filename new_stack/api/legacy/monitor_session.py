"""A monitor's connection, in the hub's dialect or the later one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from new_stack.api.legacy.hub import (
    BareError,
    BareSubscriptionConfirmed,
    StayAliveResponse,
    SubscriptionConfirmed,
    greeting,
    monitor_text,
)
from new_stack.api.legacy.messages import Fields, value
from new_stack.api.legacy.monitor import (
    WorkerStatuses,
    ack,
    change_key,
    connected,
    service_request,
    stats_broadcast,
    worker_status,
)
from new_stack.api.legacy.session import Connection, ConnectionGone, Session
from new_stack.api.legacy.v2 import monitor as v2
from new_stack.api.services import Services
from new_stack.api.snapshot import Snapshot
from new_stack.api.streaming.cursor import parse_id
from new_stack.api.streaming.fanout import Published
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.events import EventKind
from new_stack.queue.jobs import Job, JobState, WorkerInfo

PENDING_SHOWN: Final = 500
ENDED_SHOWN: Final = 100


class MonitorSession(Session):
    """One monitor: greeted as the hub does, and spoken to in the later dialect once it has used it."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        super().__init__(services, connection, name)
        self._channels: frozenset[Any] | None = None
        self._v2 = False
        self._interest = v2.Interest()
        self._statuses = WorkerStatuses()
        self._workers: dict[str, WorkerInfo] = {}
        self._heartbeat: asyncio.Task[None] | None = None
        services.fanout.follow_all(self.subscriber)
        services.fanout.follow_snapshots(self.subscriber)

    def leave(self) -> None:
        """Forget all subscriptions."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self.services.fanout.remove(self.subscriber)

    @property
    def now_ms(self) -> int:
        """Ms since the epoch."""
        return int(self.now * 1000)

    async def handle(self, fields: Fields) -> None:
        """Serve one message."""
        if not self._v2 and v2.is_v2_message(fields):
            self._v2 = True
            await self._send_system_status(v2.connected(self.name, self.now_ms))
            self._heartbeat = asyncio.create_task(self._send_heartbeats(), name=f"heartbeats to {self.name}")
        if self._v2:
            await self._handle_v2(fields)
        else:
            await self._handle_hub(fields)

    async def deliver(self, item: Published) -> None:
        """Send what a monitor of its dialect gets for an event."""
        change = self._statuses.apply(item.event)
        if self._v2:
            await self._deliver_v2(item)
            if change is not None and self._interest.wants_worker(change[0]):
                await self.connection.send(v2.worker_status_changed(*change, item.event, self.now_ms))
            return
        if item.event.kind is EventKind.SERVICE_REQUEST:
            await self._broadcast(service_request(item.event))
            return
        await item.complete(self.services.with_result)
        text = item.encoded(monitor_text)
        if text:
            await self.connection.send_text(text)
        if change is not None:
            await self._send_worker_status(change[0], change[2])

    async def deliver_snapshot(self, snapshot: Snapshot) -> None:
        """Send the periodic stats, and what changed among the workers."""
        if self._v2:
            await self._deliver_snapshot_v2(snapshot)
            return
        for name, status in self._statuses.update(snapshot).items():
            await self._send_worker_status(name, status)
        await self._broadcast(stats_broadcast(snapshot, connected(self.services), self.now))

    async def _send_worker_status(self, worker_id: str, status: str) -> None:
        await self._broadcast(worker_status(worker_id, status, self.now))

    async def _broadcast(self, message: dict[str, Any]) -> None:
        """Send a message that a `subscribe` may turn off, and the `ack` that follows it."""
        if self._channels is None or message["type"] in self._channels:
            await self.connection.send(message)
            await self.connection.send(ack(message, self.now))

    async def check(self, *, missed: bool = False) -> None:
        """Where events were missed, send the state anew: it shows the ends that no event tells any more."""
        if missed and self._v2:
            await self._send_full_state()
        elif missed:
            await self.send_stats(await self.services.snapshots.take())

    async def send_stats(self, snapshot: Snapshot, *, brief: bool = False) -> None:
        """One `stats_broadcast` and its `ack`."""
        frame = stats_broadcast(snapshot, connected(self.services), self.now, brief=brief)
        await self.connection.send(frame)
        await self.connection.send(ack(frame, self.now))

    async def greet(self) -> None:
        """The welcome, and the first stats."""
        await self.connection.send(greeting("Monitor", self.name, self.now))
        snapshot = await self.services.snapshots.take()
        self._remember(snapshot)
        if self.services.snapshots.broadcast_key is None:
            self.services.snapshots.broadcast_key = change_key(snapshot, connected(self.services))
        await self.send_stats(snapshot)

    def _remember(self, snapshot: Snapshot) -> None:
        self._workers = {worker.report.worker_id: worker for worker in snapshot.workers if worker.alive}
        self._statuses.reset(snapshot)

    async def _handle_hub(self, fields: Fields) -> None:
        kind = value(fields, "type")
        match kind:
            case "subscribe":
                await self._subscribe(value(fields, "channels", []))
            case "get_system_status":
                await self.send_stats(await self.services.snapshots.take())
            case "stay_alive":
                await self.connection.send(StayAliveResponse(timestamp=self.now))
            case _:
                await self.connection.send(BareError(error=f"Unsupported message type: {kind}"))

    async def _subscribe(self, channels: Any) -> None:
        """From now on only broadcasts of these types; messages about jobs always come."""
        channels = channels if isinstance(channels, list) else []
        self._channels = frozenset(word for word in channels if isinstance(word, str)) or None
        await self.connection.send(BareSubscriptionConfirmed(channels=channels))
        confirmed = SubscriptionConfirmed(
            timestamp=self.now, job_id="monitor-subscription", monitor_id=self.name, channels=channels
        )
        await self.connection.send(confirmed)
        await self.send_stats(await self.services.snapshots.take(), brief=True)

    async def _handle_v2(self, fields: Fields) -> None:
        send = self.connection.send
        kind = value(fields, "type")
        match kind:
            case "monitor_connect":
                monitor_id = value(fields, "monitor_id") or self.name
                await send({"type": "monitor_connected", "monitor_id": monitor_id, "timestamp": self.now_ms})
                if value(fields, "request_full_state"):
                    await self._send_full_state()
            case "subscribe":
                self._interest = v2.read_interest(fields)
                topics = sorted(self._interest.topics)
                await send({"type": "subscribed", "topics": topics, "timestamp": self.now_ms})
            case "heartbeat":
                await send({"type": "heartbeat_ack", "timestamp": self.now_ms, "server_timestamp": self.now_ms})
            case "resync_request":
                await self._resync(fields)
            case _:
                error = f"Unsupported message type: {kind}"
                await send({"type": "error", "error": error, "timestamp": self.now_ms})

    async def _send_system_status(self, data: dict[str, Any]) -> None:
        await self.connection.send({"type": "system_status", "timestamp": self.now_ms, "data": data})

    async def _send_heartbeats(self) -> None:
        with suppress(ConnectionGone):
            while True:
                await asyncio.sleep(self.services.settings.system_heartbeat_ms / 1000)
                await self._send_system_status({"type": "heartbeat", "server_time": self.now_ms})

    async def _send_full_state(self) -> None:
        queue = self.services.queue
        snapshot, pending, completed, failed, cancelled = await asyncio.gather(
            self.services.snapshots.take(),
            queue.jobs(state=JobState.PENDING, limit=PENDING_SHOWN),
            queue.jobs(state=JobState.COMPLETED, limit=ENDED_SHOWN),
            queue.jobs(state=JobState.FAILED, limit=ENDED_SHOWN),
            queue.jobs(state=JobState.CANCELLED, limit=ENDED_SHOWN),
        )
        self._remember(snapshot)
        jobs = {
            "pending": pending.jobs,
            "active": snapshot.active,
            "completed": completed.jobs,
            "failed": failed.jobs + cancelled.jobs,  # pages read these four lists only; the status tells them apart
        }
        await self.connection.send(v2.full_state(snapshot, jobs, self.now_ms))

    async def _deliver_v2(self, item: Published) -> None:
        event = item.event
        if not self._interest.wants_event(event):
            return
        job: Job | None = None
        if event.kind is EventKind.SUBMITTED:
            with suppress(QueueUnavailable):  # then the submission is sent without its payload
                job = await self.services.queue.job(event.job_id)
        await item.complete(self.services.with_result)
        await self.connection.send(v2.event_message(item.event, job))

    async def _deliver_snapshot_v2(self, snapshot: Snapshot) -> None:
        alive = {worker.report.worker_id: worker for worker in snapshot.workers if worker.alive}
        changed = self._statuses.update(snapshot)
        for name, message in v2.worker_messages(self._workers, alive, changed, self.now_ms):
            if self._interest.wants_worker(name):
                await self.connection.send(message)
        self._workers = alive
        if "system_stats" in self._interest.topics:
            figures = v2.system_stats(snapshot.counts, snapshot.workers)
            await self.connection.send({"type": "system_stats", "timestamp": self.now_ms, "data": figures})

    async def _resync(self, fields: Fields) -> None:
        since = v2.number(fields, "since_timestamp", 0)
        wanted = min(v2.number(fields, "max_events", v2.RESYNC_LIMIT), v2.RESYNC_LIMIT)
        queue = self.services.queue
        first = parse_id(await queue.first_event_id())
        after = f"{max(since - 1, 0)}-{2**64 - 1}"
        found = await queue.events(after, block_ms=0, count=wanted + 1)
        chosen = found[:wanted]
        await self.connection.send(
            {
                "type": "resync_response",
                "timestamp": self.now_ms,
                "events": [v2.event_message(event) for event in chosen if event.kind is not EventKind.LOG],
                "has_more": len(found) > wanted,
                "oldest_available_timestamp": first[0] if first is not None else None,
            }
        )
