"""A monitor's connection, in the hub's dialect or the later one."""

from __future__ import annotations

from typing import Any, Final

from new_stack.api.legacy.hub import frame, greeting, monitor_text
from new_stack.api.legacy.messages import Fields, value
from new_stack.api.legacy.monitor import (
    WorkerStatuses,
    ack,
    change_key,
    service_request,
    stats_broadcast,
    worker_status,
)
from new_stack.api.legacy.session import Connection, Session
from new_stack.api.legacy.v2.monitor import is_v2_message
from new_stack.api.legacy.v2.monitor_session import LaterMonitor
from new_stack.api.services import Services
from new_stack.api.snapshot import Snapshot
from new_stack.api.streaming.fanout import ALL, SNAPSHOTS, DeliveryBarrier, Published
from new_stack.queue.events import EventKind

WARNING: Final = "deprecation_warning"


class MonitorSession(Session):
    """One monitor: greeted as the hub does, and spoken to in the later dialect once it has used it."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        super().__init__(services, connection, name)
        self._channels: frozenset[Any] | None = None
        self._later: LaterMonitor | None = None
        self._statuses = WorkerStatuses()
        services.fanout.follow(self.subscriber, ALL)
        services.fanout.follow(self.subscriber, SNAPSHOTS)

    def leave(self) -> None:
        """Forget all subscriptions."""
        if self._later is not None:
            self._later.leave()
        self.services.fanout.remove(self.subscriber)

    async def handle(self, fields: Fields) -> None:
        """Serve one message."""
        if self._later is None and is_v2_message(fields):
            self.speaks_later_dialect()
            self._later = LaterMonitor(self.services, self.connection, self.name, self._statuses)
            await self._later.greet(self.caller)
        await (self._later.handle(fields) if self._later is not None else self._handle_hub(fields))

    async def deliver(self, item: Published) -> None:
        """Send what a monitor of its dialect gets for an event."""
        change = self._statuses.apply(item.event)
        if self._later is not None:
            await self._later.deliver(item, change)
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
        if self._later is not None:
            await self._later.deliver_snapshot(snapshot)
            return
        for name, status in self._statuses.update(snapshot).items():
            await self._send_worker_status(name, status)
        await self._broadcast(stats_broadcast(snapshot, self.services.connections.shown(), self.now))

    def warn(self, fields: dict[str, Any]) -> None:
        """Tell of what is deprecated, behind what was to be sent before; a `subscribe` may turn it off."""
        if self._later is not None:
            warning: dict[str, Any] = {"type": WARNING, "timestamp": int(self.now * 1000)} | fields
        else:
            warning = frame(WARNING, self.now, **fields)
        if self._channels is None or WARNING in self._channels:
            self.subscriber.put(DeliveryBarrier(warning))

    async def _send_worker_status(self, worker_id: str, status: str) -> None:
        await self._broadcast(worker_status(worker_id, status, self.now))

    async def _broadcast(self, message: dict[str, Any]) -> None:
        """Send a message that a `subscribe` may turn off, and the `ack` that follows it."""
        if self._channels is None or message["type"] in self._channels:
            await self.connection.send(message)
            await self.connection.send(ack(message, self.now))

    async def check(self, *, missed: bool = False) -> None:
        """Where events were missed, send the state anew: it shows the ends that no event tells any more."""
        if missed and self._later is not None:
            await self._later.send_full_state()
        elif missed:
            await self.send_stats(await self.services.snapshots.take())

    async def send_stats(self, snapshot: Snapshot, *, brief: bool = False) -> None:
        """One `stats_broadcast` and its `ack`."""
        stats = stats_broadcast(snapshot, self.services.connections.shown(), self.now, brief=brief)
        await self.connection.send(stats)
        await self.connection.send(ack(stats, self.now))

    async def greet(self) -> None:
        """The welcome, and the first stats."""
        await self.greet_with(greeting("Monitor", self.name, self.now))
        snapshot = await self.services.snapshots.take()
        self._statuses.reset(snapshot)
        if self.services.snapshots.broadcast_key is None:
            self.services.snapshots.broadcast_key = change_key(snapshot, self.services.connections.shown())
        await self.send_stats(snapshot)

    async def _handle_hub(self, fields: Fields) -> None:
        kind = value(fields, "type")
        match kind:
            case "subscribe":
                await self._subscribe(value(fields, "channels", []))
            case "get_system_status":
                await self.send_stats(await self.services.snapshots.take())
            case "stay_alive":
                await self.connection.send(frame("stay_alive_response", self.now))
            case _:
                await self.connection.send({"type": "error", "error": f"Unsupported message type: {kind}"})

    async def _subscribe(self, channels: Any) -> None:
        """From now on only broadcasts of these types; messages about jobs always come."""
        channels = channels if isinstance(channels, list) else []
        self._channels = frozenset(word for word in channels if isinstance(word, str)) or None
        await self.connection.send({"type": "subscription_confirmed", "channels": channels})
        about = {"job_id": "monitor-subscription", "monitor_id": self.name, "channels": channels}
        await self.connection.send(frame("subscription_confirmed", self.now, **about))
        await self.send_stats(await self.services.snapshots.take(), brief=True)
