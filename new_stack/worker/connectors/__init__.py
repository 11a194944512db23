"""Connectors: what a worker runs a job with. docs/connectors.md says how to write one."""

from new_stack.worker.connectors.connector import Connector, ConnectorSettings, JobContext, JobFailed

__all__ = ["Connector", "ConnectorSettings", "JobContext", "JobFailed"]
