"""A recorder that runs beside the run: started, ready, stopped, and loud when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self

READY_S: Final = 30.0
AGAIN_S: Final = 0.5


class Background:
    """An async context manager around one task. An error in the task is raised at the end of the block."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        """Set once it records; the block begins then."""
        self._task: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """The work, until cancelled."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.follow(), name=type(self).__name__)
        waiting = asyncio.create_task(self.ready.wait())
        try:
            await asyncio.wait({self._task, waiting}, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._task.done() or not self.ready.is_set():
            await self._stop()
            raise TimeoutError(f"{type(self).__name__} could not begin within {READY_S:g} s")
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self._task is None:
            return
        # More than once: a library may take a cancellation for one of its own time-outs, and go on.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=AGAIN_S)
        with contextlib.suppress(asyncio.CancelledError):
            self._task.result()
