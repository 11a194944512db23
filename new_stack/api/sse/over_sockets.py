"""`follow_job`: a job's event stream in messages, for clients that SSE does not reach (docs/protocol.md)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from new_stack.api.guard.peer import PeerGone
from new_stack.api.legacy.messages import Fields, Refusal, job_id_of, text_field
from new_stack.api.legacy.session import Connection
from new_stack.api.services import Services
from new_stack.api.sse.follow import following
from new_stack.queue.errors import QueueError

STREAMS_AT_ONCE: Final = 100


class SocketStreams:
    """The streams that one connection follows, beside whatever else it asks for."""

    def __init__(self, services: Services, connection: Connection, refuse: Callable[[str], Awaitable[None]]) -> None:
        self._services = services
        self._connection = connection
        self._refuse = refuse
        self._streams: set[asyncio.Task[None]] = set()

    def start(self, fields: Fields) -> None:
        """Serve one more. Raises Refusal where there are too many."""
        if len(self._streams) >= STREAMS_AT_ONCE:
            raise Refusal(f"One connection may follow {STREAMS_AT_ONCE} streams at once")
        task = asyncio.create_task(self._serve(fields), name="stream over a socket")
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._streams)

    def cancel(self) -> None:
        """End them all."""
        for stream in self._streams:
            stream.cancel()

    async def _serve(self, fields: Fields) -> None:
        try:
            job_id = job_id_of(fields)
            writer = _SocketWriter(self._connection, job_id)
            with following(self._services, job_id, text_field(fields, "after")) as follower:
                over = not await follower.prepare() or await follower.run(writer)
            await self._connection.send({"type": "job_stream_end", "job_id": job_id, "over": over})
        except PeerGone:
            return
        except (Refusal, QueueError) as error:
            with contextlib.suppress(PeerGone):
                await self._refuse(str(error))


class _SocketWriter:
    """Puts a stream's text into messages."""

    def __init__(self, connection: Connection, job_id: str) -> None:
        self._connection = connection
        self._job_id = job_id

    async def write_all(self, parts: Iterable[bytes]) -> None:
        """Send each frame. Raises PeerGone."""
        for part in parts:
            await self._connection.send({"type": "job_stream", "job_id": self._job_id, "text": part.decode()})
