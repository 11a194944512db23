"""A job's stream of events: server-sent events (HTML standard, section 9.2) in, typed events out, resumed after breaks.

The parser and the cursor do no I/O. `follow` serves every transport: it asks for the bytes of one connection after
another and resumes each from the last event's id.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Final

import msgspec

from new_stack.client.errors import ClientError, ServerUnavailable
from new_stack.client.timeouts import Retry, Timeouts
from new_stack.client.types import Gap, JobEvent

_ID: Final = re.compile(r"(\d+)-(\d+)")


class SseMessage(msgspec.Struct, frozen=True):
    """One dispatched message; `id` is the last id that the stream has set."""

    event: str
    data: str
    id: str


class SseReader:
    """Takes bytes in chunks of any size and gives the messages that they complete."""

    def __init__(self, *, limit: int = 64_000_000) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._skip_lf = False
        self._first = True
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self.last_id = ""
        self.retry_ms: int | None = None
        """How long to wait before reconnecting, where the server has said it."""

    def feed(self, chunk: bytes) -> Iterator[SseMessage]:
        """The messages completed by these bytes. Raises ClientError where one grows beyond the limit."""
        for line in self._lines(chunk):
            message = self._take(line)
            if message is not None:
                yield message
        if len(self._rest) + self._size > self._limit:
            raise ClientError(f"the server sent an event of more than {self._limit} bytes")

    def _lines(self, chunk: bytes) -> Iterator[str]:
        """Whole lines; a line ends with CR, LF or both, and both may come in two chunks."""
        if self._skip_lf and chunk[:1] == b"\n":
            chunk = chunk[1:]
        self._skip_lf = self._skip_lf and not chunk
        self._rest += chunk
        if b"\n" not in chunk and b"\r" not in chunk:
            return
        text = bytes(self._rest).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._skip_lf = self._rest[-1:] == b"\r"
        *lines, rest = text.split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            decoded = line.decode("utf-8", "replace")
            if self._first:
                decoded = decoded.removeprefix("\ufeff")
            self._first = False
            yield decoded

    def _take(self, line: str) -> SseMessage | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
                self._size += len(value)
            case "id" if "\0" not in value:
                self.last_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)
        return None

    def _dispatch(self) -> SseMessage | None:
        event, data = self._event or "message", self._data
        self._event, self._data, self._size = "", [], 0
        return SseMessage(event, "\n".join(data), self.last_id) if data else None


class Cursor:
    """The position of a reader in a job's stream. Each event passes once, and never backwards."""

    def __init__(self, job_id: str, after: str | None = None) -> None:
        self.job_id = job_id
        self.after = after
        self.ended = False
        """Whether the last event was an end: the stream is over unless the server goes on with a retry."""

    def take(self, message: SseMessage) -> JobEvent | Gap | None:
        """The event in a message; None for one that was read before. Raises ServerUnavailable, ClientError."""
        if message.event == "disconnect":
            raise ServerUnavailable(_field(message.data, "reason"))
        if message.event == "gap":
            return Gap(job_id=self.job_id, reason=_field(message.data, "reason"), oldest=_field(message.data, "oldest"))
        try:
            event = msgspec.json.decode(message.data, type=JobEvent)
        except msgspec.ValidationError:
            return None  # a kind of event that this client does not know yet
        except msgspec.DecodeError as error:
            raise ClientError(f"the server sent an event that is not JSON: {error}") from error
        if message.id:
            if is_later(message.id, self.after):
                self.after = message.id
            elif not event.ending:
                return None  # an end always counts: the server makes one up where the stream was trimmed
            event = msgspec.structs.replace(event, id=message.id)
        self.ended = event.ending
        return event


def is_later(new: str, old: str | None) -> bool:
    """Whether a stream's id comes after another one."""
    a, b = _ID.fullmatch(new), _ID.fullmatch(old or "")
    if a is None or b is None:
        return new != old
    return (int(a[1]), int(a[2])) > (int(b[1]), int(b[2]))


def _field(data: str, name: str) -> str:
    try:
        fields: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError:
        return ""
    return str(fields.get(name) or "")


async def follow(
    cursor: Cursor, connect: Callable[[Cursor], AsyncGenerator[bytes, None]], timeouts: Timeouts
) -> AsyncGenerator[JobEvent | Gap, None]:
    """The job's events to its end, resumed after every break from the last one read.

    `connect` yields the bytes of one connection and raises ServerUnavailable where it breaks. An end is the last event
    only where the server closes the stream after it: the history of a job that was retried by hand has ends inside.
    """
    retry = Retry(timeouts)
    while not cursor.ended:
        reader = SseReader()
        error = ServerUnavailable(f"the stream of job {cursor.job_id} ended before the job did")
        try:
            async with contextlib.aclosing(connect(cursor)) as chunks:
                async for chunk in chunks:
                    for message in reader.feed(chunk):
                        event = cursor.take(message)
                        if event is not None:
                            retry.succeeded()
                            yield event
        except ServerUnavailable as broken:
            error = broken
        if not cursor.ended:
            await retry.pause_or_raise(error, (reader.retry_ms or 0) / 1000)
