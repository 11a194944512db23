"""Workers: processes that claim jobs and run them with connectors."""

from new_stack.log import EventLog as EventLog
from new_stack.worker.connector_registry import ConnectorRegistry as ConnectorRegistry
from new_stack.worker.connectors import Connector as Connector
from new_stack.worker.connectors import ConnectorSettings as ConnectorSettings
from new_stack.worker.connectors import JobContext as JobContext
from new_stack.worker.connectors import JobFailed as JobFailed
from new_stack.worker.settings import WorkerSettings as WorkerSettings
from new_stack.worker.worker import Worker as Worker
