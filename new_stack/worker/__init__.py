"""Workers: processes that claim jobs and run them with connectors."""

from new_stack.log import EventLog
from new_stack.worker.connector_registry import ConnectorRegistry
from new_stack.worker.connectors import Connector, ConnectorSettings, JobContext, JobFailed
from new_stack.worker.settings import WorkerSettings
from new_stack.worker.worker import Worker

__all__ = [
    "Connector",
    "ConnectorRegistry",
    "ConnectorSettings",
    "EventLog",
    "JobContext",
    "JobFailed",
    "Worker",
    "WorkerSettings",
]
