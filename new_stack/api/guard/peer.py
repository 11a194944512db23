"""Writes to a peer that may not read: what waits for it is bounded, and one that takes too long is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from new_stack.api.guard.limits import bound_buffers
from new_stack.log import log


class PeerGone(Exception):  # noqa: N818 - it says what is, not what failed
    """The other side has closed, or was cut off because it does not read."""


class Peer:
    """The other side of one long-lived connection; `event` is logged, with `about`, where it does not read."""

    def __init__(
        self, transport: asyncio.Transport | None, *, buffer: int, seconds: float, event: str, **about: object
    ) -> None:
        bound_buffers(transport, buffer)
        self._transport = transport
        self._seconds = seconds
        self._event, self._about = event, about

    async def takes(self, write: Awaitable[None]) -> None:
        """Do one write. Raises PeerGone."""
        try:
            async with asyncio.timeout(self._seconds):
                await write
        except TimeoutError:
            log.warning(self._event, **self._about)
            self.abort()
            raise PeerGone from None
        except ConnectionError:
            raise PeerGone from None

    def abort(self) -> None:
        """Break off without a word."""
        if self._transport is not None:
            self._transport.abort()
