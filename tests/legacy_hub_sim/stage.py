"""A hub core on a stage: actors by name, a clock the test moves, and what everyone was sent."""

from __future__ import annotations

import itertools
import json
from typing import Any

from legacy_hub_sim import ALL_FAULTS, Fault
from legacy_hub_sim.core import Answer, Close, Frame, Hub, JobStore, Outgoing, Peer, Request, Role, Waiting
from legacy_hub_sim.stores import MemoryStore

BEGAN = 1_000_000.0


class Stage:
    def __init__(self, *without: Fault, store: JobStore | None = None, token: str = "") -> None:
        self.store = store if store is not None else MemoryStore()
        self.now = BEGAN
        ids = itertools.count(1)
        self.hub = Hub(
            self.store,
            started_at=BEGAN,
            new_id=lambda: f"id{next(ids)}",
            token=token,
            faults=ALL_FAULTS - set(without),
        )
        self.peers: dict[str, Peer] = {}
        self.names: dict[int, str] = {}
        self.log: list[tuple[str, dict[str, Any]]] = []
        self._numbers = itertools.count(1)

    def take(self, outgoing: list[Outgoing]) -> list[tuple[str, dict[str, Any]]]:
        """Note what is sent, and return it as (actor, message)."""
        sent: list[tuple[str, dict[str, Any]]] = []
        for item in outgoing:
            match item:
                case Frame():
                    sent.append((self.names[item.connection], item.message))
                case Close():
                    sent.append(
                        (self.names[item.connection], {"type": "closed", "code": item.code, "why": item.reason})
                    )
        self.log += sent
        return sent

    def open(self, role: Role, name: str, actor: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Connect; `actor` tells two connections under one name apart."""
        peer = Peer(role, name, next(self._numbers))
        self.peers[actor or name] = peer
        self.names[peer.connection] = actor or name
        return self.take(self.hub.connect(peer, None, self.now))

    def client(self, name: str, actor: str | None = None) -> None:
        self.open(Role.CLIENT, name, actor)

    def monitor(self, name: str) -> None:
        self.open(Role.MONITOR, name)

    def worker(self, name: str, *types: str, register: bool = True) -> list[tuple[str, dict[str, Any]]]:
        """Connect and register; returns what the registration was answered."""
        self.open(Role.WORKER, name)
        if not register:
            return []
        capabilities = {"supported_job_types": list(types or ["t"])}
        return self.say(name, "register_worker", capabilities=capabilities)

    def say(self, actor: str, type_: Any, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
        """Send a message; returns everything that anybody was sent for it."""
        return self.line(actor, json.dumps({"type": type_, **fields}))

    def line(self, actor: str, line: str | bytes) -> list[tuple[str, dict[str, Any]]]:
        self.now += 0.001
        return self.take(self.hub.receive(self.peers[actor], line, self.now))

    def leave(self, actor: str) -> list[tuple[str, dict[str, Any]]]:
        self.now += 0.001
        return self.take(self.hub.disconnect(self.peers[actor], self.now))

    def wait(self, seconds: float) -> list[tuple[str, dict[str, Any]]]:
        """Let time pass, round by round."""
        until, sent = self.now + seconds, []
        while self.hub.due <= until:
            self.now = max(self.now, self.hub.due)
            sent += self.take(self.hub.tick(self.now))
        self.now = until
        return sent

    def submit(self, actor: str, job_id: str, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
        return self.say(actor, "submit_job", **{"job_type": "t", "message_id": job_id, **fields})

    def rest(self, method: str, path: str, body: Any = None) -> Answer | Waiting:
        self.now += 0.001
        content = b"" if body is None else json.dumps(body).encode()
        answer, outgoing = self.hub.request(Request(method, path, content, "application/json"), self.now)
        self.take(outgoing)
        return answer


def types(sent: list[tuple[str, dict[str, Any]]], actor: str | None = None) -> list[str]:
    """The types of what was sent, to one actor or as (actor, type) joined."""
    if actor is not None:
        return [message["type"] for name, message in sent if name == actor]
    return [f"{name}: {message['type']}" for name, message in sent]


def only(sent: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The one message that was sent."""
    assert len(sent) == 1, sent
    return sent[0][1]
