"""A WebSocket at work: messages in, events out; bounded in what it may send and in what it may leave unread."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from new_stack.api.guard.limits import TokenBucket
from new_stack.api.guard.message_bytes import MessageBytes
from new_stack.api.guard.peer import Peer, PeerGone
from new_stack.api.http.http_io import encode
from new_stack.api.legacy.hub import HUB, HubDialect
from new_stack.api.legacy.messages import Fields, Refusal, read_message, value
from new_stack.api.retirement.callers import Caller
from new_stack.api.retirement.sessions import RetiringSession
from new_stack.api.services import Services
from new_stack.api.snapshot import Snapshot
from new_stack.api.streaming.fanout import SHUTTING_DOWN, DeliveryBarrier, Item, Published
from new_stack.queue.errors import QueueError, QueueUnavailable

HEARTBEAT_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 2.0
WRITE_BUFFER: Final = 32_768
BINARY: Final = "Binary messages are not supported: send JSON as text"


class Connection:
    """A WebSocket with its limits. Messages are never compressed: a context each would cost more than all the rest."""

    def __init__(self, services: Services, role: str, caller: Caller) -> None:
        limit, self.caller = services.settings.message_limit, caller
        self._services = services
        self._role = role
        self.socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS, max_msg_size=limit, compress=False, timeout=CLOSE_SECONDS
        )

    async def accept(self, request: web.Request) -> None:
        """Finish the handshake."""
        await self.socket.prepare(request)
        seconds = self._services.settings.send_timeout_ms / 1000
        self._peer = Peer(
            request.transport, buffer=WRITE_BUFFER, seconds=seconds, event="socket_not_reading", role=self._role
        )
        self.received = MessageBytes(self._services.bodies, request, self.socket)
        """What has been received and is not handled: to be closed in the end."""

    async def messages(self) -> AsyncIterator[str]:
        """The text messages, at the pace this connection is allowed; a binary one is answered with an error."""
        bucket = TokenBucket(self._services.settings.messages_per_second, asyncio.get_running_loop().time)
        async for message in self.socket:
            self._services.metrics.frames[self._role, "in"] += 1
            if delay := bucket.delay():
                await asyncio.sleep(delay)
            if message.type is WSMsgType.TEXT:
                yield message.data
            elif message.type is WSMsgType.BINARY:
                await self.send(HUB.error(BINARY, None, self._services.clock()))
            self.received.handled()

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one message. Raises PeerGone."""
        await self.send_text(encode(frame).decode())

    async def send_text(self, text: str) -> None:
        """Send one message that is already JSON. Raises PeerGone."""
        await self._peer.takes(self.socket.send_str(text))
        self._services.metrics.frames[self._role, "out"] += 1

    async def close(self, code: int = WSCloseCode.OK, reason: str = "") -> None:
        """Close with a reason; give up where the other side does not answer."""
        await self.socket.close(code=code, message=reason.encode()[:120])


class Session(RetiringSession):
    """What client and monitor sessions share. A role says what to do with a message and what to send for an event."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        super().__init__(services, connection, services.fanout.subscriber())
        self.name = name
        self.now = services.clock
        """Seconds since the epoch."""
        self.dialect: HubDialect = HUB
        self.message_id: object = None
        """What a client calls the message that is served now: an error names it."""
        self._loop = asyncio.get_running_loop()
        self.delivering = asyncio.Lock()
        """Held while events are sent, and by an answer that nothing may overtake."""

    @abstractmethod
    async def greet(self) -> None:
        """Send what the hub sends at once to this role."""

    @abstractmethod
    async def handle(self, kind: str, fields: Fields) -> None:
        """Serve one message of this type. May raise Refusal."""

    async def fetch(self, item: Published) -> None:
        """Get ready what did not travel with the event: while Redis is away, answers do not wait for that."""

    @abstractmethod
    async def deliver(self, item: Published) -> None:
        """Send what this connection gets for an event."""

    async def deliver_snapshot(self, snapshot: Snapshot) -> None:
        """Send the periodic stats to a monitor."""

    @abstractmethod
    async def check(self, *, missed: bool = False) -> None:
        """Look after what is awaited and may have been lost; `missed` where events certainly were."""

    def leave(self) -> None:
        """Forget all subscriptions."""
        self.services.fanout.remove(self.subscriber)

    async def refuse(self, sentence: str, **more: Any) -> None:
        """Answer with an error in the dialect that is spoken."""
        await self.connection.send(self.dialect.error(sentence, self.message_id, self.now()) | more)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Answer whatever goes wrong with an error; the connection stays open."""
        try:
            yield
        except Refusal as refusal:
            await self.refuse(str(refusal))
        except QueueError as error:
            await self.refuse(f"Server error processing message: {error}")

    async def answer(self, text: str) -> str:
        """Do what a message asks for; its type, as far as it has one."""
        kind = ""
        async with self.refusing():
            fields = read_message(text)
            kind = str(value(fields, "type"))
            if not await self.turned_away(kind):
                await self.handle(kind, fields)
        return kind

    async def read(self, messages: AsyncIterator[str]) -> None:
        """Serve every message. Raises PeerGone in the end."""
        async for text in messages:
            await self.receive(text)
        raise PeerGone

    async def pump(self) -> None:
        """Deliver events until the subscriber is closed. Raises PeerGone in the end."""
        seconds = self.services.settings.keepalive_ms / 1000
        checked_at = self._loop.time()
        while self.subscriber.closed is None:
            if self._loop.time() - checked_at >= seconds:
                checked_at = self._loop.time()
                await self._look_after(missed=False)
            for item in await self.subscriber.take(seconds):
                if isinstance(item, Published):
                    await self.fetch(item)
                async with self.delivering:
                    await self._hand_over(item)
        raise PeerGone

    async def _hand_over(self, item: Item) -> None:
        if isinstance(item, Published):
            await self.deliver(item)
        elif isinstance(item, Snapshot):
            await self.deliver_snapshot(item)
        elif isinstance(item, DeliveryBarrier):
            if item.frame is not None:
                await self.connection.send(item.frame)
            item.sent.set()
        else:
            await self._look_after(missed=True)

    async def _look_after(self, *, missed: bool) -> None:
        with suppress(QueueUnavailable):  # the next round looks again
            await self.check(missed=missed)

    async def close(self) -> None:
        """Close the connection with the reason for which the subscriber was closed."""
        reason = self.subscriber.closed or ""
        code = WSCloseCode.GOING_AWAY if reason == SHUTTING_DOWN else WSCloseCode.TRY_AGAIN_LATER
        await self.connection.close(await self.retired_code() or code, reason)


async def run_session(session: Session, messages: AsyncIterator[str], *, greeted: bool) -> None:
    """Serve a connection until either side ends it: deliver and read at the same time."""
    try:
        if not greeted:
            async with session.refusing():
                await session.greet()
        session.services.retirement.connected(session)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(session.pump(), name=f"pump {session.name}")
                group.create_task(session.read(messages), name=f"read {session.name}")
        except* PeerGone:
            pass
        if session.subscriber.closed is not None:
            await session.close()  # once nobody reads: aiohttp awaits no answer to it where somebody does
    finally:
        session.gone()
        session.leave()
