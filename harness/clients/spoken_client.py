"""A client of any protocol that a description tells of (`harness.protocols.description`), over asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from harness.clients.transport import Answer, Http, Refused, Socket
from harness.errors import CouldNotRun
from harness.protocols import ENDS, EventKind, HttpRequest, JobEvent, JobState, JobStatus, Submission
from harness.protocols.description import Described, at_place
from harness.protocols.hub import parsed, websocket_url
from harness.protocols.sse import SseParser
from harness.tasks import called_off

Found = TypeVar("Found")
ANSWER_S: Final = 10.0
SHOWN: Final = 3
AGAIN_S: Final = 0.1


class NotTold(CouldNotRun):
    """What a client was owed did not come; the sentence says what came instead."""


class NotTaken(NotTold):
    """The server says that it does not take a submission."""


class Told(msgspec.Struct, frozen=True):
    """What a client was told, and when: seconds since the epoch."""

    at: float
    event: JobEvent


class SpokenClient:
    """One client, as an async context: it submits, asks, cancels and is told, in whatever words and over whatever."""

    def __init__(
        self,
        protocol: Described,
        http_url: str,
        name: str,
        *,
        token: str | None = None,
        submitted: list[str] | None = None,
        heard: Callable[[JobEvent], None] = lambda _: None,
    ) -> None:
        self.submitted: Final = [] if submitted is None else submitted
        """The jobs that were taken, of all clients that share the list."""
        self.protocol: Final = protocol
        self.told: Final[list[Told]] = []
        self.frames: Final[list[dict[str, Any]]] = []
        """All that it received over its connection, as it came."""
        self._description = protocol.description
        self.name: Final = name
        self._url, self._token, self._heard = http_url, token, heard
        self._http = Http(http_url, token=token, timeout_s=ANSWER_S)
        self._socket = Socket(self._on_data, self._on_closed, name=name) if self._description.socket else None
        self._changed = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._answers: list[JobStatus] = []
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._closed = ""

    @property
    def connected(self) -> bool:
        """Whether its connection stands; requests need none."""
        return not self._closed

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def open(self) -> None:
        """Connect, or connect again. Raises HandshakeRefused and Unreachable."""
        self._closed = ""
        if self._socket is not None:
            path = self._description.socket.replace("{client}", self.name)
            if self._token and self._description.token:
                path += f"{'&' if '?' in path else '?'}{urlencode({self._description.token: self._token})}"
            await self._socket.open(websocket_url(self._url, path))

    async def __aexit__(self, *_: object) -> None:
        await called_off(*self._streams.values())
        if self._socket is not None:
            await self._socket.close()
        await self._http.close()

    # what it asks for

    async def submit(
        self, payload: Any, *, service: str, priority: int = 0, job_id: str | None = None, follow: bool = True
    ) -> str:
        """Submit a job and be told of it, as a rule; answers its id. Raises NotTold."""
        job = Submission(service=service, payload=payload, priority=priority, job_id=job_id)
        action = self.protocol.submit(job, self.name, time.time())
        async with self._one_at_a_time:  # an answer need not name what it answers
            place, first = len(self.told), len(self.frames)
            answer = await self._do(action, "a submission")
            if answer is not None:
                given = at_place(answer.body, self._description.job_id)
                if given is None:
                    raise NotTold(f"the answer to a submission has no {self._description.job_id}: {answer.body}")
                accepted = str(given)
            else:
                accepted = await self._accepted(place, first)
        self.submitted.append(accepted)
        if follow and not self._description.told:
            await self.follow(accepted)
        return accepted

    async def _accepted(self, place: int, first: int) -> str:
        def found() -> JobEvent | None:
            kinds = {EventKind.ACCEPTED, EventKind.REFUSED}
            return next((one.event for one in self.told[place:] if one.event.kind in kinds), None)

        event = await self._until(found, ANSWER_S)
        if event is None or event.kind is EventKind.REFUSED:
            said = event.error if event else f"nothing that the protocol {self.protocol.name} knows as accepted"
            refused = NotTaken if event else NotTold
            raise refused(f"a submission was answered with {said}{self._instead(first)}")
        return event.job_id

    async def follow(self, job_id: str) -> None:
        """Be told of a job from now on."""
        action = self.protocol.subscribe(job_id, time.time())
        if isinstance(action, HttpRequest):
            if job_id not in self._streams:
                self._streams[job_id] = asyncio.create_task(self._read(job_id, action.path))
        elif action is not None:
            await self._do(action, "a wish to follow a job")

    async def state(self, job_id: str) -> JobStatus:
        """How a job stands. Raises NotTold."""
        action = self.protocol.ask(job_id, time.time())
        if action is None:
            raise NotTold(f"the protocol {self.protocol.name} has no way to ask how a job stands")
        if isinstance(action, HttpRequest):
            answer = await self._http_answer(action, "a question how a job stands")
            if answer.status == httpx.codes.NOT_FOUND:
                return JobStatus(job_id=job_id, state=JobState.UNKNOWN)
            status = self.protocol.status_of(answer.fields)
            if status is None:
                raise NotTold(f"{action.method} {action.path} was answered with {answer.status} and no known state")
            return status
        place, first = len(self._answers), len(self.frames)
        await self._do(action, "a question how a job stands")
        found = await self._until(
            lambda: next((one for one in self._answers[place:] if one.job_id == job_id), None), ANSWER_S
        )
        if found is None:
            raise NotTold(f"nobody said how {job_id} stands{self._instead(first)}")
        return found

    async def cancel(self, job_id: str, reason: str = "not needed any more") -> None:
        """Cancel a job. Raises NotTold where that is refused."""
        action = self.protocol.cancel(job_id, reason, time.time())
        if action is None:
            raise NotTold(f"the protocol {self.protocol.name} has no way to cancel a job")
        answer = await self._do(action, "a cancellation")
        if answer is not None and not answer.ok:
            raise NotTold(f"a cancellation was refused with {answer.status}: {answer.body or answer.text}")

    async def retry(self, job_id: str) -> None:
        """Have an ended job run again. Raises NotTold where that is refused."""
        action = self.protocol.retry(job_id, time.time())
        if action is None:
            raise NotTold(f"the protocol {self.protocol.name} has no way to retry a job")
        answer = await self._do(action, "a retry")
        if answer is not None and not answer.ok:
            raise NotTold(f"a retry was refused with {answer.status}: {answer.body or answer.text}")

    # what it is told

    def of(self, job_id: str) -> list[Told]:
        """All that it was told of a job."""
        return [one for one in self.told if one.event.job_id == job_id]

    async def wait(self, job_id: str, kinds: Collection[EventKind], within_s: float) -> JobEvent | None:
        """The first such event of the job; None where none came in time."""
        return await self._until(
            lambda: next((one.event for one in self.of(job_id) if one.event.kind in kinds), None), within_s
        )

    def forget(self, job_id: str) -> None:
        """Keep nothing of a job, and be told no more of it. Not while a submission is under way."""
        self.told[:] = [one for one in self.told if one.event.job_id != job_id]
        named = self._description.job_id
        self.frames[:] = [frame for frame in self.frames if str(at_place(frame, named)) != job_id]
        self._answers[:] = [one for one in self._answers if one.job_id != job_id]
        if (stream := self._streams.pop(job_id, None)) is not None:
            stream.cancel()

    async def ended(self, job_id: str, within_s: float) -> JobEvent | None:
        """The job's end, as it was told."""
        return await self.wait(job_id, ENDS, within_s)

    async def settled(self, job_id: str, states: Collection[JobState], within_s: float) -> JobStatus:
        """How the job stands once it is in one of these states, or after that time."""
        limit = time.monotonic() + within_s
        while True:
            status = await self.state(job_id)
            if status.state in states or time.monotonic() > limit:
                return status
            await asyncio.sleep(AGAIN_S)

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing has come for so long."""
        while True:
            place = len(self.told), len(self.frames)
            await asyncio.sleep(seconds)
            if place == (len(self.told), len(self.frames)):
                return

    async def _until(self, found: Callable[[], Found | None], within_s: float) -> Found | None:
        limit = time.monotonic() + within_s
        while (value := found()) is None and (left := limit - time.monotonic()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        return value

    def _instead(self, first: int) -> str:
        """What came over the connection instead, in a few words."""
        shapes = [
            f"`{frame.get('type')}` with {', '.join(key for key in frame if key != 'type')}"
            for frame in self.frames[first:]
        ]
        came = "; it received " + ", ".join(dict.fromkeys(shapes[:SHOWN])) if shapes else "; it received nothing"
        return came + self._closed

    async def _do(self, action: Any, what: str) -> Answer | None:
        """Send a frame, or make a request and answer what came of it."""
        if isinstance(action, HttpRequest):
            answer = await self._http_answer(action, what)
            if what == "a submission" and not answer.ok:
                raise NotTaken(
                    f"{action.method} {action.path} was refused with {answer.status}: {answer.body or answer.text}"
                )
            return answer
        if self._socket is None or not await self._socket.send_json(action):
            raise NotTold(f"{what} could not be sent: there is no connection{self._closed}")
        return None

    async def _http_answer(self, request: HttpRequest, what: str) -> Answer:
        try:
            return await self._http.send(request)
        except httpx.HTTPError as error:
            why = f"{what} ({request.method} {request.path}) was not answered: {error or type(error).__name__}"
            raise NotTold(why) from error

    async def _read(self, job_id: str, path: str) -> None:
        """Read a job's stream until its end was told, over as many connections as that takes."""
        parser = SseParser()
        while True:
            with contextlib.suppress(Refused, httpx.HTTPError):
                parser.reconnected()
                async with self._http.stream(path, parser, parser.resume) as events:
                    async for event in events:
                        data = event.json()
                        if isinstance(data, dict):
                            self._take(data, event.event, event.id)
            if any(one.event.kind in ENDS for one in self.of(job_id)):
                return
            await asyncio.sleep(AGAIN_S)

    def _on_data(self, data: str | bytes) -> None:
        frame = parsed(data)
        if frame is not None:
            self.frames.append(frame)
            self._take(frame)

    def _take(self, frame: dict[str, Any], name: str = "", event_id: str = "") -> None:
        if (status := self.protocol.status_of(frame)) is not None:
            self._answers.append(status)
        if (event := self.protocol.event_of(frame, name, event_id)) is not None:
            self.told.append(Told(time.time(), event))
            self._heard(event)
        self._changed.set()

    def _on_closed(self, code: int, reason: str) -> None:
        self._closed = f"; its connection was closed with {code} {reason}".rstrip()
        self._changed.set()
