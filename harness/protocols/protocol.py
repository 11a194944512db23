"""What every protocol's file has: the same functions, whatever the words and the transport."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from harness.protocols.events import JobEvent, JobStatus, Submission


class Protocol(typing.Protocol):
    """A client's side of one protocol. `harness.protocols.hub` and `.stack` are such objects (modules are objects).

    An action is answered as what has to be sent: a frame (a dict, over WebSocket) or an `HttpRequest`.
    """

    def submit(self, job: Submission, client_id: str = "", at: float | None = None) -> Any:
        """Submit a job. `at`: the client's clock, in seconds, for protocols whose messages carry it."""
        ...

    def ask(self, job_id: str, at: float | None = None) -> Any:
        """Ask how a job stands."""
        ...

    def cancel(self, job_id: str, reason: str | None = None, at: float | None = None) -> Any:
        """Cancel a job."""
        ...

    def retry(self, job_id: str, at: float | None = None) -> Any:
        """Have an ended job run again."""
        ...

    def subscribe(self, job_id: str, at: float | None = None) -> Any:
        """Follow a job's events."""
        ...

    def event_of(self, message: Mapping[str, Any], name: str = "", event_id: str = "") -> JobEvent | None:
        """What happened to a job, by this message; None where it is about something else.

        `name` and `event_id` are those of a server-sent event.
        """
        ...

    def status_of(self, message: Mapping[str, Any]) -> JobStatus | None:
        """The job's state, where the message answers `ask`."""
        ...
