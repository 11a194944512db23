"""A monitor's connection."""

from __future__ import annotations

from typing import Any

from new_stack.api.legacy import monitor
from new_stack.api.legacy.hub import frame, monitor_text
from new_stack.api.legacy.messages import Fields, value
from new_stack.api.legacy.session import Connection, Session
from new_stack.api.services import Services
from new_stack.api.snapshot import Snapshot
from new_stack.api.streaming.fanout import ALL, SNAPSHOTS, Published
from new_stack.queue.events import EventKind


class MonitorSession(Session):
    """One monitor, served as the hub does."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        super().__init__(services, connection, name)
        self._channels: frozenset[Any] | None = None
        self.statuses = monitor.WorkerStatuses()
        services.fanout.follow(self.subscriber, ALL)
        services.fanout.follow(self.subscriber, SNAPSHOTS)

    async def greet(self) -> None:
        """The welcome, and the first stats."""
        await self.greet_with(self.dialect.greeting(self.name, self.now(), "Monitor"))
        snapshot = await self.services.snapshots.take()
        self.statuses.reset(snapshot)
        if self.services.snapshots.broadcast_key is None:
            self.services.snapshots.broadcast_key = monitor.change_key(snapshot, self.services.connections.shown())
        await self._send_stats(snapshot)

    async def handle(self, kind: str, fields: Fields) -> None:
        """Serve one message."""
        match kind:
            case "subscribe":
                await self._subscribe(value(fields, "channels", []))
            case "get_system_status":
                await self._send_stats()
            case "stay_alive":
                await self.connection.send(frame("stay_alive_response", self.now()))
            case _:
                await self.connection.send({"type": "error", "error": f"Unsupported message type: {kind}"})

    async def deliver(self, item: Published) -> None:
        """Send what a monitor gets for an event."""
        change = self.statuses.apply(item.event)
        if item.event.kind is EventKind.SERVICE_REQUEST:
            await self._broadcast(monitor.service_request(item.event))
            return
        await item.complete(self.services.queue)
        text = item.encoded(monitor_text)
        if text:
            await self.connection.send_text(text)
        if change is not None:
            await self._broadcast(monitor.worker_status(change[0], change[2], self.now()))

    async def deliver_snapshot(self, snapshot: Snapshot) -> None:
        """Send the periodic stats, and what changed among the workers."""
        for name, status in self.statuses.update(snapshot).items():
            await self._broadcast(monitor.worker_status(name, status, self.now()))
        await self._broadcast(monitor.stats_broadcast(snapshot, self.services.connections.shown(), self.now()))

    async def check(self, *, missed: bool = False) -> None:
        """Where events were missed, send the state anew: it shows the ends that no event tells any more."""
        if missed:
            await self._send_stats()

    def wants(self, kind: str) -> bool:
        """Whether messages of this type are sent: a `subscribe` may turn them off."""
        return self._channels is None or kind in self._channels

    async def _broadcast(self, message: dict[str, Any]) -> None:
        """Send a message that a `subscribe` may turn off, and the `ack` that follows it."""
        if self.wants(message["type"]):
            await self._send_with_ack(message)

    async def _send_stats(self, snapshot: Snapshot | None = None, *, brief: bool = False) -> None:
        snapshot = snapshot or await self.services.snapshots.take()
        connected = self.services.connections.shown()
        await self._send_with_ack(monitor.stats_broadcast(snapshot, connected, self.now(), brief=brief))

    async def _send_with_ack(self, message: dict[str, Any]) -> None:
        await self.connection.send(message)
        await self.connection.send(monitor.ack(message, self.now()))

    async def _subscribe(self, channels: Any) -> None:
        """From now on only broadcasts of these types; messages about jobs always come."""
        channels = channels if isinstance(channels, list) else []
        self._channels = frozenset(word for word in channels if isinstance(word, str)) or None
        await self.connection.send({"type": "subscription_confirmed", "channels": channels})
        about = {"job_id": "monitor-subscription", "monitor_id": self.name, "channels": channels}
        await self.connection.send(frame("subscription_confirmed", self.now(), **about))
        await self._send_stats(brief=True)
