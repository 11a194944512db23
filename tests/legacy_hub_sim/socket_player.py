"""Plays the client side of a cassette against a hub's real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.legacy_hub_sim.cassettes import Ids, comparable, line_of
from tests.legacy_hub_sim.player import IN_FLIGHT_MS

DEADLINE_SECONDS = 8.0
SETTLE_SECONDS = 0.15
"""Kept free before a send where the recording had a longer pause, so that what should not come would have come."""


def is_stats(item: Any) -> bool:
    """Stats come on the hub's own clock, between whatever else: the core's player, which owns the clock, has them."""
    return "stats_broadcast" in (item.get("type"), item.get("original_type"))


class Actor:
    """One connection after another under one name, and everything it was sent."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.expected: list[Any] = []
        self.news = asyncio.Event()
        self.socket: ClientConnection | None = None
        self.reader: asyncio.Task[None] | None = None
        self.tail_may_differ = False

    def add(self, item: Any) -> None:
        if not is_stats(item):
            self.seen.append(item)
            self.news.set()

    async def read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                self.add(json.loads(text))
        except ConnectionClosed:
            pass
        await socket.wait_closed()
        self.add({"closed": [socket.close_code, socket.close_reason]})

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(self.seen) < count:
                self.news.clear()
                await self.news.wait()


class SocketPlayer:
    def __init__(self, port: int) -> None:
        self.port = port
        self.ids = Ids()
        self.actors: dict[str, Actor] = {}
        self.last_at = 0.0
        self.last_send: dict[str, float] = {}

    async def play(self, events: list[dict[str, Any]]) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as self.http:
            for event in events:
                await self.pause(event)
                actor = self.actors.setdefault(event["actor"], Actor())
                await getattr(self, f"on_{event['event']}")(event, actor)
                self.last_at = event["at"]
        for actor in self.actors.values():
            if actor.reader:
                await actor.reader

    async def pause(self, event: dict[str, Any]) -> None:
        gap = (event["at"] - self.last_at) / 1000
        if event["event"] in ("send", "request", "open", "close"):
            await asyncio.sleep(min(gap, SETTLE_SECONDS))

    async def on_open(self, event: dict[str, Any], actor: Actor) -> None:
        actor.socket = await connect(f"ws://127.0.0.1:{self.port}{event['path']}", max_size=None, compression=None)
        actor.reader = asyncio.create_task(actor.read(actor.socket))

    async def on_send(self, event: dict[str, Any], actor: Actor) -> None:
        assert actor.socket
        line = line_of(event)
        self.last_send[event["actor"]] = event["at"]
        await actor.socket.send(line if isinstance(line, bytes) else self.ids.to_observed(line))

    async def on_receive(self, event: dict[str, Any], actor: Actor) -> None:
        await self.expect(actor, event["message"])

    async def expect(self, actor: Actor, item: Any) -> None:
        if is_stats(item):
            return
        actor.expected.append(item)
        await actor.wait_for(len(actor.expected))
        self.ids.bind(json.dumps(item), json.dumps(actor.seen[len(actor.expected) - 1]))

    async def on_close(self, event: dict[str, Any], actor: Actor) -> None:
        assert actor.socket
        actor.tail_may_differ = event["at"] - self.last_send.get(event["actor"], -1e9) < IN_FLIGHT_MS
        await actor.socket.close()

    async def on_drop(self, _event: dict[str, Any], actor: Actor) -> None:
        assert actor.socket
        actor.socket.transport.abort()

    async def on_closed(self, event: dict[str, Any], actor: Actor) -> None:
        item = {"closed": [event["code"], event["reason"]]}
        if actor.tail_may_differ:
            assert actor.reader
            await actor.reader
            del actor.seen[len(actor.expected) : -1]
        await self.expect(actor, item)

    async def on_note(self, event: dict[str, Any], actor: Actor) -> None:
        pass

    async def on_request(self, event: dict[str, Any], actor: Actor) -> None:
        body = None if event["body"] is None else self.ids.to_observed(json.dumps(event["body"]))
        headers = {"Content-Type": "application/json"} if body else {}
        path = self.ids.to_observed(event["path"])
        answer = await self.http.request(event["method"], path, content=body, headers=headers)
        actor.add({"status": answer.status_code, "body": answer.json()})

    async def on_response(self, event: dict[str, Any], actor: Actor) -> None:
        await self.expect(actor, {"status": event["status"], "body": event["body"]})

    def differences(self) -> dict[str, tuple[list[str], list[str]]]:
        """Per actor that saw something else than recorded: what was expected, and what was seen."""
        found = {}
        for name, actor in self.actors.items():
            expected = [comparable(item) for item in actor.expected]
            seen = [self.ids.to_recorded(comparable(item)) for item in actor.seen]
            if expected != seen:
                found[name] = (expected, seen)
        return found
