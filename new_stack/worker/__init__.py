"""Workers: processes that claim jobs and run them with connectors."""

from new_stack.worker.connectors.contract import Assignment, Connector, ConnectorSettings, JobFailed
from new_stack.worker.log import EventLog
from new_stack.worker.roster import Roster
from new_stack.worker.settings import WorkerSettings
from new_stack.worker.worker import Worker

__all__ = [
    "Assignment",
    "Connector",
    "ConnectorSettings",
    "EventLog",
    "JobFailed",
    "Roster",
    "Worker",
    "WorkerSettings",
]
