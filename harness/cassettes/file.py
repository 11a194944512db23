"""The file of a cassette. It is read strictly: an error names file and line, and memory is bounded whatever it holds.
It is written whole, or line by line as things happen.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import msgspec

from harness.cassettes.events import (
    VERSION,
    Cassette,
    CassetteError,
    Close,
    Closed,
    Drop,
    Event,
    Header,
    Open,
    Receive,
    Request,
    Response,
    Send,
    kind_of,
)
from harness.cassettes.strings import CannotExpand, check_short_forms, contracted


class ReadingLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a cassette may be; a recording of hours fits, a mistake does not."""

    file_bytes: int = 32_000_000
    line_bytes: int = 4_000_000
    events: int = 100_000
    expanded_characters: int = 64_000_000
    """All repetitions of the file together, written out."""


DEFAULT_LIMITS: Final = ReadingLimits()
_EVENTS: Final = msgspec.json.Decoder(Event)
_HEADER: Final = msgspec.json.Decoder(Header)


def load(path: Path, limits: ReadingLimits = DEFAULT_LIMITS) -> Cassette:
    """Read one cassette. Raises CassetteError for whatever is wrong with it, the file's absence included."""
    try:
        with path.open("rb") as file:
            return _Reading(path, limits).cassette(file)
    except OSError as error:
        raise CassetteError(path, 0, f"cannot be read: {error.strerror or error}") from error


def _as_received(event: Event) -> Event:
    """The event with its long strings in short where it was received, as what a replay receives is written."""
    if isinstance(event, Receive):
        return msgspec.structs.replace(event, message=contracted(event.message), text=contracted(event.text))
    if isinstance(event, Response):
        return msgspec.structs.replace(event, body=contracted(event.body), text=contracted(event.text))
    return event


class _Reading:
    """One file being read, with what has to be remembered from line to line."""

    def __init__(self, path: Path, limits: ReadingLimits) -> None:
        self._path = path
        self._limits = limits
        self._line = 0
        self._expanded = 0
        self._connected: dict[str, int] = {}
        self._asked: dict[str, int] = {}

    def cassette(self, file: IO[bytes]) -> Cassette:
        lines = self._lines(file)
        first = next(lines, None)
        if first is None:
            raise self._error("the file is empty")
        header = self._header(first)
        events: list[Event] = []
        for line in lines:
            if len(events) >= self._limits.events:
                raise self._error(f"more than {self._limits.events:,} events")
            events.append(self._event(line))
        if not events:
            raise self._error("there is a header and no event")
        self._complete()
        return Cassette(header=header, events=tuple(events))

    def _lines(self, file: IO[bytes]) -> Iterator[bytes]:
        total = 0
        while line := file.readline(self._limits.line_bytes + 1):
            self._line += 1
            total += len(line)
            if len(line) > self._limits.line_bytes:
                raise self._error(f"the line is longer than {self._limits.line_bytes:,} bytes")
            if total > self._limits.file_bytes:
                raise self._error(f"the file is larger than {self._limits.file_bytes:,} bytes")
            if line.strip():
                yield line

    def _header(self, line: bytes) -> Header:
        fields = self._decoded(msgspec.json.decode, line)
        if not isinstance(fields, dict) or "cassette" not in fields:
            raise self._error('the first line has to be the header: an object with "cassette" and "scenario"')
        if fields["cassette"] != VERSION:
            raise self._error(f"cassette format {fields['cassette']!r} is not known here, only {VERSION}")
        header: Header = self._decoded(_HEADER.decode, line)
        return header

    def _event(self, line: bytes) -> Event:
        event: Event = self._decoded(_EVENTS.decode, line)
        if not math.isfinite(event.at) or event.at < 0:
            raise self._error("`at` has to be a number of milliseconds, 0 or more")
        if not event.actor:
            raise self._error("`actor` is empty")
        self._shape(event)
        self._sequence(event)
        return _as_received(event)

    def _decoded(self, decode: Any, line: bytes) -> Any:
        try:
            return decode(line)
        except msgspec.ValidationError as error:
            raise self._error(f"not an event of the format: {error}") from error
        except msgspec.DecodeError as error:
            raise self._error(f"not JSON: {error}") from error
        except UnicodeDecodeError as error:
            raise self._error("not UTF-8 text") from error
        except RecursionError as error:
            raise self._error("nested too deeply") from error

    def _shape(self, event: Event) -> None:
        if isinstance(event, Send | Receive) and (event.message is msgspec.UNSET) is (event.text is msgspec.UNSET):
            raise self._error("a frame has either `message` or `text`")
        if isinstance(event, Send | Receive | Request | Response):
            parts = [getattr(event, name) for name in ("message", "text", "body") if hasattr(event, name)]
            try:
                self._expanded += sum(check_short_forms(part) for part in parts)
            except (CannotExpand, RecursionError) as error:
                raise self._error(str(error)) from error
            if self._expanded > self._limits.expanded_characters:
                raise self._error(
                    f"the strings stand for over {self._limits.expanded_characters:,} characters together"
                )

    def _sequence(self, event: Event) -> None:
        """Refuse what cannot have happened: that is a recording with a hole in it."""
        actor, connected = event.actor, event.actor in self._connected
        if isinstance(event, Open):
            if connected:
                raise self._error(f"{actor} opens a connection and has one already")
            self._connected[actor] = self._line
        elif isinstance(event, Send | Receive | Close | Drop | Closed):
            if not connected:
                raise self._error(f"{actor} has no connection here")
            if isinstance(event, Closed):
                del self._connected[actor]
        elif isinstance(event, Request):
            if actor in self._asked:
                raise self._error(f"{actor} makes a request and still waits for an answer")
            self._asked[actor] = self._line
        elif isinstance(event, Response) and self._asked.pop(actor, None) is None:
            raise self._error(f"{actor} has made no request that this could answer")

    def _complete(self) -> None:
        for actor, line in self._connected.items():
            raise self._error(f"the recording ends while {actor} is connected (since line {line}): it was cut off")
        for actor, line in self._asked.items():
            raise self._error(f"the recording ends before the answer to {actor}'s request in line {line}")

    def _error(self, reason: str) -> CassetteError:
        return CassetteError(self._path, self._line, reason)


class CassetteWriter:
    """An open cassette: every event is on disk when `write` returns, so a recorder that is killed loses nothing."""

    def __init__(self, path: Path, header: Header) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("wb", buffering=0)
        self._size = 0
        self._put(msgspec.to_builtins(header))

    def write(self, event: Event) -> None:
        """Add one event; its long strings are contracted. Raises OSError, and then keeps no part of its line."""
        self._put(event_as_line(event))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _put(self, line: dict[str, Any]) -> None:
        data = f"{json.dumps(line, ensure_ascii=False)}\n".encode(errors="replace")
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise
        self._size += len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def event_as_line(event: Event) -> dict[str, Any]:
    """The event as the object that its line holds, keys in the format's order."""
    fields = contracted(msgspec.to_builtins(event))
    leading = {"at": fields.pop("at"), "actor": fields.pop("actor"), "event": kind_of(event)}
    fields.pop("event", None)
    if isinstance(event, Closed):
        fields.setdefault("reason", "")
    elif isinstance(event, Request | Response):
        fields.setdefault("body", None)
    return {**leading, **fields}


def save(cassette: Cassette, path: Path) -> None:
    """Write a whole cassette."""
    with CassetteWriter(path, cassette.header) as writer:
        for event in cassette.events:
            writer.write(event)
