"""The history file: JSON Lines, one `HistoryEvent` a line, after a header line that names the format."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Self

import msgspec

from harness.history.events import HistoryEvent, Source
from harness.protocols import EventKind

FORMAT: Final = 1


class Clock:
    """The one clock of a run: it starts at the wall clock's time and moves with the monotonic one.

    So it fits Redis's times and never jumps.
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def __call__(self) -> float:
        """Now, in ms."""
        return (self._offset_ns + time.monotonic_ns()) / 1e6

    def seconds(self) -> float:
        """Now, in seconds."""
        return (self._offset_ns + time.monotonic_ns()) / 1e9


class HistoryFileError(Exception):
    """A file that is no history, or too large for one; names file and line."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line."""

    history: int = FORMAT
    about: str = ""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader accepts at most, so that an endless file ends with an error and not with the memory."""

    line_bytes: int = 65_536
    events: int = 2_000_000


DEFAULT_BOUNDS: Final = Bounds()

Listener = Callable[[HistoryEvent], None]


class HistoryWriter:
    """Collects the events of a run: in memory, and in a file where a path is given; listeners get each at once.

    Used from one event loop. `note` stamps the harness's own events with the run's clock.
    """

    def __init__(self, path: Path | None = None, *, clock: Callable[[], float] | None = None, about: str = "") -> None:
        self.clock = clock or Clock()
        self.events: list[HistoryEvent] = []
        self._listeners: list[Listener] = []
        self._encoder = msgspec.json.Encoder()
        self._file = path.open("wb") if path else None
        if self._file:
            self._file.write(self._encoder.encode(Header(about=about)) + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Flush and close the file; the events stay readable."""
        if self._file and not self._file.closed:
            self._file.close()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event from now on; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def add(self, event: HistoryEvent) -> None:
        """Append one event."""
        self.events.append(event)
        if self._file:
            self._file.write(self._encoder.encode(event) + b"\n")
        for listener in tuple(self._listeners):
            listener(event)

    def note(
        self, kind: EventKind, *, by: str = "", target: str = "", worker_id: str | None = None, note: str = ""
    ) -> None:
        """Append something that the harness itself did, now."""
        source = Source.HARNESS
        self.add(
            HistoryEvent(
                at_ms=self.clock(), source=source, kind=kind, by=by, target=target, worker_id=worker_id, note=note
            )
        )


def read_events(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> Iterator[HistoryEvent]:
    """The events of a file, one at a time. Raises HistoryFileError, which names file and line."""
    decoder = msgspec.json.Decoder(HistoryEvent)
    with path.open("rb") as file:
        _read_header(path, file.readline(bounds.line_bytes + 1))
        number = 1
        while line := file.readline(bounds.line_bytes + 1):
            number += 1
            where = f"{path}:{number}"
            if len(line) > bounds.line_bytes:
                raise HistoryFileError(f"{where}: the line is longer than {bounds.line_bytes} bytes")
            if number > bounds.events + 1:
                raise HistoryFileError(f"{where}: more than {bounds.events} events")
            if not line.endswith(b"\n"):
                raise HistoryFileError(f"{where}: the file is cut off in the middle of an event")
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise HistoryFileError(f"{where}: not an event of a history: {error}") from None


def _read_header(path: Path, line: bytes) -> None:
    try:
        header = msgspec.json.decode(line, type=Header)
    except msgspec.DecodeError:
        header = Header(history=0)
    if b'"history"' not in line or header.history != FORMAT:
        raise HistoryFileError(f'{path}:1: not a history: the first line has to be {{"history": {FORMAT}}}')


def write_events(path: Path, events: Iterable[HistoryEvent], *, about: str = "") -> None:
    """Write a whole history at once."""
    with HistoryWriter(path, about=about) as writer:
        for event in events:
            writer.add(event)
