"""What a user of hubgate imports: `from hubgate import Client, Queue, Worker, Connector`.

A name's module is imported when the name is first used: a client costs nothing of the queue, and the other way round.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from hubgate.queue import NewJob, Queue
    from new_stack.client import BlockingClient, ClientError, JobEvent, JobStatus
    from new_stack.client import HybridClient as Client
    from new_stack.queue import InvalidJob, QueueError, QueueSettings
    from new_stack.worker import Connector, ConnectorSettings, JobContext, JobFailed, Worker, WorkerSettings
    from new_stack.worker.connectors.tasks import Task, task

__all__ = [
    "BlockingClient",
    "Client",
    "ClientError",
    "Connector",
    "ConnectorSettings",
    "InvalidJob",
    "JobContext",
    "JobEvent",
    "JobFailed",
    "JobStatus",
    "NewJob",
    "Queue",
    "QueueError",
    "QueueSettings",
    "Task",
    "Worker",
    "WorkerSettings",
    "task",
]

_CLIENT, _QUEUE, _WORKER = "new_stack.client", "new_stack.queue", "new_stack.worker"
_MODULES: Final = {
    **dict.fromkeys(("BlockingClient", "Client", "ClientError", "JobEvent", "JobStatus"), _CLIENT),
    **dict.fromkeys(("NewJob", "Queue"), "hubgate.queue"),
    **dict.fromkeys(("InvalidJob", "QueueError", "QueueSettings"), _QUEUE),
    **dict.fromkeys(("JobContext", "Connector", "ConnectorSettings", "JobFailed", "Worker", "WorkerSettings"), _WORKER),
    **dict.fromkeys(("Task", "task"), "new_stack.worker.connectors.tasks"),
}
_ALIASES: Final = {"Client": "HybridClient"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), _ALIASES.get(name, name))


def __dir__() -> list[str]:
    return __all__
