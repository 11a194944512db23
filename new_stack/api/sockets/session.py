"""What client and monitor connections share: a reader of messages, a pump of events, and one end for both."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from aiohttp import WSCloseCode

from new_stack.api.fanout import SHUTTING_DOWN, Published, Reply, Subscriber
from new_stack.api.legacy.frames import Error
from new_stack.api.legacy.messages import Fields, Refusal, read_message
from new_stack.api.log import log
from new_stack.api.services import Services
from new_stack.api.snapshot import Snapshot
from new_stack.api.sockets.connection import Connection, ConnectionGone
from new_stack.queue.errors import QueueError

IDLE_SECONDS: Final = 30.0


class Session(ABC):
    """A connection at work. A dialect subclasses it: what to do with a message, what to send for an event."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        self.services = services
        self.connection = connection
        self.name = name
        self.subscriber: Subscriber = services.fanout.subscriber()

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.services.clock()

    @abstractmethod
    async def greet(self) -> None:
        """What the hub sends at once to this role."""

    @abstractmethod
    async def handle(self, fields: Fields) -> None:
        """Serve one message. May raise Refusal."""

    @abstractmethod
    async def deliver(self, item: Published) -> None:
        """Send what this connection gets for an event."""

    async def deliver_snapshot(self, snapshot: Snapshot) -> None:  # noqa: B027 - clients get none
        """Send the periodic stats to a monitor."""

    @abstractmethod
    def leave(self) -> None:
        """Forget all subscriptions."""

    async def refuse(self, sentence: str) -> None:
        """Answer with an error."""
        await self.connection.send(Error(timestamp=self.now, error=sentence))

    async def receive(self, text: str) -> None:
        """Serve one message; whatever is wrong with it is answered, and the connection stays open."""
        try:
            await self.handle(read_message(text))
        except Refusal as refusal:
            await self.refuse(str(refusal))
        except QueueError as error:
            await self.refuse(f"Server error processing message: {error}")

    async def pump(self) -> None:
        """Deliver events until the subscriber is closed; then close the connection with the reason."""
        while self.subscriber.closed is None:
            for item in await self.subscriber.take(IDLE_SECONDS):
                if isinstance(item, Published):
                    await self.deliver(item)
                elif isinstance(item, Snapshot):
                    await self.deliver_snapshot(item)
                elif isinstance(item, Reply):
                    if item.frame is not None:
                        await self.connection.send(item.frame)
                    item.sent.set()
                else:
                    log("socket_missed_events", level="warning", connection=self.name)
        going = self.subscriber.closed == SHUTTING_DOWN
        code = WSCloseCode.GOING_AWAY if going else WSCloseCode.TRY_AGAIN_LATER
        await self.connection.close(code, self.subscriber.closed or "")


async def run_session(session: Session, messages: AsyncIterator[str], first: str | None = None) -> None:
    """Serve a connection until either side ends it; `first` is a message that was read already."""
    try:
        if first is None:
            await _greet(session)
        await _serve(session, messages, first)
    finally:
        session.leave()


async def _greet(session: Session) -> None:
    try:
        await session.greet()
    except QueueError as error:
        await session.refuse(f"Server error processing message: {error}")


async def _serve(session: Session, messages: AsyncIterator[str], first: str | None) -> None:
    pump = asyncio.create_task(_quietly(session.pump()), name=f"pump {session.name}")
    reader = asyncio.create_task(_quietly(_read(session, messages, first)), name=f"read {session.name}")
    try:
        done, _ = await asyncio.wait({pump, reader}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (pump, reader):
            task.cancel()
        await asyncio.gather(pump, reader, return_exceptions=True)


async def _read(session: Session, messages: AsyncIterator[str], first: str | None) -> None:
    if first is not None:
        await session.receive(first)
    async for text in messages:
        await session.receive(text)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except ConnectionGone:
        return
