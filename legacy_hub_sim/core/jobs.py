"""The life of a job in the hub: what each step reads and writes, as text, as in Redis: what the hub does with odd input
follows from that. Faults `linear-cost` and `odd-priority` live here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from legacy_hub_sim.core.validation import PythonError, queue_score, stored, stored_whole
from legacy_hub_sim.faults import Fault

RETRIES = 3
CLAIM_SECONDS = 30
"""A claim without news for longer than this is stale."""


class Submission(msgspec.Struct, frozen=True):
    """A job as somebody wants it; over WebSocket every field may be anything."""

    job_id: Any
    job_type: Any
    priority: Any
    payload: Any
    client_id: str


class JobRepository:
    """The rules over a store."""

    def __init__(self, store: JobStore, faults: frozenset[Fault], new_id: Callable[[], str]) -> None:
        self.store = store
        self._faults = faults
        self._new_id = new_id
        if Fault.LINEAR_COST not in faults:
            self._index_all()

    def add(self, job: Submission, now: float) -> None:
        """Store and queue a job. What cannot be stored leaks; a priority that cannot be summed leaks after storing."""
        job_id = job.job_id
        if self.store.exists(key := key_of(job_id)):
            job_id = key = f"{key}-{self._new_id()}"
        payload = payload_text(job.payload)
        fields = {
            "id": stored(job_id),
            "job_type": stored(job.job_type),
            "priority": stored(job.priority),
            "job_request_payload": stored(payload),
            "status": "pending",
            "created_at": str(now),
        }
        if job.client_id:
            fields["client_id"] = stored(job.client_id)
        self.store.write(key, fields)
        score = queue_score(job.priority, now)
        self.store.enqueue(key, score)
        self._note_waiting(key, fields["job_type"])

    def position(self, job_id: Any, job_type: Any) -> int | None:
        """The place of a pending job among those of its type, from 1; None where the hub does not find it.

        It looks for the very values it was given among the texts it stored: a job whose type or id was no text is
        not found, and one whose neighbour has an odd priority is not either.
        """
        waiting = []
        for key, fields in self._pending(job_type) if isinstance(job_type, str) else ():
            try:
                waiting.append((-int(fields.get("priority", 0)), float(fields["created_at"]), key))
            except ValueError:
                return None
        waiting.sort(key=lambda entry: entry[:2])
        return next((at for at, entry in enumerate(waiting, 1) if entry[2] == job_id), None)

    def waiting(self, job_type: str) -> Iterator[tuple[str, Fields]]:
        """The queued pending jobs of a type, as an offer reads them: best score first."""
        if Fault.LINEAR_COST not in self._faults:
            yield from self.store.indexed(job_type)
            return
        for job_id in self.store.queue():
            if self.store.peek(job_id) == ("pending", job_type):
                yield job_id, self.store.read(job_id)

    def claim(self, job_id: str, worker: str, now: float) -> bool:
        """Give a pending job to a worker, unless it was the last to fail it. The job stays in the queue."""
        fields = self.store.read(job_id)
        if fields.get("status") != "pending" or fields.get("last_failed_worker") == worker:
            return False
        claimed = {
            "status": "claimed",
            "worker_id": worker,
            "worker": worker,
            "claimed_at": repr(now),
            "claim_timeout": str(CLAIM_SECONDS),
        }
        self.store.write(job_id, claimed)
        self._note_gone(job_id, fields)
        return True

    def progress(self, job_id: str, progress: int, message: str | None, now: float) -> None:
        """Note progress, whatever the job's state and whoever says so."""
        if not self.store.exists(job_id):
            return
        fields = {"progress": str(progress), "last_updated_at": repr(now)}
        if message:
            fields["message"] = stored(message)
        self.store.write(job_id, fields)

    def complete(self, job_id: str, result: dict[str, Any] | None, now: float) -> bool:
        """Note a completion, whatever the job's state; False for an unknown job."""
        fields = self.store.read(job_id)
        if not fields:
            return False
        ended = {"status": "completed", "completed_at": repr(now)}
        if result:
            try:
                ended["result"] = json.dumps(result)
            except RecursionError:
                return False
        self.store.write(job_id, ended)
        self._note_gone(job_id, fields)
        return True

    def fail(self, job_id: str, error: str) -> bool:
        """Note a failed attempt and queue the job again; False for an unknown job and after the last attempt."""
        fields = self.store.read(job_id)
        if not fields:
            return False
        attempts = int(fields.get("retry_count", 0)) + 1
        failed = {"status": "failed", "error": stored(error), "retry_count": str(attempts)}
        if fields.get("worker_id"):
            failed["last_failed_worker"] = fields["worker_id"]
        self.store.write(job_id, failed)
        self._note_gone(job_id, fields)
        if attempts > RETRIES:
            return False
        priority = stored_whole(fields.get("priority", "1"))
        self.store.write(job_id, {"status": "pending"})
        self.store.enqueue(job_id, queue_score(priority, float(fields["created_at"])))
        self._note_waiting(job_id, fields.get("job_type", ""))
        return True

    def cancel(self, job_id: Any, reason: Any, now: float) -> bool:
        """End a job as cancelled, whatever its state; False for an unknown job. The queue keeps and counts it."""
        key = key_of(job_id)
        fields = self.store.read(key)
        if not fields:
            return False
        self._note_gone(key, fields)
        cancelled = {
            "status": "cancelled",
            "cancelled_at": repr(now),
            "cancellation_reason": stored(reason),
            "message": f"Job cancelled: {reason}",
        }
        self.store.write(key, cancelled)
        return True

    def take_back_stale(self, now: float) -> int:
        """Make claims pending that had no news for too long; returns how many. A priority it cannot read stops it."""
        taken = 0
        for job_id, fields in self.store.every():
            if fields.get("status") != "claimed":
                continue
            heard = float(fields.get("last_updated_at") or fields.get("claimed_at") or 0)
            if now - heard <= int(fields.get("claim_timeout") or CLAIM_SECONDS):
                continue
            priority = stored_whole(fields.get("priority") or "0")
            self.store.write(job_id, {"status": "pending"})
            self.store.erase(job_id, ("worker", "claimed_at", "claim_timeout"))
            if priority > 0:
                self.store.enqueue(job_id, priority)
            self._note_waiting(job_id, fields.get("job_type", ""))
            taken += 1
        return taken

    def status(self, job_id: Any) -> dict[str, Any] | None:
        """A job's record with payload and result decoded, and its place in the whole queue if it is pending."""
        key = key_of(job_id)
        fields: dict[str, Any] = dict(self.store.read(key))
        if not fields:
            return None
        for name in ("job_request_payload", "result"):
            if name in fields:
                fields[name] = json.loads(fields[name])
        if fields.get("status") == "pending":
            rank = self.store.rank(key)
            fields["position"] = -1 if rank is None else rank
        return fields

    def _pending(self, job_type: str) -> Iterator[tuple[str, Fields]]:
        """The pending jobs of a type, queued or not, as a submission reads them."""
        if Fault.LINEAR_COST not in self._faults:
            yield from self.store.indexed(job_type)
            return
        for job_id, fields in self.store.every():
            if fields.get("status") == "pending" and fields.get("job_type") == job_type:
                yield job_id, fields

    def _index_all(self) -> None:
        for job_id, fields in self.store.every():
            if fields.get("status") == "pending":
                self.store.index(job_id, fields.get("job_type", ""))

    def _note_waiting(self, job_id: str, job_type: str) -> None:
        if Fault.LINEAR_COST not in self._faults:
            self.store.index(job_id, job_type)

    def _note_gone(self, job_id: str, fields: Fields) -> None:
        if Fault.LINEAR_COST not in self._faults:
            self.store.unindex(job_id, fields.get("job_type", ""))


def key_of(job_id: Any) -> str:
    """An id of any kind as it becomes part of a key; raises `PythonError` for text that is no Unicode."""
    text = str(job_id)
    stored(f"job:{text}")
    return text


def payload_text(payload: Any) -> str:
    """A payload as it is stored: an object as JSON, a text that is JSON as it is, another text wrapped."""
    if isinstance(payload, dict):
        try:
            return json.dumps(payload)
        except RecursionError as error:
            raise PythonError(str(error)) from None
    if not isinstance(payload, str):
        raise PythonError(f"the JSON object must be str, bytes or bytearray, not {type(payload).__name__}")
    try:
        json.loads(payload)
    except json.JSONDecodeError:
        return json.dumps({"raw_payload": payload})
    except (ValueError, RecursionError) as error:
        raise PythonError(str(error)) from None
    return payload


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
