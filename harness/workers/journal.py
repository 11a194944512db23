"""The execution journal: what each worker process really ran, in a file of its own beside the queue.

Hub or stack is not asked: the code that plays the script of a job writes. Each line is written at once and whole
(`O_APPEND`), so that it outlives a SIGKILL of the process.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.protocols.events import EventKind

PATTERN: Final = "*.journal"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. A process says once what it serves and how many jobs it has places for; then each run of a job."""

    at_ms: float
    """ms since the epoch, by the clock of the process."""
    kind: EventKind
    """`serving`, `started`, `stepped`, `finished`, or `poisoned` where the script has the process kill itself."""
    worker: str
    pid: int
    job: str = ""
    attempt: int = 0
    """The fencing token; 0 on a hub, which has none."""
    service: str = ""
    in_use: int = 0
    """With `started`: places of the worker that are taken, this one included."""
    progress: float | None = None
    of: EventKind | None = None
    """With `finished`: `completed`, `attempt_failed`, or `released` where the run was told to stop."""
    result: str = ""
    """With `finished`: the digest of the result (`digest_of`)."""
    services: tuple[str, ...] = ()
    """With `serving`; `*` for all."""
    places: int = 0


def digest_of(result: Any) -> str:
    """A short name of a result: equal results have equal ones, whoever encoded them."""
    return blake2b(msgspec.json.encode(result, order="deterministic"), digest_size=8).hexdigest()


class Journal:
    """The open journal of one process, for one worker or for many that share the process."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._pid = os.getpid()
        self._folder: Path | None = folder
        path = folder / f"{name}-{self._pid}{PATTERN[1:]}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._encoder = msgspec.json.Encoder()
        self._in_use: Counter[str] = Counter()

    def close(self) -> None:
        """No more is written."""
        os.close(self._file)

    def begun(self, job: str) -> int:
        """How many runs of the job have begun, in whichever process that writes into the same folder."""
        entries = entries_in(self._folder) if self._folder else ()
        return sum(entry.kind is EventKind.STARTED and entry.job == job for entry in entries)

    def serving(self, worker: str, services: Sequence[str], places: int) -> None:
        """A worker says what it serves, before its first job."""
        self._write(EventKind.SERVING, worker, services=tuple(services), places=places)

    @contextlib.contextmanager
    def run(self, worker: str, job: str, service: str, attempt: int = 0) -> Iterator[Run]:
        """While the context lasts, the worker runs the job. Who leaves it without a word was told to stop."""
        self._in_use[worker] += 1
        named = {"job": job, "attempt": attempt}
        self._write(EventKind.STARTED, worker, service=service, in_use=self._in_use[worker], **named)
        run = Run(self, worker, named)
        try:
            yield run
        finally:
            self._in_use[worker] -= 1
            self._write(EventKind.FINISHED, worker, of=run.outcome, result=run.result, **named)

    def _write(self, kind: EventKind, worker: str, **fields: Any) -> None:
        entry = Entry(at_ms=time.time_ns() / 1e6, kind=kind, worker=worker, pid=self._pid, **fields)
        os.write(self._file, self._encoder.encode(entry) + b"\n")


class Run:
    """One run of a job, until its end is known."""

    def __init__(self, journal: Journal, worker: str, named: dict[str, Any]) -> None:
        self.outcome = EventKind.RELEASED
        self.result = ""
        self._journal, self._worker, self._named = journal, worker, named

    def step(self, progress: float) -> None:
        """A step of the script was reached; written before anybody else hears of it."""
        self._journal._write(EventKind.STEPPED, self._worker, progress=progress, **self._named)  # noqa: SLF001 - one module

    def crash(self) -> None:
        """The script kills the process next."""
        self._journal._write(EventKind.POISONED, self._worker, **self._named)  # noqa: SLF001

    def failed(self) -> None:
        """The attempt fails."""
        self.outcome = EventKind.ATTEMPT_FAILED

    def completed(self, result: Any) -> None:
        """The work is done, with that result."""
        self.outcome, self.result = EventKind.COMPLETED, digest_of(result)


class NoJournal(Journal):
    """Where nobody asked for one."""

    def __init__(self) -> None:
        self._folder, self._in_use = None, Counter()

    def close(self) -> None:
        """Nothing is open."""

    def _write(self, kind: EventKind, worker: str, **fields: Any) -> None:
        """Nothing is written."""


def journal_in(folder: str | Path | None, name: str) -> Journal:
    """The journal of this process in a folder; without one, one that writes nothing."""
    return Journal(Path(folder), name) if folder else NoJournal()


def entries_in(folder: Path) -> Iterator[Entry]:
    """All entries of all processes. A last line that a kill cut off is left out."""
    decoder = msgspec.json.Decoder(Entry)
    for path in sorted(folder.glob(PATTERN)):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield decoder.decode(line)
