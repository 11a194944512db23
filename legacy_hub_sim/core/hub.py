"""The hub: what happens to it, one step at a time, what it does by itself, and what is to be sent then."""

from __future__ import annotations

import contextlib
import enum
import json
from collections.abc import Callable
from typing import Any

import msgspec

from legacy_hub_sim.core import clients, messages, monitors, rest, subscriptions, workers
from legacy_hub_sim.core.connections import Outgoing, Peer, Role, Style
from legacy_hub_sim.core.jobs import JobRepository, JobStore, StoreError
from legacy_hub_sim.core.offers import offer_waiting
from legacy_hub_sim.core.step_context import HubState, PersistedState, StepContext
from legacy_hub_sim.core.validation import PythonError, no_object
from legacy_hub_sim.faults import ALL_FAULTS, Fault


class Hub:
    """Pure but for the store it is given: the caller brings the time (seconds since the epoch) and the ids."""

    def __init__(
        self,
        store: JobStore,
        *,
        started_at: float,
        new_id: Callable[[], str],
        token: str = "",
        faults: frozenset[Fault] = ALL_FAULTS,
    ) -> None:
        self.faults = faults
        self.state = HubState()
        self.jobs = JobRepository(store, faults, new_id)
        self._store = store
        self._new_id = new_id
        self._token = token
        self._timers = Timers(started_at)
        if Fault.AMNESIA not in faults and (saved := store.load_state()):
            self.state.persisted = msgspec.msgpack.decode(saved, type=PersistedState)

    @property
    def due(self) -> float:
        """When `tick` has something to do next."""
        return self._timers.due

    def connect(self, peer: Peer, token: str | None, now: float) -> list[Outgoing]:
        """A connection was opened. With a wrong token it gets an error and is closed, and is no part of the hub."""
        step = self._step(now)
        if self._token and token != self._token:
            step.reply(peer, messages.bare_error("Authentication failed: Invalid token"), Style.SPACED)
            step.close(peer.connection, "")
            return step.out
        self.state.connections[peer.role][peer.name] = peer.connection
        welcome = f"Welcome {peer.role.spoken} {peer.name}! Connected to Redis Hub"
        if peer.role is Role.WORKER:
            self.state.status[peer.name] = "idle"
            step.reply(peer, {"type": "connection_established", "message": welcome}, Style.SPACED)
            return step.out
        step.reply(peer, messages.stamped("connection_established", now, message=welcome))
        if peer.role is Role.MONITOR:
            try:
                monitors.send_status(step)
            except PythonError:
                self.state.unread.add(peer.connection)
        return step.out

    def receive(self, peer: Peer, data: str | bytes, now: float) -> list[Outgoing]:
        """A frame came in."""
        step = self._step(now)
        if peer.connection in self.state.unread:
            return []
        if isinstance(data, bytes):
            if Fault.BINARY_FRAME in self.faults:
                self._stop_reading(step, peer)
                return step.out
            data = data.decode(errors="replace")
        try:
            self._handle(step, peer, read(data))
        except json.JSONDecodeError:
            step.error(peer.role, peer.name, "Invalid JSON format")
        except PythonError as error:
            step.error(peer.role, peer.name, f"Server error processing message: {error.text}")
        self._save_state()
        return step.out

    def disconnect(self, peer: Peer, now: float) -> list[Outgoing]:
        """A connection is gone, by whichever side."""
        step = self._step(now)
        if peer.connection in self.state.unread:
            self.state.unread.discard(peer.connection)
            if self.state.connection(peer.role, peer.name) != peer.connection:
                return []
        leave(step, peer)
        self._save_state()
        return step.out

    def request(self, request: rest.Request, now: float) -> tuple[rest.Answer | rest.Waiting, list[Outgoing]]:
        """A REST request came in: its answer, and what to send to others after it."""
        step = self._step(now)
        return rest.answer(step, request), step.out

    def awaited(self, waiting: rest.Waiting, now: float) -> rest.Answer | None:
        """The answer of a submission with `wait`, None while there is none."""
        return rest.awaited(self._step(now), waiting)

    def tick(self, now: float) -> list[Outgoing]:
        """Time has passed."""
        step = self._step(now)
        self._timers.run(step)
        return step.out

    def _step(self, now: float) -> StepContext:
        return StepContext(self.state, self.jobs, self.faults, now, self._new_id)

    def _handle(self, step: StepContext, peer: Peer, message: dict[str, Any]) -> None:
        match peer.role:
            case Role.CLIENT:
                clients.handle(step, peer, message)
            case Role.WORKER:
                workers.handle(step, peer.name, message)
            case Role.MONITOR:
                monitors.handle(step, peer, message)

    def _stop_reading(self, step: StepContext, peer: Peer) -> None:
        """Fault `binary-frame`: clients and monitors are left open and unread, a worker is closed."""
        leave(step, peer)
        if peer.role is Role.WORKER:
            step.close(peer.connection, reason(peer.role, peer.name))
        self.state.unread.add(peer.connection)

    def _save_state(self) -> None:
        """Without fault `amnesia`, what must outlive the process is written after every step that may change it."""
        if Fault.AMNESIA in self.faults:
            return
        with contextlib.suppress(StoreError):  # The next step writes all of it again.
            self._store.save_state(msgspec.msgpack.encode(self.state.persisted))


def read(data: str) -> dict[str, Any]:
    """A frame as a message; raises JSONDecodeError for what is no JSON, and `PythonError` for what is no object."""
    try:
        message = json.loads(data)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise PythonError(str(error)) from None
    if not isinstance(message, dict):
        raise no_object(message)
    return message


SILENT_SECONDS = 60
"""A worker heard of less recently than this is disconnected; one in each round."""


class Task(enum.Enum):
    """One of the hub's rounds."""

    CHANGES = "changes"
    STATUS = "status"
    STALE_CLAIMS = "stale claims"
    SILENT_WORKERS = "silent workers"
    OFFERS = "offers"


class Timers:
    """When each round is due, and the last stats that were shown."""

    def __init__(self, started_at: float) -> None:
        self._due = dict.fromkeys(Task, started_at)
        self._shown: dict[str, Any] | None = None

    @property
    def due(self) -> float:
        """When the next round is due."""
        return min(self._due.values())

    def run(self, step: StepContext) -> None:
        """The rounds that are due. A store that cannot be read ends a round; the next comes at its time."""
        for task in Task:
            if self._due[task] <= step.now:
                self._due[task] = step.now + self._round(step, task)

    def _round(self, step: StepContext, task: Task) -> float:
        """One round; returns the seconds until the next."""
        watched = bool(step.state.connections[Role.MONITOR])
        try:
            match task:
                case Task.CHANGES if watched:
                    self._show_changes(step)
                case Task.STATUS if watched:
                    monitors.send_status(step)
                case Task.STALE_CLAIMS:
                    sweep(step)
                case Task.SILENT_WORKERS:
                    drop_silent(step, SILENT_SECONDS)
                case Task.OFFERS if Fault.LOST_OFFERS not in step.faults:
                    offer_waiting(step)
        except PythonError:
            pass  # The hub logs it and goes on; what it wanted to send before is sent.
        match task:
            case Task.CHANGES:
                return 1 if watched else 3
            case Task.STATUS:
                return 5
            case Task.OFFERS:
                return 1
        return 30

    def _show_changes(self, step: StepContext) -> None:
        """Show monitors the stats if they are not those shown last."""
        system = monitors.system_stats(step)
        if system != self._shown:
            self._shown = system
            monitors.send_change(step, system)


def sweep(step: StepContext) -> None:
    """Take back stale claims. That nobody is then offered them is fault `vanished-worker`."""
    taken = step.jobs.take_back_stale(step.now)
    if taken and Fault.VANISHED_WORKER not in step.faults:
        offer_waiting(step)


def leave(step: StepContext, peer: Peer) -> None:
    """A connection ended, or is no longer read.

    The hub looks its name up to clean up after it: where the name has a newer connection, that is the one it closes.
    """
    current = step.state.connections[peer.role].pop(peer.name, None)
    match peer.role:
        case Role.CLIENT if current is not None:
            step.state.stats_subscribers.pop(peer.name, None)
            subscriptions.forget_client(step, peer.name)
        case Role.WORKER:
            forget_worker(step, peer.name)
        case Role.MONITOR if current is not None:
            step.state.filters.pop(peer.name, None)
    if current not in (None, peer.connection):
        step.close(current, reason(peer.role, peer.name))


def forget_worker(step: StepContext, worker: str) -> None:
    """What goes with a worker's connection; its record, its job and what it failed stay."""
    memory = step.state
    memory.status.pop(worker, None)
    memory.capabilities.pop(worker, None)
    memory.heartbeat_at.pop(worker, None)
    memory.notified_of_jobs.pop(worker, None)


def reason(role: Role, name: str) -> str:
    """What the hub closes with."""
    return f"{role.spoken} {name} disconnected"


def drop_silent(step: StepContext, limit: float) -> None:
    """Close the first worker that said nothing of itself for too long.

    The hub's round breaks after the first one, when it goes to reassign that worker's jobs.
    """
    for worker, heard in step.state.heartbeat_at.items():
        if step.now - heard > limit:
            connection = step.state.connections[Role.WORKER].pop(worker, None)
            if connection is not None:
                step.close(connection, reason(Role.WORKER, worker))
            forget_worker(step, worker)
            return
