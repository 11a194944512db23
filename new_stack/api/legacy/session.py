"""A WebSocket at work: messages in, events out; bounded in what it may send and in what it may leave unread."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from new_stack.api.guard.limits import TokenBucket, bound_buffers
from new_stack.api.guard.message_bytes import MessageBytes
from new_stack.api.http.http_io import encode
from new_stack.api.legacy.hub import error
from new_stack.api.legacy.messages import Fields, Refusal, read_message, value
from new_stack.api.retirement.callers import Caller
from new_stack.api.retirement.rules import GONE_CODE
from new_stack.api.retirement.sessions import RetiringSession
from new_stack.api.services import Services
from new_stack.api.snapshot import Snapshot
from new_stack.api.streaming.fanout import SHUTTING_DOWN, DeliveryBarrier, Item, Published
from new_stack.log import log
from new_stack.queue.errors import QueueError, QueueUnavailable

HEARTBEAT_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 2.0
WRITE_BUFFER: Final = 32_768
BINARY: Final = "Binary messages are not supported: send JSON as text"


class ConnectionGone(Exception):  # noqa: N818 - it says what is, not what failed
    """The other side has closed, or was cut off because it does not read."""


class Connection:
    """A WebSocket with its limits. Messages are never compressed: a context each would cost more than all the rest."""

    def __init__(self, services: Services, role: str, caller: Caller) -> None:
        settings = services.settings
        self.caller = caller
        self._services = services
        self._role = role
        self._send_seconds = settings.send_timeout_ms / 1000
        self._bucket = TokenBucket(settings.messages_per_second, asyncio.get_running_loop().time)
        self._socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS, max_msg_size=settings.message_limit, compress=False, timeout=CLOSE_SECONDS
        )
        self._transport: asyncio.Transport | None = None
        self._bytes: MessageBytes | None = None

    @property
    def response(self) -> web.WebSocketResponse:
        """What the route answers with."""
        return self._socket

    async def accept(self, request: web.Request) -> None:
        """Finish the handshake."""
        await self._socket.prepare(request)
        self._transport = request.transport
        bound_buffers(self._transport, WRITE_BUFFER)
        self._bytes = MessageBytes(self._services.bodies, request, self._socket)

    def release(self) -> None:
        """Forget what was received and not handled."""
        if self._bytes is not None:
            self._bytes.close()

    async def messages(self) -> AsyncIterator[str]:
        """The text messages, at the pace this connection is allowed; a binary one is answered with an error."""
        async for message in self._socket:
            self._services.metrics.frames[self._role, "in"] += 1
            delay = self._bucket.delay()
            if delay:
                await asyncio.sleep(delay)
            if message.type is WSMsgType.TEXT:
                yield message.data
            elif message.type is WSMsgType.BINARY:
                await self.send(error(BINARY, self._services.clock()))
            if self._bytes is not None:
                self._bytes.handled()

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one message. Raises ConnectionGone."""
        await self.send_text(encode(frame).decode())

    async def send_text(self, text: str) -> None:
        """Send one message that is already JSON. Raises ConnectionGone."""
        try:
            async with asyncio.timeout(self._send_seconds):
                await self._socket.send_str(text)
        except TimeoutError:
            log.warning("socket_not_reading", role=self._role)
            if self._transport is not None:
                self._transport.abort()
            raise ConnectionGone from None
        except (ConnectionError, RuntimeError):
            raise ConnectionGone from None
        self._services.metrics.frames[self._role, "out"] += 1

    async def close(self, code: int = WSCloseCode.OK, reason: str = "") -> None:
        """Close with a reason; give up where the other side does not answer."""
        await self._socket.close(code=code, message=reason.encode()[:120])


class Session(RetiringSession):
    """What client and monitor sessions share. A role says what to do with a message and what to send for an event."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        super().__init__(services, connection, services.fanout.subscriber())
        self.name = name
        self._loop = asyncio.get_running_loop()
        self.delivering = asyncio.Lock()
        """Held while events are sent, and by an answer that nothing may overtake."""

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.services.clock()

    @abstractmethod
    async def greet(self) -> None:
        """Send what the hub sends at once to this role."""

    @abstractmethod
    async def handle(self, fields: Fields) -> None:
        """Serve one message. May raise Refusal."""

    async def fetch(self, item: Published) -> None:
        """Get ready what did not travel with the event: while Redis is away, answers do not wait for that."""

    @abstractmethod
    async def deliver(self, item: Published) -> None:
        """Send what this connection gets for an event."""

    async def deliver_snapshot(self, snapshot: Snapshot) -> None:
        """Send the periodic stats to a monitor."""

    @abstractmethod
    def leave(self) -> None:
        """Forget all subscriptions."""

    async def check(self, *, missed: bool = False) -> None:
        """Look after what is awaited and may have been lost; `missed` where events certainly were."""

    async def _check(self, *, missed: bool) -> None:
        with suppress(QueueUnavailable):  # the next round looks again
            await self.check(missed=missed)

    async def refuse(self, sentence: str, **more: Any) -> None:
        """Answer with an error."""
        await self.connection.send(error(sentence, self.now) | more)

    async def receive(self, text: str) -> None:
        """Serve one message; whatever is wrong with it is answered, and the connection stays open."""
        if not self.retired:  # if so, the refusal that comes next answers it, too
            with self.answering():
                self.count(await self._answer(text))

    async def _answer(self, text: str) -> object:
        """Do what a message asks for, and answer; its type, as far as it has one."""
        kind: object = None
        try:
            fields = read_message(text)
            kind = value(fields, "type")
            if not await self.turned_away(kind):
                await self.handle(fields)
        except Refusal as refusal:
            await self.refuse(str(refusal))
        except QueueError as error:
            await self.refuse(f"Server error processing message: {error}")
        return kind

    async def pump(self) -> None:
        """Deliver events until the subscriber is closed."""
        seconds = self.services.settings.keepalive_ms / 1000
        checked_at = self._loop.time()
        while self.subscriber.closed is None:
            if self._loop.time() - checked_at >= seconds:
                checked_at = self._loop.time()
                await self._check(missed=False)
            for item in await self.subscriber.take(seconds):
                if isinstance(item, Published):
                    await self.fetch(item)
                async with self.delivering:
                    await self._hand_over(item)

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
            await self._check(missed=True)

    async def close(self) -> None:
        """Close the connection with the reason for which the subscriber was closed."""
        going = self.subscriber.closed == SHUTTING_DOWN
        if self.retired:
            with suppress(ConnectionGone):
                await self.refuse(self.subscriber.closed or "", code=GONE_CODE)
        usual = WSCloseCode.GOING_AWAY if going else WSCloseCode.TRY_AGAIN_LATER
        await self.connection.close(GONE_CODE if self.retired else usual, self.subscriber.closed or "")


async def run_session(session: Session, messages: AsyncIterator[str], first: str | None = None) -> None:
    """Serve a connection until either side ends it; `first` is a message that was read already."""
    try:
        if first is None:
            try:
                await session.greet()
            except QueueError as error:
                await session.refuse(f"Server error processing message: {error}")
        session.services.retirement.connected(session)
        await _serve(session, messages, first)
    finally:
        session.gone()
        session.leave()


async def _serve(session: Session, messages: AsyncIterator[str], first: str | None) -> None:
    """Deliver and read at the same time, until one of the two ends."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_then_gone(session.pump()), name=f"pump {session.name}")
            group.create_task(_then_gone(_read(session, messages, first)), name=f"read {session.name}")
    except* ConnectionGone:
        pass
    if session.subscriber.closed is not None:
        await session.close()  # once nobody reads: aiohttp does not await the other side's answer where somebody does


async def _read(session: Session, messages: AsyncIterator[str], first: str | None) -> None:
    if first is not None:
        await session.receive(first)
    async for text in messages:
        await session.receive(text)


async def _then_gone(work: Coroutine[Any, Any, None]) -> None:
    await work
    raise ConnectionGone
