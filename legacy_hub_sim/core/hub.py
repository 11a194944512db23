"""The hub: what happens to it, one step at a time, and what it wants sent in answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec

from legacy_hub_sim.core import clients, messages, monitors, rest, stats, workers
from legacy_hub_sim.core.jobs import JobBook
from legacy_hub_sim.core.leaks import Leak, no_object
from legacy_hub_sim.core.leaving import leave, reason
from legacy_hub_sim.core.outgoing import Outgoing, Style
from legacy_hub_sim.core.peers import Peer, Role
from legacy_hub_sim.core.state import Kept, Memory
from legacy_hub_sim.core.store import JobStore, StoreError
from legacy_hub_sim.core.timers import Timers
from legacy_hub_sim.core.turn import Turn
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
        self.memory = Memory()
        self.jobs = JobBook(store, faults, new_id)
        self._store = store
        self._new_id = new_id
        self._token = token
        self._timers = Timers(started_at)
        if Fault.AMNESIA not in faults and (kept := store.recall()):
            self.memory.kept = msgspec.msgpack.decode(kept, type=Kept)

    @property
    def due(self) -> float:
        """When `tick` has something to do next."""
        return self._timers.due

    def connect(self, peer: Peer, token: str | None, now: float) -> list[Outgoing]:
        """A connection was opened. With a wrong token it is told so and closed, and is no part of the hub."""
        turn = self._turn(now)
        if self._token and token != self._token:
            turn.reply(peer, messages.bare_error("Authentication failed: Invalid token"), Style.SPACED)
            turn.close(peer.connection, "")
            return turn.out
        self.memory.connections[peer.role][peer.name] = peer.connection
        welcome = f"Welcome {peer.role.spoken} {peer.name}! Connected to Redis Hub"
        if peer.role is Role.WORKER:
            self.memory.status[peer.name] = "idle"
            turn.reply(peer, {"type": "connection_established", "message": welcome}, Style.SPACED)
            return turn.out
        turn.reply(peer, messages.stamped("connection_established", now, message=welcome))
        if peer.role is Role.MONITOR:
            try:
                stats.send_status(turn)
            except Leak:
                self.memory.deaf.add(peer.connection)
        return turn.out

    def receive(self, peer: Peer, line: str | bytes, now: float) -> list[Outgoing]:
        """A frame came in."""
        turn = self._turn(now)
        if peer.connection in self.memory.deaf:
            return []
        if isinstance(line, bytes):
            if Fault.BINARY_FRAME in self.faults:
                self._stop_reading(turn, peer)
                return turn.out
            line = line.decode(errors="replace")
        try:
            self._handle(turn, peer, read(line))
        except json.JSONDecodeError:
            turn.error(peer.role, peer.name, "Invalid JSON format")
        except Leak as leak:
            turn.error(peer.role, peer.name, f"Server error processing message: {leak.text}")
        self._keep()
        return turn.out

    def disconnect(self, peer: Peer, now: float) -> list[Outgoing]:
        """A connection is gone, by whichever side."""
        turn = self._turn(now)
        if peer.connection in self.memory.deaf:
            self.memory.deaf.discard(peer.connection)
            if self.memory.connection(peer.role, peer.name) != peer.connection:
                return []
        leave(turn, peer)
        self._keep()
        return turn.out

    def request(self, request: rest.Request, now: float) -> tuple[rest.Answer | rest.Waiting, list[Outgoing]]:
        """A REST request came in: its answer, and what to send to others after it."""
        turn = self._turn(now)
        return rest.answer(turn, request), turn.out

    def awaited(self, waiting: rest.Waiting, now: float) -> rest.Answer | None:
        """The answer of a submission with `wait`, None while there is none."""
        return rest.awaited(self._turn(now), waiting)

    def tick(self, now: float) -> list[Outgoing]:
        """Time has passed."""
        turn = self._turn(now)
        self._timers.run(turn)
        return turn.out

    def _turn(self, now: float) -> Turn:
        return Turn(self.memory, self.jobs, self.faults, now, self._new_id)

    def _handle(self, turn: Turn, peer: Peer, message: dict[str, Any]) -> None:
        match peer.role:
            case Role.CLIENT:
                clients.handle(turn, peer, message)
            case Role.WORKER:
                workers.handle(turn, peer.name, message)
            case Role.MONITOR:
                monitors.handle(turn, peer, message)

    def _stop_reading(self, turn: Turn, peer: Peer) -> None:
        """Fault `binary-frame`: clients and monitors are left open and unread, a worker is closed."""
        leave(turn, peer)
        if peer.role is Role.WORKER:
            turn.close(peer.connection, reason(peer.role, peer.name))
        self.memory.deaf.add(peer.connection)

    def _keep(self) -> None:
        """Without fault `amnesia`, what must outlive the process is written after every step that may change it."""
        if Fault.AMNESIA in self.faults:
            return
        with contextlib.suppress(StoreError):  # The next step writes all of it again.
            self._store.remember(msgspec.msgpack.encode(self.memory.kept))


def read(line: str) -> dict[str, Any]:
    """A line as a message; raises JSONDecodeError for what is no JSON, and `Leak` for what is no object."""
    try:
        message = json.loads(line)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise Leak(str(error)) from None
    if not isinstance(message, dict):
        raise no_object(message)
    return message
