"""Connectors: what a worker runs a job with. docs/connectors.md says how to write one."""

from new_stack.worker.connectors.contract import Assignment, Connector, ConnectorSettings, JobFailed

__all__ = ["Assignment", "Connector", "ConnectorSettings", "JobFailed"]
