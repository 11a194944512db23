"""What the hub reads and writes of its jobs.

Every value is text, as in Redis: what the hub does with odd input follows from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from legacy_hub_sim.core.python_errors import PythonError

Fields = dict[str, str]


class StoreError(PythonError):
    """The store could not be reached or refused; the hub shows its text to whoever asked."""


class JobStore(Protocol):
    """Jobs as records of text, one queue of ids ordered by score, and an index of waiting jobs by type."""

    def exists(self, job_id: str) -> bool:
        """Whether there is a record."""

    def read(self, job_id: str) -> Fields:
        """The record, empty if there is none."""

    def write(self, job_id: str, fields: Mapping[str, str]) -> None:
        """Set fields of a record, made if need be."""

    def erase(self, job_id: str, names: Sequence[str]) -> None:
        """Remove fields of a record."""

    def every(self) -> Iterator[tuple[str, Fields]]:
        """Every record there is, read one by one."""

    def queue(self) -> list[str]:
        """The queued ids, highest score first."""

    def peek(self, job_id: str) -> tuple[str | None, str | None]:
        """Status and type of one record."""

    def enqueue(self, job_id: str, score: float) -> None:
        """Put an id into the queue, or move it there."""

    def rank(self, job_id: str) -> int | None:
        """The place in the queue from 0, None if not queued."""

    def queued(self) -> int:
        """How many ids are queued."""

    def index(self, job_id: str, job_type: str) -> None:
        """Note a waiting job in the index."""

    def unindex(self, job_id: str, job_type: str) -> None:
        """Strike a job from the index."""

    def indexed(self, job_type: str) -> list[tuple[str, Fields]]:
        """The indexed jobs of a type, read in one go."""

    def save_state(self, state: bytes) -> None:
        """Keep what the hub's process knows besides the jobs."""

    def load_state(self) -> bytes | None:
        """What `save_state` kept last."""
