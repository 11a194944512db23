"""Plays the client side of a cassette against the pure core, on the recorded clock."""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

from legacy_hub_sim.core import Answer, Close, Frame, Hub, Outgoing, Peer, Request, Role
from legacy_hub_sim.server.delivery import CHUNK, chunks, text_of
from legacy_hub_sim.stores import MemoryStore
from tests.legacy_hub_sim.cassettes import Ids, comparable, line_of

EPOCH = 1_795_523_500.0
READY_SECONDS = 0.12
"""How long the recorded hub had been running when the recording began, told by when its rounds fall."""
IN_FLIGHT_MS = 0.3
"""What is sent to an actor this short before it closes is not seen by it."""


class Player:
    def __init__(self, token: str = "", ready_seconds: float = READY_SECONDS) -> None:
        ids = itertools.count(1)
        self.hub = Hub(
            MemoryStore(),
            started_at=EPOCH - ready_seconds,
            new_id=lambda: str(uuid.UUID(int=next(ids), version=4)),
            token=token,
        )
        self.ids = Ids()
        self.at = -ready_seconds * 1000
        self.peers: dict[str, Peer] = {}
        self.actor_of: dict[int, str] = {}
        self.seen: dict[str, list[tuple[float, Any]]] = {}
        self.expected: dict[str, list[Any]] = {}
        self.answer: Answer | None = None
        self._numbers = itertools.count(1)

    def play(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.pass_time(event["at"])
            getattr(self, f"on_{event['event']}")(event)

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
            actor = self.actor_of[item.connection]
            match item:
                case Frame():
                    self.seen.setdefault(actor, []).extend((self.at, message) for message in rendered(item))
                case Close():
                    self.seen.setdefault(actor, []).append((self.at, {"closed": [item.code, item.reason]}))

    def on_open(self, event: dict[str, Any]) -> None:
        url = urlsplit(event["path"])
        peer = Peer(Role(event["role"]), url.path.rsplit("/", 1)[1], next(self._numbers))
        self.peers[event["actor"]] = peer
        self.actor_of[peer.connection] = event["actor"]
        self.take(self.hub.connect(peer, parse_qs(url.query).get("token", [None])[0], self.now))

    def on_send(self, event: dict[str, Any]) -> None:
        line = line_of(event)
        line = line if isinstance(line, bytes) else self.ids.to_observed(line)
        self.take(self.hub.receive(self.peers[event["actor"]], line, self.now))

    def on_receive(self, event: dict[str, Any]) -> None:
        expected = self.expected.setdefault(event["actor"], [])
        seen = self.seen.get(event["actor"], [])
        if len(seen) > len(expected):
            self.ids.bind(json.dumps(event["message"]), json.dumps(seen[len(expected)][1]))
        expected.append(event["message"])

    def on_close(self, event: dict[str, Any]) -> None:
        seen = self.seen.get(event["actor"], [])
        while seen and seen[-1][0] > event["at"] - IN_FLIGHT_MS:
            seen.pop()
        self.take(self.hub.disconnect(self.peers[event["actor"]], self.now))
        self.seen.setdefault(event["actor"], []).append((self.at, {"closed": [1000, ""]}))

    def on_drop(self, event: dict[str, Any]) -> None:
        self.take(self.hub.disconnect(self.peers[event["actor"]], self.now))
        self.seen.setdefault(event["actor"], []).append((self.at, {"closed": [1006, ""]}))

    def on_closed(self, event: dict[str, Any]) -> None:
        self.expected.setdefault(event["actor"], []).append({"closed": [event["code"], event["reason"]]})

    def on_note(self, event: dict[str, Any]) -> None:
        pass

    def on_request(self, event: dict[str, Any]) -> None:
        body = b"" if event["body"] is None else self.ids.to_observed(json.dumps(event["body"])).encode()
        path = self.ids.to_observed(event["path"])
        answer, outgoing = self.hub.request(Request(event["method"], path, body, "application/json"), self.now)
        assert isinstance(answer, Answer)
        self.seen.setdefault("http", []).append((self.at, {"status": answer.status, "body": answer.body}))
        self.take(outgoing)

    def on_response(self, event: dict[str, Any]) -> None:
        expected = {"status": event["status"], "body": event["body"]}
        self.ids.bind(json.dumps(expected), json.dumps(self.seen["http"][-1][1]))
        self.expected.setdefault("http", []).append(expected)

    def expected_texts(self, actor: str) -> list[str]:
        return [comparable(message) for message in self.expected.get(actor, [])]

    def seen_texts(self, actor: str) -> list[str]:
        return [self.ids.to_recorded(comparable(message)) for _, message in self.seen.get(actor, [])]


def rendered(frame: Frame) -> list[Any]:
    text = text_of(frame.message, frame.style)
    if frame.chunked and len(text) > CHUNK:
        return [json.loads(chunk.text()) for chunk in chunks(text, frame.message, "0" * 8)]
    return [json.loads(text)]
