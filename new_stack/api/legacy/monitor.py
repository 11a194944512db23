"""The hub's dialect of monitors: what they ask for, and what they are told of jobs and workers."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from new_stack.api.legacy.events import event_frame, for_monitor
from new_stack.api.legacy.frames import Ack, WorkerStatus
from new_stack.api.legacy.frames import encode as encode_frame
from new_stack.api.legacy.messages import Fields, value
from new_stack.queue.events import Event
from new_stack.queue.jobs import WorkerInfo


class SubscribeChannels(msgspec.Struct, frozen=True):
    """From now on only broadcasts of these types; job messages always come."""

    channels: tuple[Any, ...]


class AskStats(msgspec.Struct, frozen=True):
    """A `stats_broadcast` now."""


class MonitorStayAlive(msgspec.Struct, frozen=True):
    """Say that the connection is alive."""


class Unsupported(msgspec.Struct, frozen=True):
    """A message that monitors may not send."""

    kind: Any


MonitorAction = SubscribeChannels | AskStats | MonitorStayAlive | Unsupported

FILTERED: Final = frozenset({"stats_broadcast", "worker_status", "connector_ws_status", "service_request"})
"""Types that a monitor's channels filter."""


def read_monitor_action(fields: Fields) -> MonitorAction:
    """What a monitor's message asks for."""
    kind = value(fields, "type")
    match kind:
        case "subscribe":
            channels = value(fields, "channels", [])
            return SubscribeChannels(tuple(channels) if isinstance(channels, list) else ())
        case "get_system_status":
            return AskStats()
        case "stay_alive":
            return MonitorStayAlive()
    return Unsupported(kind)


def monitor_text(event: Event) -> str:
    """What monitors see of an event: the client's frame with the client's id; empty where there is none."""
    frame = event_frame(event)
    return "" if frame is None else encode_frame(for_monitor(frame, event.client_id)).decode()


def ack(original_id: str, original_type: str, now: float) -> Ack:
    """The message that follows a broadcast."""
    return Ack(timestamp=now, message_id=f"ack-{int(now)}", original_id=original_id, original_type=original_type)


def worker_status(worker_id: str, status: str, now: float) -> WorkerStatus:
    """A worker's new status."""
    return WorkerStatus(timestamp=now, message_id=f"worker-status-{int(now)}", worker_id=worker_id, status=status)


def status_changes(before: dict[str, str], workers: tuple[WorkerInfo, ...]) -> dict[str, str]:
    """Known workers whose status word changed since."""
    now = {worker.report.worker_id: worker.report.status for worker in workers if worker.alive}
    return {name: status for name, status in now.items() if name in before and before[name] != status}
