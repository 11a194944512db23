"""What the hub reads and writes of its jobs: the port, and a store that holds them in plain dictionaries.

Every value is text, as in Redis: what the hub does with odd input follows from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from legacy_hub_sim.core.leaks import Leak

Fields = dict[str, str]


class StoreError(Leak):
    """The store could not be reached or refused; the hub shows its text to whoever asked."""


class JobStore(Protocol):
    """Jobs as records of text, one queue of ids ordered by score, and an index of waiting jobs by type."""

    def exists(self, job_id: str) -> bool:
        """Whether there is a record."""
        ...

    def read(self, job_id: str) -> Fields:
        """The record, empty if there is none."""
        ...

    def write(self, job_id: str, fields: Mapping[str, str]) -> None:
        """Set fields of a record, made if need be."""
        ...

    def erase(self, job_id: str, names: Sequence[str]) -> None:
        """Remove fields of a record."""
        ...

    def every(self) -> Iterator[tuple[str, Fields]]:
        """Every record there is, read one by one."""
        ...

    def queue(self) -> list[str]:
        """The queued ids, highest score first."""
        ...

    def peek(self, job_id: str) -> tuple[str | None, str | None]:
        """Status and type of one record."""
        ...

    def enqueue(self, job_id: str, score: float) -> None:
        """Put an id into the queue, or move it there."""
        ...

    def dequeue(self, job_id: str) -> None:
        """Take an id out of the queue."""
        ...

    def rank(self, job_id: str) -> int | None:
        """The place in the queue from 0, None if not queued."""
        ...

    def queued(self) -> int:
        """How many ids are queued."""
        ...

    def index(self, job_id: str, job_type: str) -> None:
        """Note a waiting job in the index."""
        ...

    def unindex(self, job_id: str, job_type: str) -> None:
        """Strike a job from the index."""
        ...

    def indexed(self, job_type: str) -> list[tuple[str, Fields]]:
        """The indexed jobs of a type, read in one go."""
        ...

    def remember(self, memory: bytes) -> None:
        """Keep what the hub's process knows besides the jobs."""
        ...

    def recall(self) -> bytes | None:
        """What `remember` kept last."""
        ...


class MemoryStore:
    """Jobs in this process's memory: for tests, and for a hub that needs no Redis."""

    def __init__(self) -> None:
        self._records: dict[str, Fields] = {}
        self._scores: dict[str, float] = {}
        self._waiting: dict[str, dict[str, None]] = {}
        self._memory: bytes | None = None

    def exists(self, job_id: str) -> bool:
        """Whether there is a record."""
        return job_id in self._records

    def read(self, job_id: str) -> Fields:
        """The record, empty if there is none."""
        return dict(self._records.get(job_id, {}))

    def write(self, job_id: str, fields: Mapping[str, str]) -> None:
        """Set fields of a record, made if need be."""
        self._records.setdefault(job_id, {}).update(fields)

    def erase(self, job_id: str, names: Sequence[str]) -> None:
        """Remove fields of a record."""
        record = self._records.get(job_id, {})
        for name in names:
            record.pop(name, None)

    def every(self) -> Iterator[tuple[str, Fields]]:
        """Every record there is."""
        for job_id in list(self._records):
            yield job_id, self.read(job_id)

    def queue(self) -> list[str]:
        """The queued ids, highest score first; equal scores fall as in Redis, by name from the end."""
        return sorted(self._scores, key=lambda job_id: (self._scores[job_id], job_id.encode()), reverse=True)

    def peek(self, job_id: str) -> tuple[str | None, str | None]:
        """Status and type of one record."""
        record = self._records.get(job_id, {})
        return record.get("status"), record.get("job_type")

    def enqueue(self, job_id: str, score: float) -> None:
        """Put an id into the queue, or move it there."""
        self._scores[job_id] = score

    def dequeue(self, job_id: str) -> None:
        """Take an id out of the queue."""
        self._scores.pop(job_id, None)

    def rank(self, job_id: str) -> int | None:
        """The place in the queue from 0, None if not queued."""
        return self.queue().index(job_id) if job_id in self._scores else None

    def queued(self) -> int:
        """How many ids are queued."""
        return len(self._scores)

    def index(self, job_id: str, job_type: str) -> None:
        """Note a waiting job in the index."""
        self._waiting.setdefault(job_type, {})[job_id] = None

    def unindex(self, job_id: str, job_type: str) -> None:
        """Strike a job from the index."""
        self._waiting.get(job_type, {}).pop(job_id, None)

    def indexed(self, job_type: str) -> list[tuple[str, Fields]]:
        """The indexed jobs of a type."""
        return [(job_id, self.read(job_id)) for job_id in self._waiting.get(job_type, {})]

    def remember(self, memory: bytes) -> None:
        """Keep what the hub's process knows besides the jobs."""
        self._memory = memory

    def recall(self) -> bytes | None:
        """What `remember` kept last."""
        return self._memory
