"""Plays the client side of a cassette against the pure core, on the recorded clock."""

from __future__ import annotations

import ast
import itertools
import json
import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from harness.cassettes import Event, events, expanded
from harness.cassettes.tokens import Bindings, tokens_of
from legacy_hub_sim.core import Answer, Close, Frame, Hub, Outgoing, Peer, Request, Role
from legacy_hub_sim.server.delivery import CHUNK, chunks, text_of
from legacy_hub_sim.stores import MemoryStore
from tests.legacy_hub_sim.cassettes import comparable

EPOCH = 1_795_523_500.0
READY_SECONDS = 0.12
"""How long the recorded hub had been running when the recording began, known by when its timers fire."""
IN_FLIGHT_MS = 0.3
"""What is sent to an actor this short before it closes does not reach it."""


class Player:
    def __init__(self, recorded: Sequence[Event], *, token: str = "", ready_seconds: float = READY_SECONDS) -> None:
        ids = itertools.count(1)
        self.hub = Hub(
            MemoryStore(),
            started_at=EPOCH - ready_seconds,
            new_id=lambda: str(uuid.UUID(int=next(ids), version=4)),
            token=token,
        )
        self.recorded = recorded
        self.ids = Bindings(tokens_of(recorded))
        self.at = -ready_seconds * 1000
        self.peers: dict[str, Peer] = {}
        self.actor_of: dict[int, str] = {}
        self.seen: dict[str, list[tuple[float, Any]]] = defaultdict(list)
        self.expected: dict[str, list[Any]] = defaultdict(list)
        self._numbers = itertools.count(1)

    def play(self) -> None:
        for event in self.recorded:
            self.pass_time(event.at)
            self.do(event)

    def pass_time(self, until: float) -> None:
        while (due := (self.hub.due - EPOCH) * 1000) <= until:
            self.at = max(due, self.at)
            self.take(self.hub.tick(EPOCH + self.at / 1000 + 1e-6))
        self.at = until

    @property
    def now(self) -> float:
        return EPOCH + self.at / 1000

    def take(self, outgoing: list[Outgoing]) -> None:
        for item in outgoing:
            seen = self.seen[self.actor_of[item.connection]]
            match item:
                case Frame():
                    seen.extend((self.at, message) for message in rendered(item))
                case Close():
                    seen.append((self.at, {"closed": [item.code, item.reason]}))

    def do(self, event: Event) -> None:
        actor = event.actor
        match event:
            case events.Open():
                self.open(event)
            case events.Send():
                self.take(self.hub.receive(self.peers[actor], self.data_of(event), self.now))
            case events.Receive():
                self.expect(actor, event.content)
            case events.Close():
                seen = self.seen[actor]
                while seen and seen[-1][0] > event.at - IN_FLIGHT_MS:
                    seen.pop()
                self.leave(actor, 1000)
            case events.Drop():
                self.leave(actor, 1006)
            case events.Closed():
                self.expected[actor].append({"closed": [event.code, event.reason]})
            case events.Request():
                self.request(event)
            case events.Response():
                self.expect(actor, {"status": event.status, "body": event.body})

    def open(self, event: events.Open) -> None:
        url = urlsplit(event.path)
        peer = Peer(Role(event.role.value), url.path.rsplit("/", 1)[1], next(self._numbers))
        self.peers[event.actor] = peer
        self.actor_of[peer.connection] = event.actor
        self.take(self.hub.connect(peer, parse_qs(url.query).get("token", [None])[0], self.now))

    def data_of(self, event: events.Send) -> str | bytes:
        if event.message is not msgspec.UNSET:
            return json.dumps(self.ids.outgoing(expanded(event.message)))
        text: str = event.text
        binary: bytes | None = ast.literal_eval(text) if text.startswith("b'") else None
        return text if binary is None else binary

    def expect(self, actor: str, content: Any) -> None:
        expected, seen = self.expected[actor], self.seen[actor]
        if len(seen) > len(expected):
            self.ids.meet(content, seen[len(expected)][1])
        expected.append(content)

    def leave(self, actor: str, code: int) -> None:
        self.take(self.hub.disconnect(self.peers[actor], self.now))
        self.seen[actor].append((self.at, {"closed": [code, ""]}))

    def request(self, event: events.Request) -> None:
        body = b"" if event.body is None else json.dumps(self.ids.outgoing(event.body)).encode()
        asked = Request(event.method, self.ids.outgoing(event.path), body, "application/json")
        answer, outgoing = self.hub.request(asked, self.now)
        assert isinstance(answer, Answer)
        self.seen[event.actor].append((self.at, {"status": answer.status, "body": answer.body}))
        self.take(outgoing)

    def expected_texts(self, actor: str) -> list[str]:
        return [comparable(content) for content in self.expected[actor]]

    def seen_texts(self, actor: str) -> list[str]:
        return [comparable(self.ids.incoming(content)) for _, content in self.seen[actor]]


def rendered(frame: Frame) -> list[Any]:
    text = text_of(frame.message, frame.style)
    if frame.chunked and len(text) > CHUNK:
        return [json.loads(chunk.text()) for chunk in chunks(text, frame.message, "0" * 8)]
    return [json.loads(text)]
