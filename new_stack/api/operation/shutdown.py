"""How a server stops in order: for a while `/health/ready` says that it will not be there, and it serves on."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress


class Notice:
    """The time between being told to stop and going. Whoever tells twice does not want to wait."""

    def __init__(self, stopping: asyncio.Event) -> None:
        """From now on signals set `stopping`."""
        self._stopping = stopping
        self._at_once = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self._stop)

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._at_once.set()
        self._stopping.set()

    async def over(self, seconds: float) -> None:
        """Return once the time has passed, or nobody wants to wait for it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._at_once.wait()
