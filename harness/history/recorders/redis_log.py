"""The stack's own account, read from Redis itself: it does not depend on an API that is killed, or wrong."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import redis.asyncio as client
from redis.exceptions import RedisError

from harness.history.file import HistoryWriter
from harness.history.recorders.background import Background
from harness.history.recorders.stack import from_event

BLOCK_MS: Final = 500
COUNT: Final = 1_000
PAUSE_S: Final = 0.1


class RedisRecorder(Background):
    """Follows the stream `events` into a history, through restarts of Redis. It only reads."""

    def __init__(self, redis_url: str, writer: HistoryWriter, *, prefix: str = "", since: str = "0-0") -> None:
        super().__init__()
        self._url = redis_url
        self._writer = writer
        self._stream = f"{prefix}events"
        self._last_id = since
        self.recorded = 0

    async def follow(self) -> None:
        """See `Background`."""
        connection = client.Redis.from_url(self._url, decode_responses=True, socket_connect_timeout=5)
        try:
            while True:
                with contextlib.suppress(RedisError, OSError):  # Redis may be down on purpose
                    await self._read(connection)
                await asyncio.sleep(PAUSE_S)
        finally:
            await connection.aclose()

    async def _read(self, connection: client.Redis) -> None:
        await connection.ping()
        self.ready.set()
        while True:
            reply: Any = await connection.xread({self._stream: self._last_id}, count=COUNT, block=BLOCK_MS)
            for _, entries in reply or ():
                for entry, fields in entries:
                    self._last_id = entry
                    event = from_event(fields, entry)
                    if event:
                        self.recorded += 1
                        self._writer.add(event)
