"""Clients and monitors of the legacy dialect over asyncio: a script sends, and waits for what it has to receive."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection
from typing import Any, Final, Self

import msgspec

from harness.clients.sessions import Clock, HubSession, Observe, ignore
from harness.clients.transport import Socket
from harness.protocols import EventKind, JobEvent, Submission, hub
from harness.protocols.hub import Frame

ENDS: Final = frozenset({"complete_job", "fail_job"})


class Received(msgspec.Struct, frozen=True):
    """One message that passed, with the actor's clock in ms."""

    at_ms: float
    message: Frame


class ExpectationTimeout(AssertionError):  # noqa: N818 - the name says what happened
    """What a script waited for did not come. The text lists what came instead."""


class Disconnected(ExpectationTimeout):
    """What was waited for cannot come, as there is no connection any more."""


class SubmissionRefused(AssertionError):  # noqa: N818 - the name says what happened
    """The server answered a submission with an error, which is the text."""


class RecordingSocket:
    """One actor's WebSocket, as an async context. It keeps all that was received, over every connection."""

    def __init__(
        self,
        ws_url: str,
        role: str,
        name: str,
        *,
        token: str | None = None,
        observe: Observe = ignore,
        clock: Clock = time.time,
    ) -> None:
        self.name: Final = name
        self.session: Final = HubSession(name, role=role, observe=self._on_event, clock=clock)
        self.role: Final = role
        self.received: Final[list[Received]] = []
        self.sent: Final[list[Received]] = []
        self.refused: Final[dict[str, str]] = {}
        """The errors with which submissions were answered, by the ids that they named."""
        self.closed: str | None = None
        """How the newest connection ended, None while it is open."""
        self._observe = observe
        self._url = hub.websocket_url(ws_url, self.session.path, token)
        self._socket = Socket(self._on_data, self._on_closed, name=name)
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """Connect, or connect again. Raises Unreachable."""
        self.closed = None
        await self._socket.open(self._url)

    async def send(self, message: Frame | str | bytes) -> None:
        """Send a message as JSON, or a frame as it is. Raises ExpectationTimeout where there is no connection."""
        data = message if isinstance(message, str | bytes) else json.dumps(message)
        if not await self._socket.send(data):
            raise Disconnected(f"{self.name} is not connected")
        if isinstance(message, dict):
            self.sent.append(Received(time.monotonic() * 1000, message))

    async def close(self) -> None:
        """Leave in order."""
        await self._socket.close()

    async def drop(self) -> None:
        """Have the TCP connection cut, with no closing handshake."""
        await self._socket.drop()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def wait_for(
        self, matching: Callable[[Frame], bool], what: str, *, timeout_s: float = 10.0, after: int = 0
    ) -> Frame:
        """The first message from place `after` of `received` on that matches. Raises ExpectationTimeout."""
        place = after
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for place in range(place, len(self.received)):  # noqa: B020 - goes on where it stopped
                        if matching(self.received[place].message):
                            return self.received[place].message
                    place = len(self.received)
                    if self.closed is not None:
                        raise Disconnected(f"{self.name} waited for {what}; its connection closed: {self.closed}")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            types = [entry.message.get("type") for entry in self.received[after:]][-20:]
            raise ExpectationTimeout(f"{self.name} waited {timeout_s:g} s for {what} and received {types}") from None

    async def expect(self, kind: str, *, timeout_s: float = 10.0, after: int = 0, **fields: Any) -> Frame:
        """The first message of that type whose fields have these values. Raises ExpectationTimeout."""
        wanted = {"type": kind, **fields}
        return await self.wait_for(
            lambda message: _has(message, wanted), f"{kind} {fields or ''}".strip(), timeout_s=timeout_s, after=after
        )

    def messages(self, kind: str | None = None, **fields: Any) -> list[Frame]:
        """What was received so far, of that type and with these values."""
        wanted = fields if kind is None else {"type": kind, **fields}
        return [entry.message for entry in self.received if _has(entry.message, wanted)]

    def _on_data(self, data: str | bytes) -> None:
        frame = self.session.receive(data)
        if frame is not None:
            self.received.append(Received(time.monotonic() * 1000, frame))
            self._changed.set()

    def _on_event(self, event: JobEvent) -> None:
        if event.kind is EventKind.REFUSED and event.job_id:
            self.refused[event.job_id] = event.error or ""
        self._observe(event)

    def _on_closed(self, code: int, reason: str) -> None:
        self.session.disconnected()
        self.closed = f"{code} {reason}".strip()
        self._changed.set()


class LegacyClient(RecordingSocket):
    """An existing client of the hub, word for word as it speaks."""

    def __init__(self, ws_url: str, client_id: str, *, service: str = "simulation", **options: Any) -> None:
        super().__init__(ws_url, "client", client_id, **options)
        self._service = service

    async def submit(
        self,
        payload: Any = None,
        *,
        service: str | None = None,
        priority: int = 0,
        job_id: str | None = None,
        timeout_s: float = 10.0,
    ) -> str:
        """Submit a job and answer its id once it is accepted. Raises ExpectationTimeout; SubmissionRefused where it
        named its id: an error does not say which of several others it answers.
        """
        place = len(self.received)
        job = Submission(service=service or self._service, payload=payload, priority=priority, job_id=job_id)
        await self.send(self.session.submit(job))
        wanted = {"type": "job_accepted"} | ({} if job_id is None else {"job_id": job_id})
        answer = await self.wait_for(
            lambda message: _has(message, wanted) or (job_id in self.refused and hub.error_of(message) is not None),
            f"job_accepted {job_id or ''}".strip(),
            timeout_s=timeout_s,
            after=place,
        )
        if not _has(answer, wanted):
            raise SubmissionRefused(f"{job_id}: {self.refused.pop(str(job_id))}")
        return str(answer["job_id"])

    async def status(self, job_id: str, *, timeout_s: float = 10.0) -> Frame:
        """Ask how the job stands."""
        place = len(self.received)
        await self.send(self.session.ask(job_id))
        return await self.wait_for(
            lambda message: (
                _has(message, {"type": "response_job_status", "job_id": job_id})
                and message.get("status") != "processing"
            ),
            f"the status of {job_id}",
            timeout_s=timeout_s,
            after=place,
        )

    async def subscribe(self, job_id: str, *, timeout_s: float = 10.0) -> None:
        """Follow a job."""
        place = len(self.received)
        await self.send(self.session.subscribe(job_id))
        await self.expect("subscription_confirmed", job_id=job_id, timeout_s=timeout_s, after=place)

    async def cancel(self, job_id: str, reason: str | None = None, *, timeout_s: float = 10.0) -> Frame:
        """Cancel a job and answer what came of it."""
        place = len(self.received)
        await self.send(self.session.cancel(job_id, reason))
        return await self.wait_for(
            lambda message: (
                _has(message, {"job_id": job_id, "status": "cancelled"}) or job_id in (hub.error_of(message) or "")
            ),
            f"the cancellation of {job_id}",
            timeout_s=timeout_s,
            after=place,
        )

    async def ended(self, job_id: str, *, timeout_s: float = 30.0) -> Frame:
        """Wait until the job has completed, failed or been cancelled, by what the client receives."""
        return await self.wait_for(
            lambda message: (
                message.get("job_id") == job_id
                and (message.get("type") in ENDS or message.get("status") == "cancelled")
            ),
            f"the end of {job_id}",
            timeout_s=timeout_s,
        )


class Monitor(RecordingSocket):
    """A monitor. It is notified of every job; what else there is, `send` and `expect` do."""

    def __init__(self, ws_url: str, monitor_id: str, **options: Any) -> None:
        super().__init__(ws_url, "monitor", monitor_id, **options)


async def open_jobs(
    ws_url: str, monitor_id: str, services: Collection[str], *, token: str | None = None, timeout_s: float = 5.0
) -> list[str]:
    """The jobs of these services that have not ended, as a hub shows them to a monitor.

    Raises Unreachable, ExpectationTimeout.
    """
    async with Monitor(ws_url, monitor_id, token=token) as monitor:
        shown = await monitor.expect("stats_broadcast", timeout_s=timeout_s)
    jobs = ((shown.get("system") or {}).get("jobs") or {}).get("active_jobs") or []
    mine = [job for job in jobs if job.get("job_type") in services]
    return [str(job["id"]) for job in mine if job.get("status") in {"pending", "claimed", "active"}]


def _has(message: Frame, wanted: dict[str, Any]) -> bool:
    return all(message.get(key) == value for key, value in wanted.items())
