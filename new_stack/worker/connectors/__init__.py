"""What a worker runs a job with: a connector has settings, `open`, `run` for each job, and `close`.

docs/connectors.md says how to write one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, Literal, Protocol
from urllib.parse import urlsplit, urlunsplit

import msgspec

from new_stack.failure import JobFailed as JobFailed
from new_stack.queue.events import EventKind
from new_stack.queue.jobs import Lease, ProgressUpdate

Level = Literal["debug", "info", "warning", "error"]

PAYLOAD_SHOWN: Final = 2_048
"""How much of the JSON that a back end is sent monitors are shown, in characters."""


class ConnectorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of every connector's settings: a struct whose fields are what `NAME:field=value,…` may set."""


class ProgressSink(Protocol):
    """Where a job's progress goes."""

    async def send(self, update: ProgressUpdate) -> None:
        """Send this update, after all earlier ones."""

    def report(self, update: ProgressUpdate) -> None:
        """Send this update soon, after all earlier ones; a newer progress may take the place of one."""


class JobContext:
    """One attempt at one job, as its connector sees it."""

    __slots__ = ("_payload", "lease", "sink")

    def __init__(self, lease: Lease, sink: ProgressSink) -> None:
        self.lease = lease
        self.sink = sink
        self._payload: dict[str, Any] | None = None

    @property
    def job_id(self) -> str:
        """The job's id: the same on every attempt."""
        return self.lease.job_id

    @property
    def service(self) -> str:
        """The job's `service_required`."""
        return self.lease.service_required

    @property
    def attempt(self) -> int:
        """The number of this claim, from 1; it never comes twice for one job."""
        return self.lease.attempt

    @property
    def failures(self) -> int:
        """How many earlier attempts failed."""
        return self.lease.failures

    @property
    def payload(self) -> dict[str, Any]:
        """The job's payload, a JSON object."""
        if self._payload is None:
            self._payload = msgspec.json.decode(self.lease.payload, type=dict[str, Any])
        return self._payload

    @property
    def extra(self) -> dict[str, Any]:
        """The submitter's own fields (`customer_id`, `requirements`, …)."""
        return {} if self.lease.extra is None else msgspec.json.decode(self.lease.extra, type=dict[str, Any])

    async def progress(
        self,
        percent: float,
        message: str | None = None,
        *,
        status: str = "processing",
        details: dict[str, Any] | None = None,
    ) -> None:
        """Send one step; each is delivered, in order. Returns once Redis has it (or is known to be away)."""
        await self.sink.send(_update(percent, message, status, details))

    def report(
        self,
        percent: float,
        message: str | None = None,
        *,
        status: str = "processing",
        details: dict[str, Any] | None = None,
    ) -> None:
        """Send where the job stands without waiting, for back ends that report often: the newest unsent one counts."""
        self.sink.report(_update(percent, message, status, details))

    def log(self, message: str, level: Level = "info") -> None:
        """Add a line to the job's log. Its followers get it at once; the job keeps the last 20. Never waits."""
        self.sink.report(ProgressUpdate(kind=EventKind.LOG, status=level, message=message))

    def asks(self, method: str, url: str, payload: Any = None, *, request_type: str = "http") -> None:
        """Tell monitors what a back end is asked for: the URL without what may be secret in it, the payload cut where
        it is large. Never waits.
        """
        parts = urlsplit(url)
        shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        content = {"endpoint": parts.path or "/", "method": method, "url": shown, "payload": _shown(payload)}
        details = {"service": self.service, "request_type": request_type, "content": content}
        self.sink.report(ProgressUpdate(kind=EventKind.SERVICE_REQUEST, status="", details=details))


def _shown(payload: Any) -> Any:
    """A payload as monitors are shown it: cut where it is large."""
    text = msgspec.json.encode(payload, enc_hook=str).decode()
    return payload if len(text) <= PAYLOAD_SHOWN else f"{text[:PAYLOAD_SHOWN]}… ({len(text)} characters)"


def _update(percent: float, message: str | None, status: str, details: dict[str, Any] | None) -> ProgressUpdate:
    if not -1 <= percent <= 100:
        raise ValueError(f"progress must be from -1 to 100, not {percent}")
    return ProgressUpdate(progress=percent, status=status, message=message, details=details)


class Connector(ABC):
    """Runs jobs. One instance serves all of a worker's slots, so `run` is entered several times at once."""

    Settings: ClassVar[type[msgspec.Struct]] = ConnectorSettings
    name: str = ""
    """What it is called in the worker's settings."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    async def open(self) -> None:  # noqa: B027 - most connectors have nothing to do here
        """Called once, before the first job. An exception here ends the worker with a sentence."""

    async def close(self) -> None:  # noqa: B027 - as above
        """Called once, after the last job."""

    @property
    def services(self) -> tuple[str, ...]:
        """The services that it serves by itself, beside those that the worker's settings give it."""
        return ()

    def capabilities(self) -> dict[str, Any]:
        """What its worker tells of it (`models`, for example); asked once, after `open`."""
        return {}

    @abstractmethod
    async def run(self, job: JobContext) -> Any:
        """Do the job; answer its result (anything JSON can say).

        Raise JobFailed where it failed; any other exception is a failure, too. A result with `success` false is one.
        When the job is cancelled, timed out or handed back, the running coroutine is cancelled: stop the back end in
        an `except asyncio.CancelledError` or `finally`, and let the error pass.
        """
